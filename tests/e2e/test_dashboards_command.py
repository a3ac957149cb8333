"""``probe.py runs=... dashboards=...``: JSON on disk, saved on a server, and panels that show what runs log."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from closerlook.tracking.workspace import SECTIONS

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        importlib.util.find_spec("wandb_workspaces") is None, reason="needs pip install 'closerlook[dashboards]'"
    ),
    pytest.mark.filterwarnings("ignore:.*did not reach a relative gap.*"),  # bounds of each distance are kept
]
KEY = "0123456789" * 4


@pytest.fixture
def runs(study_runs: Path, tmp_path: Path) -> Path:
    """One probed run, alone in a folder that may be written to."""
    left_out = shutil.ignore_patterns("snapshots", "checkpoints", "cross", "wandb")
    shutil.copytree(study_runs / "trec6/tiny/seed-0", tmp_path / "runs/trec6/tiny/seed-0", ignore=left_out)
    return tmp_path / "runs"


def command(project: Path, runs: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    keep = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    line = [sys.executable, str(project / "probe.py"), "runs=runs", *arguments]
    settings: dict[str, Any] = {
        "cwd": runs.parent,
        "capture_output": True,
        "text": True,
        "timeout": 300,
        "check": False,
    }
    return subprocess.run(line, env=keep | {"HOME": str(runs.parent), **env}, **settings)


def test_a_server_that_is_not_there_is_told_in_one_line(project: Path, runs: Path) -> None:
    done = command(project, runs, "dashboards=true", "logger=none", "report=false",
                   WANDB_API_KEY=KEY, WANDB_BASE_URL="http://127.0.0.1:9")  # fmt: skip
    assert done.returncode == 1
    message = r"error: W&B: the dashboards of closerlook could not be saved \(.*\). Check the network"
    assert re.search(message, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert KEY not in done.stdout + done.stderr
    assert (runs / "claims.json").is_file()  # joined all the same


def test_both_are_saved_in_the_project_of_the_logger(project: Path, runs: Path, wandb_server: ModuleType) -> None:
    with wandb_server.serving("works") as server:
        done = command(project, runs, "dashboards=save", "logger.wandb.project=mine", "logger.wandb.offline=true",
                       "report=false", WANDB_API_KEY=KEY, WANDB_BASE_URL=server.url)  # fmt: skip
    assert done.returncode == 0, done.stderr
    sent = [json.loads(body)["variables"] for path, body in server.received if "upsertView" in body]
    assert [(one["entityName"], one["projectName"]) for one in sent] == [("team", "mine")] * 2
    report, workspace = sent
    assert report["displayName"] == "How fine-tuning changed the space"
    assert "12 claims: " in report["spec"]
    sections = json.loads(workspace["spec"])["section"]["panelBankConfig"]["sections"]
    assert set(SECTIONS) <= {section["name"] for section in sections}
    assert f"W&B workspace: {server.url}/team/mine?nw=" in done.stdout
    assert f"W&B report: {server.url}/team/mine/reports/" in done.stdout
    assert KEY not in done.stdout + done.stderr


PROBES = ("direct", "centroids", "linear", "mlp", "mlp_grid", "geometry", "memorisation", "train_test")
SMALL = ("probe.mlp.n_seeds=1", "probe.mlp.max_iter=5", "probe.mlp_grid.units=[8]", "probe.mlp_grid.alphas=[1e-3]",
         "probe.mlp_grid.n_seeds=1", "probe.mlp_grid.max_iter=5", "probe.train_test.n_draws=1")  # fmt: skip


@pytest.fixture(scope="module")
def logged(project: Path, probed_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], Path, str]:
    """Every key that a run logs from training to the study, the folder of the dashboards, what the command said."""
    runs = tmp_path_factory.mktemp("logged") / "runs"
    shutil.copytree(probed_run, runs / "seed-0")
    wanted = f"probe=[{','.join(PROBES)}]"
    settings = (wanted, *SMALL, "layers=blocks", "n_jobs=1", "report=false")
    done = command(project, runs, "each=true", "dashboards=true", "--dry-run", *settings, WANDB_MODE="offline")
    assert done.returncode == 0, done.stderr
    keys = set()
    for path in [*runs.glob("seed-0/wandb/*/run-*.wandb"), *runs.glob("wandb/*/run-*.wandb")]:
        line = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
        text = subprocess.run(line, capture_output=True, text=True, check=True, timeout=120).stdout
        records = [json.loads(one) for one in text.splitlines()]
        keys |= {key for one in records if one["type"] == "history" for key in one["history"]["item"]}
    keys |= {key.removesuffix("._type") for key in keys}  # of a table or figure, leet prints a key a field
    return keys, runs / "dashboards", done.stdout


def test_dry_run_writes_both_as_json_and_says_where(logged: tuple[set[str], Path, str]) -> None:
    _, folder, told = logged
    workspace, report = (json.loads((folder / f"{name}.json").read_text()) for name in ("workspace", "report"))
    bank = workspace["spec"]["section"]["panelBankConfig"]["sections"]
    assert [section["name"] for section in bank if section["name"] in SECTIONS] == list(SECTIONS)
    assert "12 claims: " in json.dumps(report)
    for name in ("workspace", "report"):
        assert f"W&B {name}: runs/dashboards/{name}.json" in told


def test_every_panel_shows_what_runs_log(logged: tuple[set[str], Path, str]) -> None:
    keys, folder, _ = logged
    bank = json.loads((folder / "workspace.json").read_text())["spec"]["section"]["panelBankConfig"]["sections"]
    panels = [panel["config"] for section in bank if section["name"] in SECTIONS for panel in section["panels"]]
    named = {key for panel in panels for key in [*(panel.get("metrics") or []), *(panel.get("mediaKeys") or [])]}
    assert len(named) == 45  # two layers
    assert named <= keys, sorted(named - keys)
    patterns = [panel["metricRegex"] for panel in panels if panel.get("metricRegex")]
    assert len(patterns) == 2
    for pattern in patterns:
        assert len([key for key in keys if re.fullmatch(pattern, key)]) == 5, pattern  # a line a topic
    tables = set(re.findall(r"study/[a-z_]+", json.dumps([panel for panel in panels if "panel2Config" in panel])))
    assert tables == {"study/claims", "study/findings", "study/main_table"}
    assert tables <= keys
