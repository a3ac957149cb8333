"""Maps hold the values and say why one is missing."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose

from closerlook import measures as m
from closerlook.figures.maps import layer_map
from closerlook.results.tables import rows_of


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
