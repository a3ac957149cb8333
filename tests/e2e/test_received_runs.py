"""Runs that somebody else sent, that changed since they were made, or that cannot be written to."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from closerlook.config import ProbeConfig
from closerlook.data.task_settings import TaskSettings
from closerlook.errors import UserError
from closerlook.pipelines.cross_task import run_cross_task, task_settings
from closerlook.pipelines.probe_run import probe
from closerlook.pipelines.probe_runs import Ended, probe_runs
from closerlook.representations.reader import SnapshotReader
from closerlook.results.run import RunError
from closerlook.results.run_dir import RunDir

pytestmark = pytest.mark.e2e

LINEAR = {"linear": {"_target_": "closerlook.probes.classifier.LinearClassifierAnalysis"}}
CENTROIDS = {"centroids": {"_target_": "closerlook.probes.centroid_paths.CentroidAnalysis"}}


@pytest.fixture
def run(study_runs: Path, tmp_path: Path) -> RunDir:
    """A finished run of one's own to change."""
    copy = tmp_path / "runs" / "seed-0"
    shutil.copytree(study_runs / "bbc_topics/tiny/seed-0", copy, ignore=shutil.ignore_patterns("cross", "wandb"))
    return RunDir(copy)


@pytest.fixture
def trec6(data_dir: Path) -> TaskSettings:
    """Another task, small."""
    return task_settings("trec6", data_dir=str(data_dir), limit_train_texts=64, limit_test_texts=32)


def change_model(run: RunDir, **model: object) -> None:
    """Change what the stored configuration says of the model, as a sender could."""
    config = run.config()
    run.save_config(json.dumps(config | {"model": config["model"] | model}))


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 64]))


@pytest.mark.parametrize("sealed", [True, False], ids=["recorded", "earlier version"])
def test_a_flipped_bit_in_the_tuned_weights_is_found(run: RunDir, trec6: TaskSettings, sealed: bool) -> None:
    checkpoint = run.last_checkpoint
    run.seal(checkpoint) if sealed else run.unseal(checkpoint)
    size = checkpoint.stat().st_size
    for at in np.linspace(size * 0.2, size * 0.8, 15).astype(int).tolist():
        flip(checkpoint, at)
        with pytest.raises(RunError, match=r"last\.ckpt is damaged"):
            run_cross_task(run, trec6)
        flip(checkpoint, at)
    assert not run.cross("trec6").root.exists()


def test_the_checkpoint_of_another_run_is_found(run: RunDir, trec6: TaskSettings, study_runs: Path) -> None:
    run.seal(run.last_checkpoint)
    shutil.copy(RunDir(study_runs / "bbc_topics/tiny/seed-1").last_checkpoint, run.last_checkpoint)
    with pytest.raises(RunError, match="the checkpoint of another run"):
        run_cross_task(run, trec6)


def test_other_weights_in_the_model_folder_are_found(
    run: RunDir, trec6: TaskSettings, tiny_bert: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_bert, folder)
    weights = load_file(folder / "model.safetensors")
    name = next(iter(weights))
    save_file(weights | {name: weights[name] + 1}, folder / "model.safetensors", {"format": "pt"})
    change_model(run, source=str(folder))
    with pytest.raises(RunError, match=r"is not the one that the run was made with: model\.safetensors changed"):
        run_cross_task(run, trec6)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_another_configuration_or_tokenizer_in_the_model_folder_is_found(
    run: RunDir, trec6: TaskSettings, tiny_bert: Path, tmp_path: Path, name: str
) -> None:
    """In the tuned encoder, and in an untrained one, which only has these of the model."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_bert, folder)
    change_model(run, source=str(folder))
    before = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(before, indent=3))
    with pytest.raises(RunError, match=rf"made with: {name} changed since"):
        run_cross_task(run, trec6)
    settings = ProbeConfig(run_dir=str(run.root), probe=LINEAR, random_encoder=True, layers="last", n_jobs=1, logger={})
    with pytest.raises(RunError, match=rf"made with: {name} changed since"):
        probe(settings)


def test_a_space_of_data_that_changed_is_stored_anew(run: RunDir, data_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(data_dir / "TREC", folder / "TREC")
    task = task_settings("trec6", data_dir=str(folder), limit_train_texts=64, limit_test_texts=32)
    first = run_cross_task(run, task, layers="last")
    assert not first.kept
    assert run_cross_task(run, task, layers="last").kept
    labels = SnapshotReader(first.run.snapshots).labels("train")
    for file in (folder / "TREC").rglob("*train*"):
        file.write_bytes(file.read_bytes().replace(b"HUM:", b"LOC:"))
    again = run_cross_task(run, task, layers="last")
    assert not again.kept
    assert (SnapshotReader(again.run.snapshots).labels("train") != labels).any()


@pytest.mark.parametrize("what", ["cross", "cross/trec6", "cross/trec6/results"])
def test_nothing_is_written_or_deleted_through_a_link(
    run: RunDir, trec6: TaskSettings, study_runs: Path, tmp_path: Path, what: str
) -> None:
    victim = tmp_path / "victim"
    shutil.copytree(study_runs / "trec6/tiny/seed-0", victim)
    before = {path: path.read_bytes() for path in victim.rglob("*") if path.is_file()}
    link = run.root / what
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(victim)
    with pytest.raises(RunError, match=r"is a symbolic link to .*nothing is written or deleted through links"):
        run_cross_task(run, trec6)
    assert {path: path.read_bytes() for path in victim.rglob("*") if path.is_file()} == before


def test_two_commands_that_store_the_same_space_wait_for_one_another(run: RunDir, trec6: TaskSettings) -> None:
    kept: list[bool] = []

    def store() -> None:
        kept.append(run_cross_task(run, trec6, layers="last").kept)

    threads = [threading.Thread(target=store) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(kept) == [False, True]
    reader = SnapshotReader(run.cross("trec6").snapshots)
    for step in reader.steps:
        reader.verify(step)


TRAP = """
from pathlib import Path
Path({marker!r}).touch()
from transformers import BertConfig, BertModel
class OwnConfig(BertConfig):
    model_type = "own"
