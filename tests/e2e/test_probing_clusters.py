"""Cells of a real run computed on a Dask and on a Ray cluster are those of one process."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from closerlook.pipelines.cluster import spread_over
from closerlook.probes.centroid_paths import CentroidAnalysis
from closerlook.probes.classifier import LinearClassifierAnalysis
from closerlook.probes.label_distances import DirectProbeAnalysis
from closerlook.probes.runner import plan_cells, run_probes
from closerlook.probes.space_probe import Scope
from closerlook.representations.reader import SnapshotReader
from closerlook.results.run import RunError
from closerlook.results.store import ResultStore

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(("name", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_cluster_gives_the_same_cells(
    name: str, package: str, probed_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install 'closerlook[{name}]'")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.chdir(probed_run)  # the workers stand elsewhere
    root = Path("snapshots")
    reader = SnapshotReader(root)
    scope = Scope(reader.steps, reader.layers, reader.splits)
    probes = [DirectProbeAnalysis(), CentroidAnalysis(), LinearClassifierAnalysis()]
    here, there = ResultStore(tmp_path / "here"), ResultStore(tmp_path / "there")
    work = plan_cells(reader, probes, scope)
    run_probes(reader, work, here, n_jobs=1)
    with spread_over(name):
        outcome = run_probes(reader, work, there, n_jobs=-1)
    assert not outcome.failed
    assert outcome.n_computed == len(work) == 33
    pd.testing.assert_frame_equal(here.table(), there.table())


@pytest.mark.slow
def test_command_takes_a_cluster(probed_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="the dask extra is not installed")
    run_dir = tmp_path / "seed-0"
    shutil.copytree(probed_run, run_dir)
    before = ResultStore(run_dir / "results").table()
    shutil.rmtree(run_dir / "results")
    command = [sys.executable, "-m", "closerlook.cli.probe", f"run_dir={run_dir}", "cluster=dask"]
    options = ["probe=[centroids]", "logger=none", "report=false", f"hydra.run.dir={tmp_path}"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert "distributed" not in done.stderr + done.stdout  # its chatter
    after = ResultStore(run_dir / "results").table()
    assert len(after) > 0
    kept = before[before["probe"].isin(set(after["probe"]))].reset_index(drop=True)
    order = ["probe", "measure", "step", "layer", "split", "label", "other"]
    pd.testing.assert_frame_equal(
        after.sort_values(order).reset_index(drop=True), kept.sort_values(order).reset_index(drop=True)
    )


def test_unknown_cluster_is_named() -> None:
    with pytest.raises(RunError, match="cluster=spark: expected dask, ray, "), spread_over("spark"):
        pass


def test_cluster_whose_package_is_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(RunError, match=r"cluster=ray needs .*pip install 'closerlook\[ray\]'"), spread_over("ray"):
        pass


@pytest.mark.slow
def test_cluster_that_does_not_answer_is_one_clear_error() -> None:
    pytest.importorskip("distributed", reason="the dask extra is not installed")
    with (
        pytest.raises(RunError, match=r"cluster=dask@tcp://127\.0\.0\.1:9 does not answer"),
        spread_over("dask@tcp://127.0.0.1:9"),
    ):
        pass
