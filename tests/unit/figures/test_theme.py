"""Names move apart as little as possible, text from data stays text."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from closerlook import measures as m
from closerlook.figures.theme import axis_title, short, spread


def test_spread_moves_as_little_as_possible():
    assert_allclose(spread([0, 10, 20], 5), [0, 10, 20])
    assert_allclose(spread([1, 1], 2), [0, 2])
    assert_allclose(spread([10.0, 0.0, 10.1, 0.5], 1), [9.55, -0.25, 10.55, 0.75])
    crowded = spread(np.random.default_rng(0).random(30), 0.1)
    assert np.diff(np.sort(crowded)).min() == pytest.approx(0.1)
    assert spread([], 1).size == 0
    assert_allclose(spread([0.2, 0.0, 3.0, 0.1], 1, low=0), [2.0, 0.0, 3.0, 1.0])  # none below, the rest as near
    assert_allclose(spread([5.0, 9.0], 1, low=0), [5.0, 9.0])


def test_axis_titles_have_units():
    assert axis_title(m.ACCURACY) == "accuracy (share)"
    assert axis_title(m.MIN_DISTANCE) == "minimum distance"
    assert axis_title("isotropy_score") == "isotropy score"
    assert short("x" * 30, 10) == "x" * 9 + "…"
