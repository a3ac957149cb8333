"""The curves of fine-tuning."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.testing import assert_allclose

from closerlook.figures.training_curves import metric_panels, training_curves


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
    assert len(training_curves(history).data[0].x) <= 1000


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
