"""What figures take from the tidy table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from closerlook import measures as m
from closerlook.results.rows import Place, ResultRow, to_table
from closerlook.results.tables import (
    change_of,
    distance_matrices,
    evenly,
    gains,
    label_series,
    layers_of,
    rows_of,
    space_measures,
    split_for,
    splits_of,
)


def result_row(probe: str, measure: str, step: int, epoch: float, layer: int, split: str, *labels: str, **values):
    return ResultRow(Place(probe, layer, split, step), epoch, measure, *labels, **values)


def test_rows_of_takes_the_usual_probe_unless_told(results):
    usual = rows_of(results.table, m.ACCURACY)
    other = rows_of(results.table, m.ACCURACY, probe="mlp")
    assert set(usual["probe"]) == {"linear"}
    assert set(other["probe"]) == {"mlp"}
    assert len(usual) == len(other) == 15


def test_unknown_measures_are_found_by_probe(results):
    assert ("geometry", "isotropy_score") in space_measures(results.table)
    assert len(rows_of(results.table, "isotropy_score")) == 15


def test_layers_and_splits_start_with_train(results):
    assert layers_of(results.table, m.MIN_DISTANCE, "test") == [0, 1, 2]
    assert splits_of(results.table, m.MIN_DISTANCE) == ["train", "test"]
    assert splits_of(results.table, m.TRAIN_TEST_SIMILARITY) == ["train-test"]
    assert layers_of(results.table, "no_such_measure") == []


def test_matrices_are_symmetric_and_missing_pairs_stay_nan_with_their_reason(results):
    found = distance_matrices(results.table, layer=1, split="train")
    assert found.distances.shape == (5, 5, 5)
    np.testing.assert_array_equal(found.distances, found.distances.transpose(0, 2, 1))
    assert np.isnan(np.diagonal(found.distances, axis1=1, axis2=2)).all()
    one, two = found.labels.index("one"), found.labels.index("two")
    assert np.isnan(found.distances[0, one, two])
    assert found.notes[0, one, two] == "the hulls <meet>"
    assert np.isfinite(found.distances[1, one, two])


def test_label_series_equals_the_row_minimum_of_the_matrices(results):
    """An oracle of another kind: minimum distances were stored on their own, the matrices give them again."""
    series = label_series(results.table, m.MIN_DISTANCE, layer=2, split="train")
    found = distance_matrices(results.table, layer=2, split="train")
    np.testing.assert_allclose(series[list(found.labels)].to_numpy(), np.nanmin(found.distances, axis=2))
    assert list(series.index) == [0, 1, 2, 3, 4]


def test_label_series_keeps_undefined_values_as_gaps():
    rows = [
        result_row("direct", m.MIN_DISTANCE, step, float(step), 0, "train", label, value=value)
        for step, label, value in [(0, "a", 1.0), (1, "a", None), (2, "a", 3.0), (0, "b", None), (2, "b", 5.0)]
    ]
    series = label_series(to_table(rows), m.MIN_DISTANCE, layer=0, split="train")
    np.testing.assert_array_equal(series["a"], [1, np.nan, 3])
    np.testing.assert_array_equal(series["b"], [np.nan, np.nan, 5])
    assert gains(series).to_dict() == {"a": 2.0}


def test_gains_are_sorted_from_most_to_least():
    series = pd.DataFrame({"a": [0.0, 1.0], "b": [0.0, 3.0], "c": [2.0, 0.0]})
    assert list(gains(series).index) == ["b", "a", "c"]
    assert gains(pd.DataFrame()).empty


@pytest.mark.parametrize(("n", "at_most"), [(0, 5), (1, 5), (5, 5), (100, 7), (100, 1)])
def test_evenly_keeps_first_and_last(n, at_most):
    chosen = evenly(n, at_most)
    assert len(chosen) == min(n, max(at_most, 2))
    if n:
        assert chosen[0] == 0
        assert chosen[-1] == n - 1


def test_change_is_between_the_first_and_last_snapshot_of_the_run(results):
    change = change_of(results.table, m.MEAN_MIN_DISTANCE, layer=2, split="train")
    series = rows_of(results.table, m.MEAN_MIN_DISTANCE, layer=2, split="train")["value"]
    assert (change.before, change.after) == (series.iloc[0], series.iloc[-1])
    assert change.known


def test_change_of_an_unfinished_series_is_not_known(results):
    """The last snapshot of a measure that lags behind is not taken for the run's last."""
    table = results.table[~((results.table["measure"] == m.MEAN_MIN_DISTANCE) & (results.table["step"] == 80))]
    change = change_of(table, m.MEAN_MIN_DISTANCE, layer=2, split="train")
    assert np.isnan(change.after)
    assert not change.known


def test_split_for_names_where_a_measure_is_stored():
    assert [split_for(name, "train") for name in (m.ACCURACY, m.TRAIN_TEST_SIMILARITY, m.N_CLUSTERS)] == [
        "test", "train-test", "train",
    ]  # fmt: skip
