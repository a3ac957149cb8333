"""Figures of distances show what the table holds: values, gaps, names, one colour scale."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from closerlook import measures as m
from closerlook.figures.distances import cluster_order, label_distance_heatmap, labels_over_training, line_colours
from closerlook.figures.theme import safe
from closerlook.results.rows import Place, ResultRow, to_table
from closerlook.results.tables import distance_matrices, label_series, rows_of


def result_row(probe: str, measure: str, step: int, epoch: float, layer: int, split: str, *labels: str, **values):
    return ResultRow(Place(probe, layer, split, step), epoch, measure, *labels, **values)


def heatmaps(figure):
    return [trace for trace in figure.data if trace.type == "heatmap"]


def test_lines_hold_the_series(results):
    figure = labels_over_training(results.table, layer=2, split="train")
    series = label_series(results.table, m.MIN_DISTANCE, layer=2, split="train")
    lines = {trace.name: trace for trace in figure.data}
    assert set(lines) == {safe(label) for label in series.columns} | {"mean of labels"}
    for label in series.columns:
        np.testing.assert_array_equal(lines[safe(label)].y, series[label])
        assert not lines[safe(label)].connectgaps
    assert_allclose(lines["mean of labels"].y, series.mean(axis=1))
    assert "layer 2, train" in figure.layout.title.text


@pytest.mark.parametrize("n", [5, 17, 46])
def test_few_labels_are_all_named_and_many_only_at_the_ends(n, many_labels):
    table = many_labels(n)
    figure = labels_over_training(table, layer=3)
    named = [a.text for a in figure.layout.annotations]
    assert len(named) == (n if n <= 8 else 6) + 1  # and the mean
    gain = label_series(table, m.MIN_DISTANCE, layer=3, split="train")
    gain = (gain.iloc[-1] - gain.iloc[0]).sort_values()
    if n > 8:
        colours = line_colours(label_series(table, m.MIN_DISTANCE, layer=3, split="train"))
        chosen = gain[list(colours)]
        assert_allclose(np.sort(chosen)[:3], gain.iloc[:3])
        assert_allclose(np.sort(chosen)[3:], gain.iloc[-3:])
    places = np.sort([a.y for a in figure.layout.annotations])
    assert (np.diff(places) > 0).all()
    assert places[0] >= figure.layout.yaxis.range[0]  # a name below the axis is not drawn


def test_unnamed_labels_are_all_there_in_one_grey_trace(many_labels):
    table = many_labels(46)
    (others,) = [trace for trace in labels_over_training(table, layer=3).data if trace.name == "other labels"]
    series = label_series(table, m.MIN_DISTANCE, layer=3, split="train")
    drawn = pd.DataFrame({"label": others.text, "epoch": others.x, "value": others.y}).dropna()
    assert drawn["label"].nunique() == 40
    for label, points in drawn.groupby("label"):
        assert_allclose(points["value"], series[label], rtol=1e-6)
        assert_allclose(points["epoch"], series.index)


def test_labels_that_share_a_line_can_both_be_seen(results):
    figure = labels_over_training(results.table, layer=2)
    series = label_series(results.table, m.MIN_DISTANCE, layer=2, split="train")
    assert (series["one"] == series["four/a&b"]).all(), "the fixture has a pair of mutual nearest labels"
    dashes = {trace.name: trace.line.dash for trace in figure.data}
    assert {dashes["one"], dashes[safe("four/a&b")]} == {"solid", "dash"}


@pytest.mark.parametrize("n", [5, 17, 46])
def test_heatmap_has_a_slider_step_per_snapshot_and_one_colour_scale(n, many_labels):
    table = many_labels(n)
    figure = label_distance_heatmap(table, layer=3)
    steps = figure.layout.sliders[0].steps
    assert [step.label for step in steps] == ["0", "0.5", "1", "1.5"]
    for i, step in enumerate(steps):
        assert step.args[0]["visible"] == [k // 2 == i for k in range(8)]
    assert [trace.visible for trace in heatmaps(figure)] == [False, False, False, True]
    assert {trace.coloraxis for trace in heatmaps(figure)} == {"coloraxis"}
    distances = distance_matrices(table, layer=3, split="train").distances
    assert figure.layout.coloraxis.cmax == pytest.approx(np.nanmax(distances))
    assert figure.layout.coloraxis.cmin == 0
    assert_allclose(np.sort(heatmaps(figure)[1].z, axis=None), np.sort(distances[1], axis=None), rtol=1e-6)


def test_heatmap_cells_belong_to_the_labels_of_their_axes(results):
    figure = label_distance_heatmap(results.table, layer=2, split="train")
    last = heatmaps(figure)[-1]
    z = np.asarray(last.z)
    x, y = list(last.x), list(last.y)
    rows = rows_of(results.table, m.LABEL_DISTANCE, layer=2, split="train")
    for row in rows[rows["step"] == 80].itertuples():
        assert z[y.index(safe(row.label)), x.index(safe(row.other))] == pytest.approx(row.value, rel=1e-6)
    assert list(figure.layout.xaxis.categoryarray) == x


def test_heatmap_marks_missing_pairs_and_says_why(results):
    figure = label_distance_heatmap(results.table, layer=1, split="train")
    first, marks = figure.data[0], figure.data[1]
    where = {(x, y) for x, y in zip(marks.x, marks.y, strict=True)}
    assert {("one", "two"), ("two", "one")} <= where
    assert all("the hulls &lt;meet&gt;" in text for text in marks.text)
    z = np.asarray(first.z)
    assert np.isnan(z).sum() == len(first.x) + len(where), "a missing pair is a gap, not 0"


def test_heatmap_thins_snapshots_evenly(many_labels):
    figure = label_distance_heatmap(many_labels(5, n_steps=50), layer=3, max_snapshots=10)
    labels = [float(step.label) for step in figure.layout.sliders[0].steps]
    assert len(labels) == 10
    assert (labels[0], labels[-1]) == (0, 24.5)


def test_cluster_order_puts_blocks_together():
    points = np.array([0.0, 10.0, 0.1, 10.1, 0.2, 10.2])
    distances = np.abs(points[:, None] - points)
    order = cluster_order(distances)
    groups = [i % 2 for i in order]
    assert sorted(order) == list(range(6))
    assert groups in ([0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0])


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_cluster_order_of_nothing_known_is_the_order_given(n):
    assert cluster_order(np.full((n, n), np.nan)) == list(range(n))


def test_cluster_order_accepts_missing_pairs():
    distances = np.array([[np.nan, 1, np.nan], [1, np.nan, 5], [np.nan, 5, np.nan]])
    assert sorted(cluster_order(distances)) == [0, 1, 2]


def test_labels_that_look_like_numbers_stay_names():
    rows = [
        result_row("direct", m.LABEL_DISTANCE, 0, 0.0, 0, "train", a, b, value=1.0)
        for a, b in [("1", "2"), ("1", "1e3"), ("2", "1e3")]
    ]
    figure = label_distance_heatmap(to_table(rows), layer=0)
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "category"
