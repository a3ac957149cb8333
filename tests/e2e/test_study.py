"""A whole study on real texts, two tasks and two seeds: joined, judged, drawn and logged offline."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from closerlook import measures as m
from closerlook.config import ProbeConfig, config_dir
from closerlook.pipelines.cross_task import run_cross_task, task_settings
from closerlook.pipelines.join_runs import StudyOutcome, study
from closerlook.probes.memorisation import subtest_mask
from closerlook.representations.reader import SnapshotReader
from closerlook.results.run import RunError
from closerlook.results.run_dir import RunDir, load_run
from closerlook.study.verdicts import Verdict

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore:.*did not reach a relative gap.*"),  # bounds of each distance are kept
]


@pytest.fixture(scope="module")
def outcome(study_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> StudyOutcome:
    target = tmp_path_factory.mktemp("study")
    return study(
        ProbeConfig(
            runs=str(study_runs), output_dir=str(target), logger={"wandb": {"project": "closerlook", "offline": True}}
        ),
        problems={},
    )


def test_study_is_written_whole(outcome: StudyOutcome) -> None:
    assert len(outcome.study.runs) == 5
    table = pd.read_parquet(outcome.table_file)
    assert len(table) == sum(run.n_rows for run in outcome.study.runs)
    assert set(table["seed"]) == {0, 1}
    content = json.loads(outcome.claims_file.read_text(encoding="utf-8"))
    assert len(content["claims"]) == len(outcome.claims) == 12
    assert {run["tuned_on"] for run in content["runs"]} == {"bbc_topics", "trec6"}
    assert outcome.page is not None
    assert "Do the paper's claims hold here?" in outcome.page.read_text(encoding="utf-8")


def test_main_table_is_the_mean_of_the_runs_own_results(outcome: StudyOutcome, study_runs: Path) -> None:
    accuracies = []
    for seed in (0, 1):
        table = load_run(study_runs / "trec6" / "tiny" / f"seed-{seed}").table
        rows = table[(table.probe == "linear") & (table.measure == m.ACCURACY) & (table.layer == 2)]
        accuracies.append(rows.sort_values("step").value.iloc[-1])
    row = next(row for row in outcome.summary.rows if row.task == "trec6")
    after = row.before_after[m.ACCURACY][1]
    assert after.mean == pytest.approx(np.mean(accuracies))
    assert after.n == 2
    assert np.isnan(after.low)


def test_claims_are_tested_where_they_can_be(outcome: StudyOutcome) -> None:
    claims = {claim.key: claim for claim in outcome.claims}
    for key in ("accuracy", "linear", "apart", "train_test", "upper_layers", "order_kept", "memorisation"):
        assert len(claims[key].tested) == 2, key
        assert {cell.task for cell in claims[key].tested} == {"bbc_topics", "trec6"}
    for key in ("related", "unrelated", "train_test_matched", "apart_beyond_scatter", "exception"):
        assert claims[key].verdict == Verdict.NOT_TESTABLE, key
        assert claims[key].reason


def test_cross_task_folder_holds_task_b_in_the_encoder_of_task_a(study_runs: Path, study_module: ModuleType) -> None:
    tuned, crossed, own = (study_runs / part for part in (
        "bbc_topics/tiny/seed-0", "bbc_topics/tiny/seed-0/cross/trec6", "trec6/tiny/seed-0"))  # fmt: skip
    a, b, c = (SnapshotReader(folder / "snapshots") for folder in (tuned, crossed, own))
    assert b.steps == (0, a.steps[-1])
    assert b.epoch(b.steps[-1]) == a.epoch(a.steps[-1])
    pd.testing.assert_frame_equal(b.examples("train"), c.examples("train"))
    # before tuning it is the same encoder, whatever it is tuned on next
    np.testing.assert_allclose(b.vectors(0, "train", 2), c.vectors(0, "train", 2), atol=1e-5)
    assert not np.allclose(b.vectors(b.steps[-1], "train", 2), c.vectors(c.steps[-1], "train", 2), atol=1e-3)
    assert not np.allclose(b.vectors(b.steps[-1], "train", 2), b.vectors(0, "train", 2), atol=1e-3)
    info = RunDir(crossed).info()
    assert (info.task, info.model, info.n_train) == ("trec6", "tiny", 64)
    assert "tuned on bbc_topics, not on trec6" in info.notes[0]


def test_cross_task_of_the_own_task_would_give_the_runs_own_vectors(
    study_runs: Path, data_dir: Path, tmp_path: Path, study_module: ModuleType
) -> None:
    """The same examples through the reloaded checkpoint are the vectors that training stored at its end."""
    copy = tmp_path / "run"
    shutil.copytree(study_runs / "trec6/tiny/seed-0", copy, ignore=shutil.ignore_patterns("results", "wandb"))
    RunDir(copy).save_info(replace(RunDir(copy).info(), task="another"))
    task = task_settings("trec6", data_dir=str(data_dir), limit_train_texts=64, limit_test_texts=32)
    found = run_cross_task(RunDir(copy), task)
    ours, theirs = SnapshotReader(found.run.snapshots), SnapshotReader(copy / "snapshots")
    for step in ours.steps:
        for layer in (0, 1, 2):
            np.testing.assert_allclose(
                ours.vectors(step, "test", layer), theirs.vectors(step, "test", layer), atol=1e-5
            )
    assert run_cross_task(RunDir(copy), task).kept
    assert not run_cross_task(RunDir(copy), task_settings("trec6", data_dir=str(data_dir), limit_train_texts=40)).kept


def test_cross_task_says_what_it_needs(study_runs: Path, tmp_path: Path, data_dir: Path) -> None:
    run_dir = study_runs / "bbc_topics/tiny/seed-1"
    with pytest.raises(RunError, match=r"cross_task=nothing: no such task; expected one of .*bbc_topics"):
        task_settings("nothing")
    with pytest.raises(RunError, match=r"cross_task=bbc_topics is the task that .* was tuned on"):
        run_cross_task(RunDir(run_dir), task_settings("bbc_topics"))
    copy = tmp_path / "run"
    shutil.copytree(run_dir, copy, ignore=shutil.ignore_patterns("checkpoints", "snapshots", "results"))
    with pytest.raises(RunError, match=r"has no checkpoints/last.ckpt, so there is no tuned encoder"):
        run_cross_task(RunDir(copy), task_settings("trec6", data_dir=str(data_dir)))


def test_memorisation_is_what_scikit_learn_finds(study_runs: Path) -> None:
    folder = study_runs / "bbc_topics/tiny/seed-0"
    reader, table = SnapshotReader(folder / "snapshots"), load_run(folder).table
    step, layer = reader.steps[-1], 2
    X, y = np.asarray(reader.vectors(step, "train", layer)), reader.labels("train")
    held = subtest_mask(reader.examples("train")["example_id"].tolist(), y.tolist())
    scaler = StandardScaler().fit(X[~held])
    model = LogisticRegression(max_iter=1000).fit(scaler.transform(X[~held]), y[~held])
    seen = model.score(scaler.transform(X[held]), y[held])
    unseen = model.score(scaler.transform(reader.vectors(step, "test", layer)), reader.labels("test"))
    rows = table[(table.probe == "memorisation") & (table.step == step) & (table.layer == layer)].set_index("measure")
    assert rows.loc["subtest_accuracy", "value"] == pytest.approx(seen, abs=1.01 / held.sum())
    assert rows.loc["unseen_accuracy", "value"] == pytest.approx(unseen, abs=0.032)
    gap = rows.loc["memorisation_gap"]
    assert gap.value == pytest.approx(rows.loc["subtest_accuracy", "value"] - rows.loc["unseen_accuracy", "value"])
    assert gap.low < gap.value < gap.high


def test_study_works_while_a_run_is_missing_its_results(study_runs: Path, tmp_path: Path) -> None:
    part = tmp_path / "runs"
    keep = shutil.ignore_patterns("snapshots", "checkpoints", "wandb")
    shutil.copytree(study_runs / "trec6/tiny/seed-0", part / "trec6/tiny/seed-0", ignore=keep)
    shutil.copytree(study_runs / "bbc_topics/tiny/seed-0", part / "bbc_topics/tiny/seed-0", ignore=keep)
    shutil.rmtree(part / "bbc_topics/tiny/seed-0/results")
    found = study(ProbeConfig(runs=str(part)), problems={})
    assert found.page == part / "study.html"
    assert {row.task: row.status for row in found.summary.rows}["bbc_topics"] == "0 of 1 seeds probed"
    assert "Not probed yet: bbc_topics/tiny/seed-0" in found.page.read_text(encoding="utf-8")


def test_summary_run_is_kept_offline(outcome: StudyOutcome) -> None:
    target = outcome.table_file.parent
    record = json.loads((target / "wandb.json").read_text())
    assert set(record) == {"study"}
    folder = target / record["study"]["folder"]
    assert list(folder.glob("run-*.wandb"))
    media = [path.relative_to(folder).as_posix() for path in folder.rglob("*.table.json")]
    assert sorted({path.split("/")[-1].split("_")[0] for path in media}) == ["claims", "findings", "main"]


def test_sweep_file_has_settings_that_train_takes(project: Path, study_module: ModuleType) -> None:
    sweep = OmegaConf.to_container(OmegaConf.load(project / "conf" / "wandb_sweep.yaml"))
    assert isinstance(sweep, dict)
    assert sweep["command"] == ["${env}", "python", "train.py", "${args_no_hyphens}"]
    overrides = []
    for name, node in sweep["parameters"].items():
        value = node.get("value", node.get("values", [node.get("min")])[0])
        overrides.append(f"{name}={value}")
    composed = study_module.compose_config("train", "run_dir=x", *overrides)
    assert composed.finetuning.learning_rate == 1e-5
    assert composed.task.validation_fraction > 0  # the sweep's metric is the validation accuracy
    assert sweep["metric"]["name"] == "val/accuracy"


OF_METHODS = "methods"
"""The study that is not the paper's."""
EXPERIMENTS = ("e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8", "e9", "paper")


