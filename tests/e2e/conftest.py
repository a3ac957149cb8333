"""Runs of the whole program on real text with a tiny random encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from closerlook.config import config_dir, register, typed


def compose_config(app: str, *overrides: str) -> Any:
    """The configuration that the command line would compose."""
    register()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        composed = compose(app, overrides=list(overrides))
    return typed(composed) if app == "train" else composed


@pytest.fixture(scope="session")
def small(tiny_bert: Path) -> tuple[str, ...]:
    """Overrides of a run of seconds: a tiny random BERT on 96 real headlines."""
    return (
        "model=any",
        "model.name=tiny",
        f"model.source={tiny_bert}",
        "task.limit_train_texts=96",
        "task.limit_test_texts=40",
        "finetuning.epochs=2",
        "finetuning.batch_size=16",
        "finetuning.learning_rate=1e-3",
        "trainer.enable_progress_bar=false",
        "trainer.accelerator=cpu",
        "trainer.log_every_n_steps=1",
    )


@pytest.fixture(scope="session")
def probed_run(small: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was trained with live probes, then probed, with W&B offline."""
    from closerlook.pipelines.fine_tune import train
    from closerlook.pipelines.probe_run import probe

    run_dir = tmp_path_factory.mktemp("runs") / "seed-0"
    train(compose_config("train", f"run_dir={run_dir}", "callbacks=probe", *small))
    outcome = probe(typed(compose_config("probe", f"run_dir={run_dir}", "n_jobs=1")))
    assert not outcome.probes.failed
    return run_dir
