from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from closerlook import measures as m
from closerlook.probes.derived import plan_derived
from closerlook.probes.label_distances import LabelDistances, distance_rows
from closerlook.probes.space_probe import Where
from closerlook.results.rows import Place, ResultRow
from closerlook.results.store import Cell, CellKey

LABELS = ("a", "b", "c", "d")


def distances(seed: int, n: int = 4) -> np.ndarray:
    values = np.random.default_rng(seed).uniform(1, 2, size=(n, n))
    matrix = np.triu(values, 1)
    return matrix + matrix.T


def direct_cell(step: int, split: str, matrix: np.ndarray, labels: tuple[str, ...] = LABELS) -> Cell:
    off = matrix + np.diag(np.full(len(matrix), np.nan))
    minimum = np.array([np.nan if np.isnan(row).all() else np.nanmin(row) for row in off])
    found = LabelDistances(labels, 10, len(labels), 0, matrix, minimum, minimum, minimum)
    place = Place("direct", 6, split, step)
    return Cell.of(CellKey(place, f"d{step}{split}"), 0.0, distance_rows(found, Where(place, step / 10)))


def linear_cell(step: int, counts: dict[tuple[str, str], int]) -> Cell:
    place = Place("linear", 6, "test", step)
    rows = [ResultRow(place, 0.0, m.CONFUSION, a, b, float(n)) for (a, b), n in counts.items()]
    return Cell.of(CellKey(place, f"l{step}"), 0.0, rows)


def derived(*cells: Cell) -> dict[tuple[str, str, int], ResultRow]:
    rows = [row for plan in plan_derived(cells) for row in plan.compute()]
    return {(row.measure, row.place.split, row.place.step or 0): row for row in rows}


def test_similarity_is_the_correlation_of_label_distance_vectors() -> None:
    first, later = distances(0), distances(1)
    rows = derived(direct_cell(0, "train", first), direct_cell(10, "train", later))
    upper = np.triu_indices(4, 1)
    row = rows[m.SIMILARITY_TO_FIRST, "train", 10]
    assert row.value == pytest.approx(pearsonr(first[upper], later[upper])[0])
    assert row.n == 6
    assert "Mantel p" in row.note
    assert rows[m.RANK_SIMILARITY, "train", 10].value == pytest.approx(spearmanr(first[upper], later[upper])[0])
    assert rows[m.SIMILARITY_TO_FIRST, "train", 0].value == pytest.approx(1.0)


def test_train_and_test_are_compared_on_the_labels_that_both_have() -> None:
    train, test = distances(0), distances(2, 3)
    rows = derived(direct_cell(0, "train", train), direct_cell(0, "test", test, ("a", "b", "d")))
    row = rows[m.TRAIN_TEST_SIMILARITY, "train-test", 0]
    common = np.array([train[0, 1], train[0, 3], train[1, 3]])
    assert row.value == pytest.approx(pearsonr(common, test[np.triu_indices(3, 1)])[0])
    assert row.n == 3


def test_undefined_distances_drop_out_and_are_counted() -> None:
    first, later = distances(0), distances(1)
    later[0, 1] = later[1, 0] = np.nan
    row = derived(direct_cell(0, "train", first), direct_cell(10, "train", later))[m.SIMILARITY_TO_FIRST, "train", 10]
    assert row.n == 5


def test_errors_on_the_closest_pair_are_all_on_the_closest_third() -> None:
    matrix = distances(0) + 5
    matrix[0, 1] = matrix[1, 0] = 0.1
    matrix[2, 3] = matrix[3, 2] = 0.2
    counts = {("a", "a"): 5, ("a", "b"): 4, ("b", "b"): 5, ("c", "c"): 5, ("c", "d"): 2, ("d", "d"): 5}
    rows = derived(direct_cell(0, "train", matrix), linear_cell(0, counts))
    share = rows[m.CLOSEST_THIRD_ERRORS, "test", 0]
    assert share.value == 1.0
    assert share.control is not None
    assert share.control < 0.5
    assert "6 errors" in share.note
    correlation = rows[m.DISTANCE_ERROR_CORRELATION, "test", 0].value
    assert correlation is not None
    assert correlation < -0.5