def test_every_experiment_has_its_study_whose_header_gives_the_command() -> None:
    files = sorted((config_dir() / "study").glob("*.yaml"))
    assert [path.stem for path in files] == sorted([*EXPERIMENTS, OF_METHODS, "quick"])
    for path in files:
        assert f"#   python probe.py runs=runs study={path.stem}" in path.read_text(encoding="utf-8"), path.name


def test_every_experiment_is_there_and_says_what_it_costs() -> None:
    files = sorted((config_dir() / "experiment").glob("*.yaml"))
    assert [path.stem for path in files] == sorted([*EXPERIMENTS, OF_METHODS])
    for path in files:
        head = "".join(line for line in path.read_text(encoding="utf-8").splitlines(True) if line.startswith("#"))
        assert head.startswith("# @package _global_\n")
        probing = f"python probe.py runs=runs study={path.stem} select=experiment-{path.stem}"
        of_paper = ("The paper", "One GPU", "2 cores") if path.stem != OF_METHODS else ()
        for part in (f"python train.py experiment={path.stem}", probing, "Cost:", *of_paper):
            assert part in " ".join(head.replace("\n#", " ").split()), (path.name, part)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_compose_and_give_way_to_the_command_line(study_module: ModuleType, name: str) -> None:
    composed = study_module.compose_config(
        "train", "run_dir=x", f"experiment={name}", "model=minilm_l6", "task=trec50", "seed=7", "logger=none"
    )
    assert (composed.model.name, composed.task.name, composed.seed) == ("minilm_l6", "trec50", 7)
    assert (composed.finetuning.learning_rate, composed.finetuning.epochs) == (3e-4, 10)
    assert composed.snapshot.every_n_updates == (5 if name in ("e3", "e6") else None)
    assert list(composed.tags) == [name]


def test_configuration_of_a_cross_task_run_names_the_other_task(study_runs: Path) -> None:
    config = RunDir(study_runs / "bbc_topics/tiny/seed-0/cross/trec6").config()
    assert config["task"]["name"] == "trec6"
    assert config["model"]["name"] == "tiny"
