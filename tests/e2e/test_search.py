"""A search over settings is scored on validation; what is finished gives its score again; no score is an error."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from closerlook.results.run_dir import RunDir

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("hydra_plugins") is None or find_spec("hydra_plugins.hydra_optuna_sweeper") is None,
        reason="hydra_plugins.hydra_optuna_sweeper is not installed: pip install hydra-optuna-sweeper",
    ),
]


@pytest.fixture(scope="module")
def server(project: Path, fixture_module: Callable[[str], ModuleType]) -> Iterator[Any]:
    made = fixture_module("command_server").CommandServer(project)
    yield made
    made.close()


@pytest.fixture
def search(small: tuple[str, ...], tmp_path: Path) -> list[str]:
    return [
        "train.py", "-m", *(item for item in small if "learning_rate" not in item), "logger=none",
        f"paths.runs_dir={tmp_path}/runs", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=1",
        "hydra.sweeper.direction=maximize", "finetuning.learning_rate=choice(1e-5,3e-3)",
        "hydra.sweeper.sampler.seed=1",
    ]  # fmt: skip


def scores(tmp_path: Path) -> dict[str, tuple[float, float]]:
    """By run, the last validation accuracy and the test accuracy."""
    found = {}
    for path in (tmp_path / "runs").rglob("metrics.csv"):
        history = RunDir(path.parent).history()
        found[path.parent.name] = tuple(history[f"{s}/accuracy"].dropna().iloc[-1] for s in ("val", "test"))
    return found


def test_best_trial_is_the_best_on_validation_and_the_same_search_runs_again(
    server: Any, search: list[str], tmp_path: Path
) -> None:
    command = [*search, "task.validation_fraction=0.3"]
    first = server.run(*command, cwd=tmp_path)
    assert first.code == 0, first.err + first.out
    best = yaml.safe_load(next((tmp_path / "runs").rglob("optimization_results.yaml")).read_text())
    assert best["best_value"] == pytest.approx(max(val for val, _ in scores(tmp_path).values()))
    states = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("state.json")}
    assert states
    again = server.run(*command, cwd=tmp_path)
    assert again.code == 0, again.err + again.out
    assert {path: path.stat().st_mtime_ns for path in states} == states  # nothing was trained again
    second = yaml.safe_load(next((tmp_path / "runs").rglob("optimization_results.yaml")).read_text())
    assert second["best_value"] == best["best_value"]


def test_a_search_without_a_score_fails_and_says_why(server: Any, search: list[str], tmp_path: Path) -> None:
    done = server.run(*search, "task.validation_fraction=0", cwd=tmp_path)
    assert done.code != 0
    assert "the search has no score" in done.err + done.out
    assert "Set task.validation_fraction" in done.err + done.out


def test_refused_trials_make_the_exit_status_non_zero(server: Any, search: list[str], tmp_path: Path) -> None:
    command = [*search, "task.validation_fraction=0.3"]
    assert server.run(*command, cwd=tmp_path).code == 0
    for path in (tmp_path / "runs").rglob("state.json"):  # made by other settings, as far as it says
        state = json.loads(path.read_text())
        config = path.with_name("config.yaml")
        state.pop("checksum", None)
        path.write_text(json.dumps(state | {"identity": "other"}))
        text = re.sub(r"batch_size: 16", "batch_size: 8", config.read_text())
        run = RunDir(path.parent)
        run.save_config("\n".join(line for line in text.splitlines() if not line.startswith("# checksum")))
    done = server.run(*command, cwd=tmp_path)
    assert done.code != 0
    assert "holds a run with other settings" in done.err + done.out