def test_perfect_classifier_leaves_the_share_undefined_with_a_reason() -> None:
    counts = {(label, label): 3 for label in LABELS}
    row = derived(direct_cell(0, "train", distances(0)), linear_cell(0, counts))[m.CLOSEST_THIRD_ERRORS, "test", 0]
    assert row.value is None
    assert "no error" in row.note


def test_of_very_many_labels_some_are_drawn() -> None:
    """All pairs of 2,000 labels took minutes and 4 GB a cell."""
    labels = tuple(f"l{i:03d}" for i in range(320))
    row = derived(
        direct_cell(0, "train", distances(0, 320), labels), direct_cell(10, "train", distances(0, 320) * 2, labels)
    )[m.SIMILARITY_TO_FIRST, "train", 10]
    assert row.value == pytest.approx(1)
    assert row.n == 300 * 299 / 2


def test_keys_change_with_their_inputs_only() -> None:
    def keys(*cells: Cell) -> list[CellKey]:
        return [plan.key for plan in plan_derived(cells)]

    base = direct_cell(0, "train", distances(0))
    same = keys(base, direct_cell(10, "train", distances(1)))
    assert same == keys(base, direct_cell(10, "train", distances(1)))
    other = direct_cell(10, "train", distances(1))
    other = replace(other, key=other.key._replace(digest="new vectors"))
    changed = keys(base, other)
    assert changed[0] == same[0]
    assert changed[1] != same[1]


def geometry_cell(step: int, scatter: float, radius: float) -> Cell:
    place = Place("geometry", 6, "train", step)
    values = ((m.LABEL_SCATTER, scatter), (m.RMS_RADIUS, radius))
    return Cell.of(CellKey(place, f"g{step}"), 0.0, [ResultRow(place, 0.0, name, value=v) for name, v in values])


def test_growth_is_that_of_hull_distances_beside_that_of_the_space() -> None:
    """DirectProbe's distances double, labels widen by half, the space by three quarters: apart beyond scatter."""
    matrix = distances(0)
    cells = [direct_cell(0, "train", matrix), direct_cell(10, "train", 2 * matrix)]
    rows = derived(*cells, geometry_cell(0, 1.0, 4.0), geometry_cell(10, 1.5, 7.0))
    plain, over = rows[m.DISTANCE_GROWTH, "train", 10], rows[m.GROWTH_OVER_SCATTER, "train", 10]
    assert (plain.value, plain.control, plain.n) == (pytest.approx(2), 1.75, 6)
    assert (over.value, over.control) == (pytest.approx(4 / 3), 1.0)
    assert (m.DISTANCE_GROWTH, "train", 0) not in rows
    alone = derived(*cells)
    assert alone[m.DISTANCE_GROWTH, "train", 10].value == pytest.approx(2)
    assert alone[m.DISTANCE_GROWTH, "train", 10].control is None
    assert alone[m.GROWTH_OVER_SCATTER, "train", 10].value is None
    assert "scatter" in alone[m.GROWTH_OVER_SCATTER, "train", 10].note


def test_growth_is_measured_again_when_the_scatter_is_known() -> None:
    cells = [direct_cell(0, "train", distances(0)), direct_cell(10, "train", distances(1))]

    def key(*inputs: Cell) -> str:
        return next(plan.key.digest for plan in plan_derived(inputs) if plan.key.place.probe == "growth")

    assert key(*cells) != key(*cells, geometry_cell(0, 1.0, 4.0), geometry_cell(10, 1.5, 7.0))


def test_where_labels_are_drawn_each_number_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [direct_cell(step, "train", distances(step)) for step in (0, 10)]
    assert "drawn" not in derived(*cells)[m.SIMILARITY_TO_FIRST, "train", 10].note
    monkeypatch.setattr("closerlook.probes.derived.MOST_LABELS", 3)
    rows = derived(*cells)
    assert {row.note.rpartition("; ")[2] for row in rows.values()} == {"over 3 of 4 labels, drawn at random"}
    assert rows[m.SIMILARITY_TO_FIRST, "train", 10].n == 3
