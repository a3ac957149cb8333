"""Numbers are written in the digits that their measure deserves."""

from __future__ import annotations

import pytest

from closerlook import measures as m
from closerlook.number_text import number_text


@pytest.mark.parametrize(
    ("measure", "value", "shown"),
    [
        (m.N_CLUSTERS, 3936.0, "3,936"),
        (m.ACCURACY, 0.91237, "0.912"),
        (m.MIN_DISTANCE, 12.345, "12.35"),
        (m.MIN_DISTANCE, 0.01234, "0.0123"),
        (m.MIN_DISTANCE, 0.1, "0.100"),
        (m.MIN_DISTANCE, -3.1e-9, "-3.1e-09"),
        (m.MIN_DISTANCE, 1.234e9, "1.23e+09"),
        (m.ACCURACY, 0.00021, "0.00021"),
        (m.N_CLUSTERS, 12.5, "12.5"),
        (m.MIN_DISTANCE, 0.000412, "0.00041"),
        (m.MIN_DISTANCE, 0.0, "0"),
        (m.MIN_DISTANCE, float("nan"), "\u2013"),
        ("unknown", 1.5, "1.50"),
    ],
)
def test_numbers_are_shown_by_their_unit(measure, value, shown):
    assert number_text(measure, value) == shown
