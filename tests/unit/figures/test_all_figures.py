"""What holds for every figure: nothing measured says so, a single snapshot is drawn, text is escaped."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from closerlook import measures as m
from closerlook.figures.courses import before_after
from closerlook.figures.displacements import displacement_arrows
from closerlook.figures.distances import label_distance_heatmap, labels_over_training
from closerlook.figures.maps import layer_map
from closerlook.figures.paths import centroid_paths
from closerlook.figures.training_curves import training_curves
from closerlook.results.rows import to_table


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
    assert len(label_distance_heatmap(table, layer=2).data) == 2
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
