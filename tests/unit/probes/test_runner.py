"""Cells over stored snapshots: kept, recomputed, failing alone, spread over processes and a Dask cluster."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from closerlook import measures as m
from closerlook.probes.centroid_paths import CentroidAnalysis
from closerlook.probes.classifier import LinearClassifierAnalysis, MLPAnalysis, OnlineCodeAnalysis
from closerlook.probes.geometry_change import GeometryAnalysis, TrainTestAnalysis
from closerlook.probes.label_distances import DirectProbeAnalysis
from closerlook.probes.runner import ProbeOutcome, plan_cells, run_probes
from closerlook.probes.space_probe import OneSpaceProbe, Scope, SpaceProbe, where
from closerlook.representations.reader import SnapshotReader
from closerlook.results.rows import ResultRow
from closerlook.results.store import CellKey, ResultStore

STEPS, LAYERS, SPLITS = (0, 5, 10), (0, 1), ("train", "test")
SCOPE = Scope(STEPS, LAYERS, SPLITS)


def run(root: Path, probes: list[SpaceProbe], scope: Scope, store: ResultStore, **options: Any) -> ProbeOutcome:
    reader = SnapshotReader(root)
    return run_probes(reader, plan_cells(reader, probes, scope), store, **options)


def value(table: pd.DataFrame, measure: str, **where: object) -> float:
    chosen = table[table.measure == measure]
    for column, wanted in where.items():
        chosen = chosen[chosen[column] == wanted]
    assert len(chosen) == 1, chosen
    return float(chosen.value.iloc[0])


def test_centroids_move_as_far_as_they_were_pushed(snapshots: Path, tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    run(snapshots, [CentroidAnalysis()], SCOPE, store)
    table = store.table()
    for label in "abc":
        where = {"layer": 1, "split": "train", "label": label}
        assert value(table, m.CENTROID_DISPLACEMENT, step=10, **where) == pytest.approx(10, rel=1e-5)
        assert value(table, m.CENTROID_PATH_LENGTH, step=10, **where) == pytest.approx(10, rel=1e-5)
        assert value(table, m.CENTROID_DISPLACEMENT, step=10, layer=0, split="train", label=label) == 0
    plane = table[(table.layer == 1) & (table.split == "train") & (table.label == "a")]
    x, y = (plane[plane.measure == name].sort_values("step").value.to_numpy() for name in (m.CENTROID_X, m.CENTROID_Y))
    steps = np.hypot(np.diff(x), np.diff(y))
    assert (steps <= 5 + 1e-4).all()  # a projection never lengthens a move


def test_every_probe_answers_on_its_places(snapshots: Path, tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    probes = [
        DirectProbeAnalysis(), LinearClassifierAnalysis(), MLPAnalysis(hidden=(16, 16), n_seeds=2, max_iter=500),
        OnlineCodeAnalysis(n_shuffles=2), TrainTestAnalysis(n_draws=2),
        GeometryAnalysis(n_permutations=19, n_bootstrap=20),
    ]  # fmt: skip
    outcome = run(snapshots, probes, Scope((0, 10), (1,), SPLITS), store)
    assert not outcome.failed
    table = store.table()
    assert value(table, m.N_CLUSTERS, step=10, split="train") == 3
    assert value(table, m.MEAN_MIN_DISTANCE, step=10, split="train") > value(
        table, m.MEAN_MIN_DISTANCE, step=0, split="train"
    )
    for probe in ("linear", "mlp"):
        assert value(table, m.ACCURACY, step=10, probe=probe) == 1.0
    assert value(table, m.COMPRESSION, step=10) > 1.5
    assert value(table, "centroid_growth", step=10, split="train") == pytest.approx(11, rel=0.2)
    growth = value(table, "centroid_growth_over_scatter", step=10, split="train")
    assert growth == pytest.approx(11, rel=0.2)  # the scatter stayed: really apart, not scaled up
    assert value(table, m.SPLIT_HALF_CEILING, step=10, probe="train_test") <= 1
    accuracy = table[(table.measure == m.ACCURACY) & (table.probe == "linear")]
    assert (accuracy.control == pytest.approx(1 / 3)) if len(accuracy) == 1 else (accuracy.control < 0.34).all()


def test_finished_cells_are_kept_and_changed_settings_computed(snapshots: Path, tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    seen: list[CellKey] = []
    first = run(snapshots, [DirectProbeAnalysis()], SCOPE, store, on_cell=seen.append)
    assert (first.n_computed, first.n_kept, len(seen)) == (12, 0, 12)
    again = run(snapshots, [DirectProbeAnalysis()], SCOPE, ResultStore(tmp_path))
    assert (again.n_computed, again.n_kept) == (0, 12)
    other = run(snapshots, [DirectProbeAnalysis(min_cluster_size=2)], SCOPE, ResultStore(tmp_path))
    assert (other.n_computed, other.n_kept) == (12, 0)


@dataclass(frozen=True)
class Fragile(OneSpaceProbe):
    """A probe that fails in one layer."""

    name: str = "fragile"

    def compute(self, reader: SnapshotReader, key: CellKey, scope: Scope) -> list[ResultRow]:
        if key.place.layer == 1:
            raise FloatingPointError("no convergence")
        return [ResultRow(*where(reader, key), "x", value=1.0)]


def test_failing_cell_is_reported_and_sinks_no_other(snapshots: Path, tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    outcome = run(snapshots, [Fragile()], SCOPE, store)
    assert (outcome.n_computed, len(outcome.failed)) == (6, 6)
    assert outcome.failed[0].error == "FloatingPointError: no convergence"
    assert "compute" in outcome.failed[0].traceback
    assert set(store.table().layer) == {0}


def test_last_snapshot_is_looked_at_first(snapshots: Path) -> None:
    plan = plan_cells(SnapshotReader(snapshots), [DirectProbeAnalysis()], SCOPE)
    assert [one.key.place.step for one in plan] == [10] * 4 + [5] * 4 + [0] * 4


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_dask_cluster_gives_the_same_cells(snapshots: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="the dask extra is not installed")
    import joblib

    here = ResultStore(tmp_path / "here")
    run(snapshots, [DirectProbeAnalysis(), CentroidAnalysis()], SCOPE, here)
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, distributed.Client(cluster), joblib.parallel_config(backend="dask"):
        there = ResultStore(tmp_path / "there")
        outcome = run(snapshots, [DirectProbeAnalysis(), CentroidAnalysis()], SCOPE, there)
    assert outcome.n_computed == 16
    pd.testing.assert_frame_equal(here.table(), there.table())
