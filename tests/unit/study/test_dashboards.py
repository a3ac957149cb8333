"""Dashboards as code: what would be sent to a W&B server, checked without one."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from closerlook import measures as m
from closerlook.pipelines.dashboards import dashboards
from closerlook.pipelines.join_runs import StudyOutcome
from closerlook.results.run import RunError
from closerlook.results.tables import USUAL_PROBE
from closerlook.study.claims import claims_of
from closerlook.study.join import Study
from closerlook.study.main_table import StudySummary
from closerlook.tracking import metric_names as names
from closerlook.tracking.workspace import SECTIONS, DashboardSettings, write_dashboards

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("wandb_workspaces") is None, reason="needs pip install 'closerlook[dashboards]'"
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both JSON files, read back."""
    folder = tmp_path_factory.mktemp("dashboards")
    paths = write_dashboards(DashboardSettings(project="mine"), claims_of([]), folder)
    assert [path.name for path in paths] == ["workspace.json", "report.json"]
    workspace, report = (json.loads(path.read_text()) for path in paths)
    return workspace, report


def test_workspace_has_the_five_sections_with_panels(written: tuple[dict[str, Any], dict[str, Any]]) -> None:
    bank = written[0]["spec"]["section"]["panelBankConfig"]["sections"]
    ours = [section for section in bank if section["name"] in SECTIONS]
    assert [section["name"] for section in ours] == list(SECTIONS)
    assert all(section["panels"] for section in ours)
    assert written[0]["project"] == "mine"


def test_every_plot_is_over_epochs(written: tuple[dict[str, Any], dict[str, Any]]) -> None:
    bank = written[0]["spec"]["section"]["panelBankConfig"]["sections"]
    lines = [panel for section in bank for panel in section["panels"] if panel["viewType"] == "Run History Line Plot"]
    assert len(lines) >= 20
    assert {panel["config"]["xAxis"] for panel in lines} == {names.EPOCH}


def test_runs_are_grouped_by_task_and_model(written: tuple[dict[str, Any], dict[str, Any]]) -> None:
    runs = written[0]["spec"]["section"]["runSets"][0]
    assert [key["name"] for key in runs["grouping"]] == ["run.value.task", "run.value.model"]
    assert "config:run.value.seed" in runs["runFeed"]["columnPinned"]


def test_panels_name_keys_that_are_logged(written: tuple[dict[str, Any], dict[str, Any]]) -> None:
    bank = written[0]["spec"]["section"]["panelBankConfig"]["sections"]
    keys = {key for section in bank for panel in section["panels"] for key in panel["config"].get("metrics") or ()}
    wanted = names.space_metric(USUAL_PROBE[m.MEAN_MIN_DISTANCE], m.MEAN_MIN_DISTANCE, split="train", layer=6)
    assert wanted == "probe/train/layer_06/mean_min_distance"
    assert wanted in keys
    assert "probe/test/layer_06/accuracy" in keys
    assert "mlp/test/layer_06/accuracy" in keys
    assert "train/loss" in keys
    assert "memorisation/train-test/layer_06/memorisation_gap" in keys


@pytest.mark.parametrize(
    ("depths", "layers"),
    [((1,), (1,)), ((2,), (1, 2)), ((6,), (1, 3, 4, 6)), ((12,), (1, 5, 8, 12)), ((2, 4, 8, 12), (1, 2, 4, 8, 12))],
)
def test_layers_shown_are_few_and_have_both_ends(depths: tuple[int, ...], layers: tuple[int, ...]) -> None:
    assert DashboardSettings(depths=depths).layers == layers


def test_report_holds_the_claims_table(written: tuple[dict[str, Any], dict[str, Any]]) -> None:
    text = json.dumps(written[1])
    assert "Tuning raises the accuracy of a probe trained from scratch." in text
    assert "12 claims: 12 not testable." in text
    assert "study/findings" in text


def test_writing_asks_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*args: object) -> None:
        raise AssertionError("a server was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert all(path.is_file() for path in write_dashboards(DashboardSettings(), claims_of([]), tmp_path))


def outcome(folder: Path) -> StudyOutcome:
    """A study of nothing."""
    empty = Study(folder, (), pd.DataFrame(), {})
    summary = StudySummary((), ())
    return StudyOutcome(empty, (), summary, claims_of([]), None, folder / "study.parquet", folder / "claims.json", 0.0)


def test_modes_of_the_command(tmp_path: Path) -> None:
    assert dashboards(False, outcome(tmp_path), {}) == {}
    with pytest.raises(RunError, match=r"dashboards=later: expected dry_run \(or --dry-run\), save, or null"):
        dashboards("later", outcome(tmp_path), {})


def test_saving_without_a_key_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.raises(
        RunError, match=r"no API key was found: run `wandb login` or set WANDB_API_KEY, or .* --dry-run"
    ):
        dashboards("save", outcome(tmp_path), {})


def test_a_missing_package_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces.workspaces", None)
    for name in [name for name in sys.modules if name.startswith("wandb_workspaces.reports")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(RunError, match=r"Install it with `pip install 'closerlook\[dashboards\]'`"):
        dashboards("dry_run", outcome(tmp_path), {})
