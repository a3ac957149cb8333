"""Paths go from where a centroid starts to where it ends."""

from __future__ import annotations

from numpy.testing import assert_allclose

from closerlook import measures as m
from closerlook.figures.paths import centroid_paths
from closerlook.results.tables import rows_of


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


def test_paths_with_many_labels_colour_the_farthest(many_labels):
    figure = centroid_paths(many_labels(46), layer=3)
    named = [trace.name for trace in figure.data if trace.name and trace.text[-1]]
    assert set(named) == {f"label {i}" for i in range(40, 46)}
