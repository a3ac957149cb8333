"""Witnesses of hull distances against an independent QP, and under moves that change no distance."""

from pathlib import Path

import clarabel
import numpy as np
import pytest
from scipy import sparse

from closerlook import measures as m
from closerlook.probes import fitted_space
from closerlook.probes.label_distances import DirectProbeAnalysis
from closerlook.probes.runner import plan_cells, run_probes
from closerlook.probes.space_probe import Scope
from closerlook.probes.witnesses import Space, WitnessAnalysis, find_witnesses, heaviest, kept_apart
from closerlook.probing import DirectProbe
from closerlook.representations.reader import SnapshotReader
from closerlook.results.packed import pack, unpack
from closerlook.results.store import ResultStore
from closerlook.results.witnesses import PairWitnesses, read_kept_apart, read_witnesses, witness_flags


def blobs(d: int, n: int, apart: float, seed: int = 0) -> Space:
    rng = np.random.default_rng(seed)
    y = np.array(["b", "a", "c"])[np.arange(n) % 3]
    centres = {"a": np.eye(3, d)[0], "b": np.eye(3, d)[1], "c": np.eye(3, d)[2]}
    return Space(rng.normal(size=(n, d)) * 0.3 + apart * np.array([centres[label] for label in y]), y, "00000000")


def witnesses(space: Space) -> dict[tuple[str, str], PairWitnesses]:
    probe = DirectProbe().fit(space.X, space.y)
    return {(pair.label, pair.other): pair for pair in find_witnesses(space, probe)}


