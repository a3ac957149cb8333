"""Two processes: the same snapshots from the same weights, training that is recorded, a W&B run that is not lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir

from closerlook.config import TrainConfig, config_dir, register, typed
from closerlook.models.stored_space import extract
from closerlook.models.tuned_weights import load_tuned
from closerlook.pipelines.fine_tune import prepare
from closerlook.representations.reader import SnapshotReader
from closerlook.results.run_dir import RunDir
from closerlook.results.store import ResultStore

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(project / "train.py"), *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "160"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def runs(project: Path, small: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same job in one process and, logged to W&B, in two."""
    root = tmp_path_factory.mktemp("ddp")
    one, two = root / "one", root / "two"
    # a batch of 16 on one process and of 8 on each of two: equally many updates
    run(project, *small, "callbacks=probe", f"run_dir={one}", "logger=none")
    options = (
        "callbacks=probe",
        f"run_dir={two}",
        "trainer=ddp_cpu",
        "finetuning.batch_size=8",
        "logger.wandb.offline=true",
    )
    run(project, *small, *options)
    return one, two


def test_snapshots_of_equal_weights_are_equal(runs: tuple[Path, Path]) -> None:
    one, two = (SnapshotReader(folder / "snapshots") for folder in runs)
    assert one.steps == two.steps
    for split in ("train", "test"):
        assert list(one.labels(split)) == list(two.labels(split))
        for layer in one.layers:
            np.testing.assert_allclose(two.vectors(0, split, layer), one.vectors(0, split, layer), atol=1e-6)
    two.verify(two.steps[-1])


def test_probes_of_equal_weights_are_equal(runs: tuple[Path, Path]) -> None:
    tables = [ResultStore(folder / "results").table() for folder in runs]
    first = [t[(t.step == 0) & (t.measure == "label_distance")].reset_index(drop=True) for t in tables]
    assert len(first[0]) == 10
    pd.testing.assert_series_equal(first[0].value, first[1].value, atol=1e-5)


def test_training_is_recorded_and_counted(runs: tuple[Path, Path]) -> None:
    _, two = runs
    history = RunDir(two).history()
    assert RunDir(two).info().n_updates == 12
    assert history["train/loss"].notna().sum() == 12
    assert history["val/accuracy"].notna().sum() == 2
    assert history["test/accuracy"].notna().sum() == 1
    assert json.loads((two / "state.json").read_text())["status"] == "finished"


def test_wandb_run_has_what_the_forked_processes_logged(runs: tuple[Path, Path]) -> None:
    (record,) = (runs[1] / "wandb").glob("offline-run-*/*.wandb")
    shown = subprocess.run(
        [str(Path(sys.executable).with_name("wandb")), "leet", "inspect", "--json", str(record)],
        capture_output=True,
        text=True,
        check=True,
    )
    history = [line for line in shown.stdout.splitlines() if json.loads(line).get("type") == "history"]
    assert sum("train/loss" in line for line in history) == 12
    assert sum("val/accuracy" in line for line in history) == 2
    assert sum("test/accuracy" in line for line in history) == 1


@pytest.mark.parametrize("method", ["head", "bitfit", "lora", "lp_ft", "top_layers"])
def test_both_processes_have_the_same_weights_by_every_method(
    method: str, project: Path, small: tuple[str, ...], tmp_path: Path
) -> None:
    more = ["method.n_layers=1"] if method == "top_layers" else []
    job = [*small, f"method={method}", "logger=none", f"run_dir={tmp_path}/run", "finetuning.batch_size=8", *more]
    run(project, *job, "trainer=ddp_cpu")
    reader = SnapshotReader(tmp_path / "run" / "snapshots")
    assert reader.steps == (0, 6, 12)
    still = [np.array_equal(reader.vectors(0, "train", 2), reader.vectors(step, "train", 2)) for step in (6, 12)]
    assert still == {"head": [True, True], "lp_ft": [True, False]}.get(method, [False, False])
    # Each process stored its half of the examples; all of them are those of the first one's checkpoint.
    built = prepare(compose_train(*job)).built
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    load_tuned(built.encoder, checkpoint["state_dict"])
    everything = np.arange(96)
    for batch in built.data.ordered_batches("train", example_subset=everything, batch_size=32):
        rows = np.asarray(batch.example_index)
        found = extract(built.encoder.eval(), batch, (2,))[2]
        np.testing.assert_allclose(reader.vectors(12, "train", 2)[rows], found, atol=1e-5)


def compose_train(*overrides: str) -> TrainConfig:
    register()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return typed(compose("train", overrides=list(overrides)))


def test_sweep_of_two_process_jobs(project: Path, small: tuple[str, ...], tmp_path: Path) -> None:
    done = run(project, "-m", *small, "trainer=ddp_cpu", "logger=none", f"paths.runs_dir={tmp_path}", "seed=0,1")
    assert "sweep of 2 jobs: 2 finished" in done.stdout
    assert len(list(tmp_path.glob("*/*/*/snapshots/step-*"))) == 2 * 3
