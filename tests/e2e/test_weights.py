"""probe=[weights] from run to report: numbers against torch, restarts, LoRA, and what is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from transformers import AutoModel

from closerlook import measures as m
from closerlook.cli.console import Console
from closerlook.cli.weight_tables import print_weights
from closerlook.config import config_dir, register, typed
from closerlook.pipelines.fine_tune import train
from closerlook.pipelines.probe_run import ProbeRunOutcome, probe
from closerlook.results.run import RunError
from closerlook.results.run_dir import RunDir
from closerlook.study.weight_verdict import weight_verdict
from closerlook.tracking.log_results import _key

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore:The number of training batches:Warning"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]


def run_probe(run_dir: Path, *overrides: str) -> ProbeRunOutcome:
    register()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        composed = compose("probe", overrides=[f"run_dir={run_dir}", "n_jobs=1", "logger=none", *overrides])
    return probe(typed(composed))


@pytest.fixture(scope="module")
def run_dir(probed_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that others share, without results: full tuning of a tiny BERT."""
    copy = tmp_path_factory.mktemp("weights") / "seed-0"
    shutil.copytree(probed_run, copy, ignore=shutil.ignore_patterns("results", "report.html", "wandb"))
    return copy


@pytest.fixture(scope="module")
def outcome(run_dir: Path) -> ProbeRunOutcome:
    return run_probe(run_dir, "probe=[weights,centroids]")


def value(table: pd.DataFrame, measure: str, layer: int, label: str = "", split: str = "") -> float:
    rows = table[(table["measure"] == measure) & (table["layer"] == layer) & (table["label"] == label)]
    return float(rows.loc[rows["split"] == split, "value"].iloc[-1])


def test_numbers_are_those_of_the_files(outcome: ProbeRunOutcome, run_dir: Path, tiny_bert: Path) -> None:
    before = AutoModel.from_pretrained(tiny_bert).state_dict()
    content = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    after = {name.removeprefix("encoder.backbone."): one for name, one in content.items()}
    table, name = outcome.table, "encoder.layer.1.attention.self.query.weight"
    D, W = after[name].double() - before[name].double(), before[name].double()
    assert value(table, m.WEIGHT_CHANGE, 2, "attention.query") == pytest.approx(float(D.norm() / W.norm()), rel=1e-9)
    spectral = torch.linalg.matrix_norm(D, 2) / torch.linalg.matrix_norm(W, 2)
    assert value(table, m.SPECTRAL_CHANGE, 2, "attention.query") == pytest.approx(float(spectral), rel=1e-9)
    shares = table[(table["measure"] == m.CHANGE_SHARE)]
    assert shares[shares["label"] == ""]["value"].sum() == pytest.approx(1)
    assert shares[shares["label"] != ""]["value"].sum() == pytest.approx(1)
    assert set(table["layer"]) == {0, 1, 2}
    assert not outcome.probes.failed


def test_a_second_time_nothing_is_computed_and_nothing_of_the_vectors_is_needed(
    outcome: ProbeRunOutcome, run_dir: Path, tmp_path: Path
) -> None:
    assert run_probe(run_dir, "probe=[weights]", "report=false").probes.n_computed == 0
    bare = tmp_path / "seed-0"
    shutil.copytree(run_dir, bare, ignore=shutil.ignore_patterns("snapshots", "results", "report.html"))
    again = run_probe(bare, "probe=[weights]", "layers=[2]", "report=false")
    assert again.probes.n_computed == 1
    of_weights = outcome.table[(outcome.table["probe"] == "weights") & (outcome.table["split"] == "")]
    expected = of_weights[of_weights["layer"] == 2].reset_index(drop=True)
    pd.testing.assert_frame_equal(again.table.reset_index(drop=True), expected)


def test_what_people_see(outcome: ProbeRunOutcome, capsys: pytest.CaptureFixture[str]) -> None:
    page = outcome.report.read_text(encoding="utf-8") if outcome.report else ""
    assert "Which weights changed?" in page
    assert '"weights_intruder_dimensions"' in page
    assert "Of the squared change: attention" in page
    print_weights(Console(width=80), outcome.table, "title")
    said = capsys.readouterr().out
    assert all(len(line.rstrip()) <= 80 for line in said.splitlines())
    assert "…" not in said
    keys = {_key(row) for row in outcome.table[outcome.table["label"] == ""].itertuples()}
    assert {"weights/layer_02/weight_change", "weights/train/layer_02/vector_change"} <= keys


def test_lora_is_an_update_of_its_rank(small: tuple[str, ...], tmp_path: Path) -> None:
    register()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        more = ["method=lora", "method.rank=2", "logger=none", "finetuning.epochs=1", f"run_dir={tmp_path / 'run'}"]
        train(typed(compose("train", overrides=[*small, *more])))
    table = run_probe(tmp_path / "run", "probe=[weights]", "report=false").table
    ranks = table[table["measure"] == m.CHANGE_RANK].set_index(["layer", "label"])["value"]
    adapted = {(layer, f"attention.{role}") for layer in (1, 2) for role in ("query", "value")}
    assert set(ranks[ranks == 2].index) == adapted
    assert set(ranks[ranks == 0].index) == set(ranks.index) - adapted
    verdict = weight_verdict(table)
    assert verdict is not None
    assert verdict.changed == (1, 2)
    assert "No matrix changed in more than 2 directions" in " ".join(verdict.sentences)
    assert value(table, m.VECTOR_CHANGE, 0, split="train") == 0


def test_what_cannot_be_compared_is_said_and_harms_no_other_probe(run_dir: Path, tmp_path: Path) -> None:
    def copy(name: str) -> Path:
        return Path(shutil.copytree(run_dir, tmp_path / name, ignore=shutil.ignore_patterns("results", "report.html")))

    (copy("gone") / "checkpoints" / "last.ckpt").unlink()
    found = run_probe(tmp_path / "gone", "probe=[weights,centroids]", "report=false")
    assert [one.error for one in found.probes.failed if "has no checkpoints/last.ckpt" in one.error]
    assert set(found.table["probe"]) >= {"centroids"}
    with (copy("cut") / "checkpoints" / "last.ckpt").open("r+b") as file:
        file.truncate(1000)
    found = run_probe(tmp_path / "cut", "probe=[weights]", "layers=[1]", "report=false")
    assert "SHA-256 is not the one that was recorded" in found.probes.failed[0].error
    shutil.rmtree(tmp_path / "cut" / "snapshots")
    shutil.rmtree(tmp_path / "cut" / "results")
    with pytest.raises(RunError, match="all 1 cells failed"):
        run_probe(tmp_path / "cut", "probe=[weights]", "layers=[1]", "report=false")
    run = RunDir(copy("other"))
    run.save_info(replace(run.info(), model_revision="sha256:0"))
    found = run_probe(tmp_path / "other", "probe=[weights]", "layers=[1]", "report=false")
    assert "is not the one that the run was made with" in found.probes.failed[0].error