def qp_weights(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Convex weights of the closest points of two hulls by clarabel's interior-point method."""
    points = np.vstack([A, -B])
    n, n_a = len(points), len(A)
    sums = np.zeros((2, n))
    sums[0, :n_a] = sums[1, n_a:] = 1
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-13
    solver = clarabel.DefaultSolver(
        sparse.csc_matrix(np.triu(points @ points.T)), np.zeros(n),
        sparse.csc_matrix(np.vstack([sums, -np.eye(n)])), np.concatenate([[1, 1], np.zeros(n)]),
        [clarabel.ZeroConeT(2), clarabel.NonnegativeConeT(n)], settings,
    )  # fmt: skip
    return np.asarray(solver.solve().x)


@pytest.mark.parametrize(("d", "n"), [(2, 30), (4, 90), (12, 60)])
def test_weights_are_those_of_an_independent_qp(d: int, n: int) -> None:
    space = blobs(d, n, apart=3.0 if d > 2 else 9.0)
    for (a, b), pair in witnesses(space).items():
        rows_a, rows_b = np.flatnonzero(space.y == a), np.flatnonzero(space.y == b)
        expected = np.zeros(n)
        expected[np.r_[rows_a, rows_b]] = qp_weights(space.X[rows_a], space.X[rows_b])
        found = np.zeros(n)
        found[pair.rows] = pair.weights
        np.testing.assert_allclose(found, expected, atol=1e-5)  # points in general position: the weights are unique
        for side in (pair.first, ~pair.first):
            assert pair.weights[side].sum() == pytest.approx(1, abs=1e-12)
            assert (np.diff(pair.weights[side]) <= 0).all()
        between = np.where(pair.first, pair.weights, -pair.weights) @ space.X[pair.rows]
        assert np.linalg.norm(between) == pytest.approx(pair.distance, rel=1e-5)
        assert (space.y[pair.rows[pair.first]] == a).all()
        assert (space.y[pair.rows[~pair.first]] == b).all()


def test_rotation_scale_shift_and_order_of_the_examples_keep_the_witnesses() -> None:
    space, rng = blobs(6, 60, apart=3.0), np.random.default_rng(1)
    before = witnesses(space)
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    order = rng.permutation(60)
    moved = Space((7.5 * space.X @ turn + rng.normal(size=6))[order], space.y[order], space.examples)
    for key, pair in witnesses(moved).items():
        found = dict(zip(order[pair.rows].tolist(), pair.weights.tolist(), strict=True))
        expected = dict(zip(before[key].rows.tolist(), before[key].weights.tolist(), strict=True))
        assert found == pytest.approx(expected, abs=1e-5)
        assert pair.distance == pytest.approx(7.5 * before[key].distance, rel=1e-5)
        assert pair.nearest_of == before[key].nearest_of


def test_without_a_witness_labels_are_further_apart_and_without_another_example_they_are_not() -> None:
    space = blobs(5, 45, apart=3.0)
    pair = witnesses(space)["a", "b"]
    for row in np.flatnonzero(np.isin(space.y, ["a", "b"])):
        rest = np.delete(np.arange(45), row)
        without = witnesses(Space(space.X[rest], space.y[rest], ""))["a", "b"].distance
        assert without > pair.distance * (1 + 1e-6) if row in pair.rows else without == pytest.approx(pair.distance)


def test_where_labels_meet_the_mixtures_coincide() -> None:
    space = blobs(3, 90, apart=0.5)
    pairs = witnesses(space)
    meeting = [pair for pair in pairs.values() if pair.meets]
    assert meeting
    for pair in meeting:
        common = [pair.weights[side] @ space.X[pair.rows[side]] for side in (pair.first, ~pair.first)]
        np.testing.assert_allclose(common[0], common[1], atol=1e-10)


def test_an_extra_cluster_names_what_lies_between_it_and_the_rest_of_its_label() -> None:
    line = np.array([[0.0, 0.0], [0.2, 0.1], [0.1, -0.1], [2.0, 0.3], [2.0, -0.3], [4.0, 0.0]])
    space = Space(line, np.array(["a", "a", "a", "b", "b", "a"]), "")
    (one,) = kept_apart(space, DirectProbe().fit(space.X, space.y))
    assert (one.label, one.other, one.size, one.members.tolist()) == ("a", "b", 1, [5])
    assert set(one.foreign.tolist()) <= {3, 4}
    assert 5 in one.own
    np.testing.assert_allclose(one.own_weights @ line[one.own], one.foreign_weights @ line[one.foreign], atol=1e-12)


def test_an_example_whose_vector_another_label_has_is_named_with_it() -> None:
    X = np.array([[0.0, 0.0], [0.0, 1.0], [5.0, 0.0], [5.0, 1.0], [5.0, 1.0]])
    space = Space(X, np.array(["a", "a", "b", "b", "a"]), "")
    apart = kept_apart(space, DirectProbe().fit(space.X, space.y))
    assert [(one.label, one.members.tolist(), one.foreign.tolist()) for one in apart if one.label == "a"] == [
        ("a", [4], [3])
    ]


def test_direct_and_witnesses_share_one_fit_and_the_table_gives_the_witnesses_back(
    snapshots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = []
    original = DirectProbe.fit
    monkeypatch.setattr(DirectProbe, "fit", lambda self, *args: fits.append(1) or original(self, *args))
    reader, store, scope = SnapshotReader(snapshots), ResultStore(tmp_path), Scope((0, 5, 10), (0, 1), ("train",))
    outcome = run_probes(reader, plan_cells(reader, [DirectProbeAnalysis(), WitnessAnalysis()], scope), store)
    assert not outcome.failed
    assert len(fits) == 6  # two layers, three snapshots
    table = store.table()
    pairs = read_witnesses(table, layer=1, split="train", step=10)
    space = Space(reader.vectors(10, "train", 1), reader.labels("train"), "")
    expected = witnesses(space)
    assert [pair.distance for pair in pairs] == sorted(pair.distance for pair in expected.values())
    for pair in pairs:
        same = expected[pair.label, pair.other]
        np.testing.assert_array_equal(pair.rows, same.rows)
        np.testing.assert_allclose(pair.weights, same.weights, atol=1e-7)
        assert (pair.n_all, pair.nearest_of) == (same.n_all, same.nearest_of)
        np.testing.assert_array_equal(pair.first, same.first)
    assert read_kept_apart(table, layer=1, split="train", step=10) == ()
    flags = witness_flags(pairs, len(space.y))
    share = table[(table.measure == m.WITNESS_SHARE) & (table.layer == 1) & (table.step == 10)]
    assert share["value"].iloc[0] == pytest.approx((flags > 0).mean())
    fitted_space._last = None


def test_of_many_labels_nearest_partners_are_whole_and_other_pairs_are_capped(snapshots: Path, tmp_path: Path) -> None:
    reader, store = SnapshotReader(snapshots), ResultStore(tmp_path)
    probe = WitnessAnalysis(max_pairs=2, max_witnesses=1)
    run_probes(reader, plan_cells(reader, [probe], Scope((10,), (1,), ("train",))), store)
    pairs = read_witnesses(store.table(), layer=1, split="train", step=10)
    assert len(pairs) == 2
    for pair in pairs:
        assert len(pair.rows) == sum(pair.n_all) if pair.nearest_of else min(pair.n_all[0], 1) + min(pair.n_all[1], 1)
    light = heaviest(pairs[0], 1)
    assert light.rows.tolist() == [pairs[0].rows[0], pairs[0].rows[pairs[0].first.sum()]]


def test_proofs_that_did_not_fit_into_memory_are_found_again_for_nearest_partners(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    space = blobs(4, 60, apart=3.0)
    whole = witnesses(space)
    monkeypatch.setattr("closerlook.probing.pairwise._CERTIFICATE_BYTES", 64)
    probe = DirectProbe().fit(space.X, space.y)
    assert probe.hints_.labels == ()
    monkeypatch.undo()
    for pair in find_witnesses(space, probe):
        same = whole[pair.label, pair.other]
        assert pair.nearest_of == same.nearest_of
        assert pair.nearest_of
        np.testing.assert_array_equal(np.sort(pair.rows), np.sort(same.rows))


@pytest.mark.parametrize(
    "text", ["", "x", "0 [1] !", '0 [["a","<f4",3]] 0', '0 [["a","<f4",99999999]] c$}', "0 [[1]] x"]
)
def test_a_note_that_is_not_packed_arrays_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected arrays as pack writes them"):
        unpack(text)


def test_packed_arrays_come_back() -> None:
    arrays = {"rows": np.array([3, 70_000], dtype=np.int32), "none": np.empty(0, dtype=np.float32)}
    found, examples = unpack(pack(arrays, "0123abcd"))
    assert examples == "0123abcd"
    assert {name: values.tolist() for name, values in found.items()} == {"rows": [3, 70_000], "none": []}
    with pytest.raises(ValueError, match="rows: got int64"):
        pack({"rows": np.array([1])}, "")
