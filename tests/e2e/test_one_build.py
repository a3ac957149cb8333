"""One function builds data and encoder: what holds for training holds for every other look into the encoder."""

import json
import shutil
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from closerlook.config import config_dir, register, typed
from closerlook.pipelines.cross_task import run_cross_task, task_settings
from closerlook.pipelines.fine_tune import train
from closerlook.pipelines.probe_run import probe
from closerlook.representations.reader import SnapshotReader
from closerlook.results.run_dir import RunDir

pytestmark = pytest.mark.e2e


def test_encoder_of_128_positions_and_a_tokenizer_that_says_512(
    tiny_bert: Path, small: tuple[str, ...], data_dir: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_bert, model)
    settings = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": 512}))
    for split, n in (("train", 40), ("test", 12)):
        lines = [f"{'a long text ' * (60 if i % 5 == 0 else 2)}{i},{'xy'[i % 2]}" for i in range(n)]
        (tmp_path / f"{split}.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    register()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        files = [f"task.data_files.{split}={tmp_path}/{split}.csv" for split in ("train", "test")]
        overrides = [*small, f"model.source={model}", "task=text_classification", *files, "task.allow_truncation=true"]
        overrides += ["task.limit_train_texts=null", "task.limit_test_texts=null", "finetuning.epochs=1"]
        config = typed(compose("train", overrides=[*overrides, f"run_dir={tmp_path}/run", "logger=none"]))
        look = ["probe=[linear]", "random_encoder=true", "logger=none", "report=false", "n_jobs=1"]
        probing = typed(compose("probe", overrides=[f"run_dir={tmp_path}/run", *look]))
    train(config)
    assert not probe(probing).probes.failed
    long = task_settings(
        "bbc_topics", data_dir=str(data_dir), limit_train_texts=30, limit_test_texts=10, text_part="article"
    )
    long.allow_truncation = True
    crossed = run_cross_task(RunDir(tmp_path / "run"), long)
    assert len(SnapshotReader(crossed.run.snapshots).steps) == 2
