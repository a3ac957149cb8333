"""The pictures of every example: right coordinates, honest numbers beside them, the same bytes each time."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA

from closerlook import measures as m
from closerlook.probes.film import NO_LABEL, NOT_MEASURED, FilmAnalysis
from closerlook.probes.runner import plan_cells, run_probes
from closerlook.probes.space_probe import Scope
from closerlook.representations.format import TunedHead
from closerlook.representations.reader import SnapshotReader
from closerlook.results.cell_arrays import CellArrays
from closerlook.results.store import ResultStore


def arrays(reader: SnapshotReader, scope: Scope, layer: int, **settings: int) -> dict[str, np.ndarray]:
    probe = FilmAnalysis(**settings)
    found = probe.compute(reader, probe.cells(reader, scope)[layer], scope)
    return next(one.content for one in found if isinstance(one, CellArrays))


@pytest.fixture(scope="module")
def reader(snapshots: Path) -> SnapshotReader:
    return SnapshotReader(snapshots)


def spaces(reader: SnapshotReader, step: int) -> np.ndarray:
    return np.concatenate([reader.vectors(step, split, 1) for split in ("train", "test")]).astype(float)


def test_one_plane_for_all_snapshots_and_one_for_each(reader, scope):
    found = arrays(reader, scope, 1)
    assert found["steps"].tolist() == [0, 5, 10]
    pca = PCA(2).fit(np.concatenate([spaces(reader, step) for step in reader.steps]))
    np.testing.assert_allclose(found["shares"], pca.explained_variance_ratio_)
    for t, step in enumerate(reader.steps):
        joint = np.concatenate([found["train.joint"][t], found["test.joint"][t]])
        np.testing.assert_allclose(np.abs(joint), np.abs(pca.transform(spaces(reader, step))), atol=1e-4)
        own = np.concatenate([found["train.own"][t], found["test.own"][t]])
        best = PCA(2).fit_transform(spaces(reader, step))
        np.testing.assert_allclose(own @ own.T, best @ best.T, atol=1e-3)  # the same but for a turn
    moved = np.linalg.norm(found["train.own"][1] / np.std(found["train.own"][1])
                           - found["train.own"][0] / np.std(found["train.own"][0]), axis=1)  # fmt: skip
    assert np.median(moved) < 0.5, "turned to fit the one before, the labels stay where they were"


def test_what_is_known_of_each_example(reader, scope):
    found = arrays(reader, scope, 1)
    y, X = reader.labels("train"), reader.vectors(10, "train", 1).astype(float)
    centroids = np.stack([X[y == label].mean(axis=0) for label in "abc"])
    distances = np.linalg.norm(X[:, None] - centroids, axis=2)
    own = np.searchsorted(["a", "b", "c"], y)
    np.testing.assert_allclose(found["train.self"][2], distances[np.arange(len(y)), own], rtol=1e-5)
    distances[np.arange(len(y)), own] = np.inf
    np.testing.assert_array_equal(found["train.nearest"][2], distances.argmin(axis=1))
    assert (found["train.predicted"] == NO_LABEL).all(), "no head was stored"
    assert found["train.kept.own"].max() <= 10


def test_the_tuned_heads_answers_are_there_at_its_layer(reader, scope, monkeypatch):
    weights = np.eye(4)[[2, 0, 1, 3]]  # "c", "a", "b" and a label that no stored example has
    head = TunedHead(1, np.array(["c", "a", "b", "unseen"]), weights, np.zeros(4))
    monkeypatch.setattr(SnapshotReader, "head", lambda self, step: head if step else None)
    found = arrays(reader, scope, 1)
    assert found["labels"].tolist() == ["a", "b", "c", "unseen"]
    assert (found["train.predicted"][0] == NO_LABEL).all()
    np.testing.assert_array_equal(found["labels"][found["train.predicted"][2]], reader.labels("train"))
    assert (arrays(reader, scope, 0)["train.predicted"] == NO_LABEL).all()


def test_a_cap_draws_fewer_examples_of_every_label_and_neighbours_of_a_sample(reader, scope):
    found = arrays(reader, scope, 1, max_positions=3 * 2 * 18, n_queries=6)
    assert [len(found[f"{split}.rows"]) for split in ("train", "test")] == [12, 6]
    assert set(reader.labels("train")[found["train.rows"]]) == {"a", "b", "c"}
    kept = found["train.kept.joint"]
    assert ((kept != NOT_MEASURED).sum(axis=1) == 6).all()
    assert arrays(reader, scope, 1, max_snapshots=2)["steps"].tolist() == [0, 10]


def test_cells_are_kept_repeat_bit_for_bit_and_say_how_much_a_picture_shows(reader, scope, tmp_path):
    probe = FilmAnalysis()
    for name in ("one", "two"):
        outcome = run_probes(reader, plan_cells(reader, [probe], scope), ResultStore(tmp_path / name), n_jobs=1)
        assert (outcome.n_computed, outcome.failed) == (2, ())
    one, two = ResultStore(tmp_path / "one"), ResultStore(tmp_path / "two")
    for a, b in zip(one.cells(), two.cells(), strict=True):
        for name, array in one.arrays(a).items():
            np.testing.assert_array_equal(array, two.arrays(b)[name])
    assert run_probes(reader, plan_cells(reader, [probe], scope), one).n_kept == 2
    table = one.table()
    rows = table[(table["measure"] == m.OWN_PLANE_NEIGHBOURS) & (table["split"] == "train") & (table["layer"] == 1)]
    assert rows["step"].tolist() == [0, 5, 10]
    assert rows["control"].tolist() == pytest.approx([10 / 59] * 3)
    assert ((rows["low"] < rows["value"]) & (rows["value"] < rows["high"])).all()
    shown = table[(table["layer"] == 1) & (table["split"] == "train")].set_index(["measure", "step"])["value"]
    assert shown[m.OWN_PLANE_VARIANCE, 10] > 0.95
    shutil.rmtree(tmp_path)


def test_settings_out_of_range_are_one_clear_error():
    with pytest.raises(ValueError, match=r"got max_positions=1500000, max_snapshots=1, k=10; expected at least 1"):
        FilmAnalysis(max_snapshots=1)
