"""Figures show what the table holds: values, gaps, names, one colour scale."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from closerlook import measures as m
from closerlook.figures.displacements import displacement_arrows
from closerlook.figures.distances import cluster_order, label_distance_heatmap, labels_over_training, line_colours
from closerlook.figures.layers import before_after, layer_map
from closerlook.figures.paths import centroid_paths
from closerlook.figures.theme import axis_title, safe, short, spread
from closerlook.figures.training import metric_panels, training_curves
from closerlook.results.rows import ResultRow, to_table
from closerlook.results.tables import distance_matrices, label_series, rows_of


def many_labels(n, n_steps=4):
    """A table with ``n`` labels on a line: distances are differences of positions, which grow with time."""
    position = np.random.default_rng(n).permutation(n).astype(float)
    rows = []
    for step in range(n_steps):
        where = (step * 10, step / 2, 3, "train")
        gaps = np.abs(position[:, None] - position) * (1 + step * np.sqrt(position[:, None] + position))
        np.fill_diagonal(gaps, np.inf)
        for i in range(n):
            rows.append(ResultRow("direct", m.MIN_DISTANCE, *where, f"label {i:02d}", value=float(gaps[i].min())))
            rows.append(ResultRow("centroids", m.CENTROID_X, *where, f"label {i:02d}", value=float(i * step)))
            rows.append(ResultRow("centroids", m.CENTROID_Y, *where, f"label {i:02d}", value=float(position[i])))
            rows += [
                ResultRow("direct", m.LABEL_DISTANCE, *where, f"label {i:02d}", f"label {j:02d}", float(gaps[i, j]))
                for j in range(i)
            ]
    return to_table(rows)


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
def test_few_labels_are_all_named_and_many_only_at_the_ends(n):
    table = many_labels(n)
    figure = labels_over_training(table, layer=3)
    named = [a.text for a in figure.layout.annotations]
    assert len(named) == (n if n <= 8 else 6) + 1  # and the mean
    gain = label_series(table, m.MIN_DISTANCE, layer=3, split="train")
    gain = (gain.iloc[-1] - gain.iloc[0]).sort_values()
    if n > 8:
        colours = line_colours(label_series(table, m.MIN_DISTANCE, layer=3, split="train"), 3)
        chosen = gain[list(colours)]
        assert_allclose(np.sort(chosen)[:3], gain.iloc[:3])
        assert_allclose(np.sort(chosen)[3:], gain.iloc[-3:])
    places = np.sort([a.y for a in figure.layout.annotations])
    assert (np.diff(places) > 0).all()
    assert places[0] >= figure.layout.yaxis.range[0]  # a name below the axis is not drawn


def test_unnamed_labels_are_all_there_in_one_grey_trace():
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


def test_spread_moves_as_little_as_possible():
    assert_allclose(spread([0, 10, 20], 5), [0, 10, 20])
    assert_allclose(spread([1, 1], 2), [0, 2])
    assert_allclose(spread([10.0, 0.0, 10.1, 0.5], 1), [9.55, -0.25, 10.55, 0.75])
    crowded = spread(np.random.default_rng(0).random(30), 0.1)
    assert np.diff(np.sort(crowded)).min() == pytest.approx(0.1)
    assert spread([], 1).size == 0
    assert_allclose(spread([0.2, 0.0, 3.0, 0.1], 1, low=0), [2.0, 0.0, 3.0, 1.0])  # none below, the rest as near
    assert_allclose(spread([5.0, 9.0], 1, low=0), [5.0, 9.0])


@pytest.mark.parametrize("n", [5, 17, 46])
def test_heatmap_has_a_slider_step_per_snapshot_and_one_colour_scale(n):
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
    for order in ("cluster", "name"):
        figure = label_distance_heatmap(results.table, layer=2, split="train", order=order)
        last = heatmaps(figure)[-1]
        z = np.asarray(last.z)
        x, y = list(last.x), list(last.y)
        rows = rows_of(results.table, m.LABEL_DISTANCE, layer=2, split="train")
        for row in rows[rows["step"] == 80].itertuples():
            assert z[y.index(safe(row.label)), x.index(safe(row.other))] == pytest.approx(row.value, rel=1e-6)
        assert list(figure.layout.xaxis.categoryarray) == x
    assert x == sorted(x)


def test_heatmap_marks_missing_pairs_and_says_why(results):
    figure = label_distance_heatmap(results.table, layer=1, split="train")
    first, marks = figure.data[0], figure.data[1]
    where = {(x, y) for x, y in zip(marks.x, marks.y, strict=True)}
    assert {("one", "two"), ("two", "one")} <= where
    assert all("the hulls &lt;meet&gt;" in text for text in marks.text)
    z = np.asarray(first.z)
    assert np.isnan(z).sum() == len(first.x) + len(where), "a missing pair is a gap, not 0"


def test_heatmap_thins_snapshots_evenly():
    figure = label_distance_heatmap(many_labels(5, n_steps=50), layer=3, max_snapshots=10)
    labels = [float(step.label) for step in figure.layout.sliders[0].steps]
    assert len(labels) == 10
    assert (labels[0], labels[-1]) == (0, 24.5)


def test_labels_that_look_like_numbers_stay_names():
    rows = [
        ResultRow("direct", m.LABEL_DISTANCE, 0, 0.0, 0, "train", a, b, value=1.0)
        for a, b in [("1", "2"), ("1", "1e3"), ("2", "1e3")]
    ]
    figure = label_distance_heatmap(to_table(rows), layer=0)
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "category"


def test_layer_map_places_values_and_marks_gaps(results):
    figure = layer_map(results.table, "isotropy_score", split="test")
    heat, marks = figure.data
    rows = rows_of(results.table, "isotropy_score", layer=2)
    assert_allclose(np.asarray(heat.z, dtype=float)[2], rows["value"])
    assert np.isnan(np.asarray(heat.z, dtype=float)[0]).all()
    assert list(marks.y) == ["0"] * 5
    assert set(marks.text) == {"needs a hidden layer"}


def test_layer_map_colours_clusters_on_a_log_scale_but_writes_the_number(results):
    heat = layer_map(results.table, m.N_CLUSTERS, split="train").data[0]
    rows = rows_of(results.table, m.N_CLUSTERS, layer=1, split="train")
    assert_allclose(heat.z[1], np.log10(rows["value"]))
    assert list(heat.text[1]) == [f"{value:.0f}" for value in rows["value"]]
    assert heat.texttemplate == "%{text}"


def test_layer_map_tells_intervals_sizes_and_controls(results):
    heat = layer_map(results.table, m.ACCURACY, split="test").data[0]
    assert "95 % interval" in heat.customdata[0][0]
    assert "from 150" in heat.customdata[0][0]
    assert "control 0.200" in heat.customdata[0][0]


def test_before_after_draws_first_and_last_with_intervals(results):
    figure = before_after(results.table, m.ACCURACY, split="test")
    before, after, control = figure.data
    rows = rows_of(results.table, m.ACCURACY)
    assert_allclose(before.y, rows[rows["step"] == 0]["value"])
    assert_allclose(after.y, rows[rows["step"] == 80]["value"])
    assert_allclose(after.error_y.arrayminus, 0.02)
    assert_allclose(control.y, 0.2)
    assert (before.name, after.name) == ("before", "after")


def test_paths_go_from_first_to_last_with_equal_scales(results):
    figure = centroid_paths(results.table, layer=2, split="train")
    paths = {trace.name: trace for trace in figure.data if trace.name}
    x = rows_of(results.table, m.CENTROID_X, layer=2, split="train")
    assert_allclose(paths["zero"].x, x[x["label"] == "zero"]["value"])
    assert paths["zero"].marker.symbol[-1] == "arrow"
    assert figure.layout.yaxis.scaleanchor == "x"
    assert figure.layout.title.text.endswith("(67% of the variance)")
    starts = figure.data[-1]
    assert set(starts.marker.symbol if isinstance(starts.marker.symbol, tuple) else [starts.marker.symbol]) == {
        "circle-open"
    }
    assert_allclose(sorted(starts.x), sorted(x[x["step"] == 0]["value"]))


def test_paths_of_chosen_labels_only(results):
    figure = centroid_paths(results.table, layer=2, labels=["one", "two"])
    assert {trace.name for trace in figure.data if trace.name} == {"one", "two"}


def test_paths_with_many_labels_colour_the_farthest():
    figure = centroid_paths(many_labels(46), layer=3)
    named = [trace.name for trace in figure.data if trace.name and trace.text[-1]]
    assert set(named) == {f"label {i}" for i in range(40, 46)}


def test_arrows_start_at_the_origin_and_panels_share_a_scale(results):
    figure = displacement_arrows(results.table, split="train")
    assert [a.text for a in figure.layout.annotations] == ["layer 0", "layer 1", "layer 2"]
    assert all(trace.x[0] == trace.y[0] == 0 for trace in figure.data)
    ends = rows_of(results.table, m.DISPLACEMENT_X, layer=2, split="train").set_index("label")["value"]
    drawn = {trace.name: trace.x[1] for trace in figure.data if trace.xaxis == "x3" and trace.name}
    assert len(drawn) == 3
    (others,) = [trace for trace in figure.data if trace.xaxis == "x3" and not trace.name]
    drawn |= dict(list(zip(others.text, others.x, strict=True))[1::3])
    assert drawn == pytest.approx({safe(label): value for label, value in ends.items()}, rel=1e-6)
    ranges = {(axis, figure.layout[f"{axis}axis{n}"].range) for axis in "xy" for n in ("", 2, 3)}
    assert len(ranges) == 2, "one range a direction, the same in all panels"


def test_arrows_of_layers_that_do_not_move_carry_no_names(results):
    figure = displacement_arrows(results.table, layers=[0, 2])
    still = [trace for trace in figure.data if trace.xaxis == "x"]
    assert still
    assert all(trace.mode == "lines+markers" for trace in still), "no text"


@pytest.mark.parametrize(
    "draw",
    [
        lambda t: labels_over_training(t, layer=0),
        lambda t: label_distance_heatmap(t, layer=0),
        lambda t: layer_map(t, m.N_CLUSTERS, split="train"),
        lambda t: before_after(t, m.ACCURACY, split="test"),
        lambda t: centroid_paths(t, layer=0),
        lambda t: displacement_arrows(t),
        lambda t: training_curves(pd.DataFrame({"step": [], "epoch": []})),
    ],
)
def test_nothing_measured_says_so(draw):
    figure = draw(to_table([]))
    assert not figure.data
    assert figure.layout.annotations[0].text.startswith("no ")


def test_a_single_snapshot_is_drawn(results):
    table = results.table[results.table["step"] == 0]
    assert len(labels_over_training(table, layer=2).data) == 6
    assert len(heatmaps(label_distance_heatmap(table, layer=2))) == 1
    assert len(centroid_paths(table, layer=2).data) == 6


def test_text_from_data_is_escaped_everywhere(results):
    table = results.table
    for figure in (
        labels_over_training(table, layer=2),
        label_distance_heatmap(table, layer=1),
        centroid_paths(table, layer=2),
        displacement_arrows(table),
    ):
        text = json.dumps(figure.to_plotly_json(), default=lambda array: np.asarray(array).tolist())
        assert "<script" not in text
        assert "&lt;script" in text


def test_training_curves_share_panels_by_name(results):
    history = pd.DataFrame({
        "step": [0, 1, 2], "epoch": [0.0, 0.5, 1.0], "train/loss": [3.0, 2.0, 1.0], "val/loss": [np.nan, np.nan, 1.5],
        "val/accuracy": [np.nan, np.nan, 0.5], "val/never": [np.nan] * 3, "lr-AdamW/pg1": [1e-3, 1e-4, 0.0],
        "lr-AdamW/pg2": [1e-3, 1e-4, 0.0],
    })  # fmt: skip
    assert metric_panels(history) == {
        "loss": ["train/loss", "val/loss"], "accuracy": ["val/accuracy"], "learning rate": ["lr-AdamW/pg1"],
    }  # fmt: skip
    figure = training_curves(history)
    assert [a.text for a in figure.layout.annotations] == ["loss", "accuracy", "learning rate"]
    assert list(figure.data[1].y) == [1.5]


def test_training_curves_thin_long_series():
    history = pd.DataFrame({"step": range(5000), "epoch": np.arange(5000) / 1000, "train/loss": np.arange(5000.0)})
    assert len(training_curves(history, max_points=100).data[0].x) <= 100


def test_training_curves_count_epochs_in_fractions():
    """Lightning logs whole epochs from 0 and steps from 0: the first update of four is a quarter of an epoch."""
    history = pd.DataFrame({"step": range(8), "epoch": [0] * 4 + [1] * 4, "train/loss": np.arange(8.0)})
    figure = training_curves(history, updates_per_epoch=4)
    assert_allclose(figure.data[0].x, [0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2])


def test_the_test_after_training_is_drawn_at_its_end():
    history = pd.DataFrame({"step": [3, 7, 8], "epoch": [0, 1, 2], "train/loss": [3.0, np.nan, np.nan],
                            "val/loss": [np.nan, 2.0, np.nan], "test/loss": [np.nan, np.nan, 1.0]})  # fmt: skip
    figure = training_curves(history, updates_per_epoch=4)
    assert [list(trace.x) for trace in figure.data] == [[1], [2], [2]]


def test_axis_titles_have_units():
    assert axis_title(m.ACCURACY) == "accuracy (share)"
    assert axis_title(m.MIN_DISTANCE) == "minimum distance"
    assert axis_title("isotropy_score") == "isotropy score"
    assert short("x" * 30, 10) == "x" * 9 + "…"


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
