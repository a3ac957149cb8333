"""What is said beside DirectProbe's numbers: what contradictions entail, and how sure a mean over labels is."""

import numpy as np
import pytest

from closerlook import measures as m
from closerlook.geometry.confidence import mean_interval
from closerlook.probes.label_distances import distance_rows, label_distances
from closerlook.probes.space_probe import Where
from closerlook.results.rows import Place, ResultRow

AT = Where(Place("direct", 3, "train", 0), 0.0)


def rows_of(X: np.ndarray, y: np.ndarray) -> dict[str, ResultRow]:
    found = distance_rows(label_distances(X, y), AT)
    return {row.measure: row for row in found if isinstance(row, ResultRow) and not row.label}


def test_contradictions_say_what_they_entail() -> None:
    X = np.array([[0.0, 0], [1, 0], [5, 5], [6, 5], [0, 0], [9, 9]])
    rows = rows_of(X, np.array(list("aabbbb")))
    row = rows[m.N_CONTRADICTIONS]
    assert row.value == 1
    assert row.note == "2 examples in them; at least 4 clusters; accuracy at most 0.8333"
    assert (rows[m.N_CLUSTERS].value or 0) >= 4


def test_the_interval_of_the_mean_minimum_knows_who_shares_a_number() -> None:
    """Four labels in two pairs of nearest neighbours and one apart: three values, not five."""
    place = np.array([0.0, 1, 10, 12, 40])
    X = np.stack([np.repeat(place, 3), np.tile([0.0, 0.1, 0.2], 5)], axis=1)
    row = rows_of(X, np.repeat(list("abcde"), 3))[m.MEAN_MIN_DISTANCE]
    assert row.value == pytest.approx(np.mean([1, 1, 2, 2, 28]))
    expected = mean_interval([1, 1, 2, 2, 28], [0, 0, 1, 1, 2])
    assert (row.low, row.high) == pytest.approx(expected[:2])
    assert row.note == "3 independent values"
