"""Numbers of a study in words, the same in terminal, page and dashboards."""

from __future__ import annotations

import math

from closerlook.number_text import number_text
from closerlook.study.main_table import CrossMatrix, SeedMean
from closerlook.study.method_table import Beside
from closerlook.study.verdicts import Finding

DASH = "\u2013"
"""Stands for a number that is missing."""


def number(value: float) -> str:
    """A signed number with three significant digits; a dash when missing."""
    if not math.isfinite(value):
        return DASH
    return f"{value:+.3g}" if abs(value) < 100 else f"{value:+,.0f}"


def plain(value: float, form: str, unit: str = "") -> str:
    """A number in a format, with its unit; a dash when missing."""
    return f"{value:{form}}{unit}" if math.isfinite(value) else DASH


def beside(found: Beside, form: str) -> str:
    """``1.74/1.55``: a method's number and that of full tuning; a dash when missing."""
    return f"{found.method:{form}}/{found.full:{form}}" if math.isfinite(found.method + found.full) else DASH


def where(found: Finding) -> str:
    """The condition in words: ``task, model``."""
    across = "" if found.task == found.tuned_on else f", tuned on {found.tuned_on}"
    return f"{found.task}, {found.model}{across}"


def measured(found: Finding) -> str:
    """The effect with its interval: ``+0.021 [+0.008, +0.034]``."""
    effect = found.effect
    if not effect.known:
        return DASH
    interval = f" [{number(effect.low)}, {number(effect.high)}]" if effect.has_interval else ""
    return f"{number(effect.value)}{interval}"


def seed_text(measure: str, found: SeedMean) -> str:
    """``0.912 ±0.003``; without ± for one seed, a dash when missing."""
    half = f" ±{number_text(measure, found.half)}" if found.n > 1 and math.isfinite(found.half) else ""
    return number_text(measure, found.mean) + half


def cross_text(matrix: CrossMatrix, row: int, column: int, newline: str = "\n") -> str:
    """One field of a cross-task matrix; a dash where nothing was looked at."""
    place = row, column
    if not math.isfinite(matrix.change[place]):
        return DASH
    lines = [number(matrix.change[place]), f"{matrix.n_up[place]:.0f} up, {matrix.n_down[place]:.0f} down"]
    before, after = matrix.accuracy_before[place], matrix.accuracy_after[place]
    if math.isfinite(after - before):
        lines.append(f"{before:.3f} → {after:.3f}")
    return newline.join(lines)
