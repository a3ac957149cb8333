"""A measured number as people read it: as many digits as mean something."""

from __future__ import annotations

import math

from closerlook.measures import MEASURES

_COUNTED = {"clusters", "labels", "examples", "groups", "0 or 1"}


def number_text(measure: str, value: float) -> str:
    """A value in the digits that its measure deserves; a dash where it is missing.

    Counts are whole (their means over seeds have one decimal), shares and correlations have three decimals,
    distances and ratios two decimals, below 1 three significant digits. What is not 0 never reads as 0.
    """
    if value is None or not math.isfinite(value):
        return "\u2013"
    unit, size = MEASURES[measure].unit if measure in MEASURES else "", abs(value)
    if size == 0:
        return "0"
    if unit in _COUNTED:
        return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"
    if (unit == "share" or unit.endswith(" r")) and size >= 0.001:
        return f"{value:.3f}"
    if size >= 1:
        return f"{value:,.2f}" if size < 1e6 else f"{value:.3g}"
    return f"{value:#.3g}" if size >= 0.001 else f"{value:.2g}"


def counted(n: float, noun: str) -> str:
    """A number of things with the right form of their name: ``1 label``, ``2 labels``."""
    return f"{n:,.0f} {noun}" if n == 1 else f"{n:,.0f} {noun}s"