class OwnModel(BertModel):
    config_class = OwnConfig
"""


@pytest.mark.parametrize("allowed", [False, True])
def test_code_in_a_received_run_is_run_only_where_the_reader_says_so(
    run: RunDir, tiny_bert: Path, tmp_path: Path, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``config.yaml`` of the run says ``model.trust_remote_code: true`` and points to a folder inside the run."""
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder, marker = run.root / "shipped", tmp_path / "ran"
    shutil.copytree(tiny_bert, folder)
    config = json.loads((folder / "config.json").read_text())
    auto = {"AutoConfig": "trap.OwnConfig", "AutoModel": "trap.OwnModel"}
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "own", "auto_map": auto}))
    (folder / "trap.py").write_text(TRAP.format(marker=str(marker)))
    change_model(run, source=str(folder), trust_remote_code=True)
    settings = ProbeConfig(
        run_dir=str(run.root), probe=LINEAR, random_encoder=True, trust_remote_code=allowed, layers="last",
        n_jobs=1, report=False, logger={},
    )  # fmt: skip
    with contextlib.suppress(UserError):  # a model that cannot be built: its code has run, or not
        probe(settings)
    assert marker.exists() == allowed


def test_what_every_cell_fails_of_is_said(run: RunDir) -> None:
    for file in (run.snapshots).rglob("layer-02*"):
        flip(file, 300)
    shutil.rmtree(run.results)
    settings = ProbeConfig(
        run_dir=str(run.root), probe=LINEAR, layers="last", steps="first_last", n_jobs=1, report=False, logger={}
    )
    with pytest.raises(RunError, match=r"all 2 cells failed, so there are no results: .*is damaged or missing.*1 cell"):
        probe(settings)


def test_a_run_that_cannot_be_written_to_is_probed_into_another_place(run: RunDir, tmp_path: Path) -> None:
    shutil.rmtree(run.results)
    before = {path: path.stat().st_mtime_ns for path in run.root.rglob("*")}
    out = tmp_path / "out"
    settings = ProbeConfig(
        run_dir=str(run.root), output_dir=str(out), probe=CENTROIDS | LINEAR, layers="last", random_encoder=True,
        n_jobs=1, logger={},
    )  # fmt: skip
    outcome = probe(settings)
    assert {"linear", "centroids"} <= set(outcome.results.table.probe)
    assert (out / "results" / "results.parquet").is_file()
    assert (out / "report.html").is_file()
    assert {path: path.stat().st_mtime_ns for path in run.root.rglob("*")} == before


def test_one_bad_run_and_a_foreign_cell_sink_no_join(run: RunDir, study_module: ModuleType) -> None:
    root = run.root.parent
    shutil.copytree(run.root, root / "seed-1")
    shutil.copytree(run.root, root / "seed-2")
    bad = RunDir(root / "seed-1")
    bad.unseal(bad.config_file)
    bad.config_file.write_text("a: [b\n")
    with (root / "seed-2" / "results" / "cells.jsonl").open("ab") as file:
        file.write(b'00000000 {"key": 1}\n')
    os.symlink(run.root, root / "seed-3")
    settings = ProbeConfig(runs=str(root), probe=CENTROIDS, layers="last", n_jobs=1, report=False, logger={})
    ends = {end.space.path: end for end in probe_runs(settings, progress=lambda *_: None, on_end=lambda _: None)}
    assert ends["seed-0"].status in (Ended.PROBED, Ended.KEPT)
    assert ends["seed-1"].status is Ended.FAILED
    assert "config.yaml is damaged" in ends["seed-1"].reason
    assert ends["seed-2"].status in (Ended.PROBED, Ended.KEPT)
    assert RunDir(root / "seed-2").store().left_out == ""


def test_the_untrained_encoder_reads_no_more_than_it_can(run: RunDir, tiny_bert: Path, tmp_path: Path) -> None:
    """A tokenizer that says 512 and an encoder with 128 positions: training cuts, and so must whoever reads again."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_bert, folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": 512}))
    run.save_info(replace(run.info(), model_checksums={}))  # made before they were recorded
    config = run.config()
    task = config["task"] | {"allow_truncation": True, "text_part": "article"}
    run.save_config(json.dumps(config | {"task": task, "model": config["model"] | {"source": str(folder)}}))
    probing = ProbeConfig(
        run_dir=str(run.root), probe=LINEAR, random_encoder=True, layers="last", steps="first_last", n_jobs=1,
        report=False, logger={},
    )  # fmt: skip
    outcome = probe(probing)
    assert "random_encoder_accuracy" in set(outcome.results.table.measure)
