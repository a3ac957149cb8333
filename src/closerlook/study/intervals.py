"""One effect with its interval: over seeds where there are enough, else over what one run offers. It says which."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student_t

from closerlook.geometry.confidence import Interval, mean_interval, newcombe_interval

MIN_SEEDS = 3
"""From this many seeds on, an interval is over seeds: with two, Student's t is 12.7 standard errors wide."""

NOTHING = Interval(math.nan, math.nan)
Within = Callable[[], tuple[Interval, str]]
"""Gives the interval that the runs offer by themselves, and what it is over."""


@dataclass(frozen=True)
class Effect:
    """A measured effect.

    Attributes:
        value: The mean over seeds; NaN where it could not be measured.
        low: Lower end of the 95 % interval; NaN where there is none.
        high: Upper end.
        basis: What the interval is over, e.g. "Student's t over 3 seeds".
        per_seed: The value of each seed.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    basis: str = ""
    per_seed: tuple[float, ...] = ()

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return math.isfinite(self.value)

    @property
    def has_interval(self) -> bool:
        """Whether both ends are known."""
        return math.isfinite(self.low) and math.isfinite(self.high)


def effect(per_seed: Mapping[int, float], within: Within | None = None) -> Effect:
    """The mean over seeds with an interval.

    Args:
        per_seed: The effect of each seed; undefined ones are left out.
        within: The interval within runs, used when there are fewer than :data:`MIN_SEEDS` seeds.

    Returns:
        The effect. Without enough seeds and without ``within`` it has no interval.
    """
    values = tuple(value for _, value in sorted(per_seed.items()) if math.isfinite(value))
    if not values:
        return Effect(math.nan, basis="not measured")
    mean = float(np.mean(values))
    if len(values) >= MIN_SEEDS:
        return Effect(mean, *seed_interval(values), f"Student's t over {len(values)} seeds", values)
    found, basis = within() if within is not None else (NOTHING, "no interval")
    return Effect(mean, *found, f"{basis}, {_seeds(len(values))}", values)


def _seeds(n: int) -> str:
    return "1 seed" if n == 1 else f"mean of {n} seeds"


def seed_interval(values: tuple[float, ...], confidence: float = 0.95) -> Interval:
    """Student's t interval of the mean over seeds; NaN with fewer than :data:`MIN_SEEDS`.

    It covers what changes from seed to seed (head, order, dropout), not the choice of test examples or labels.
    """
    n = len(values)
    if n < MIN_SEEDS:
        return NOTHING
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(n)
    half = float(student_t.ppf(0.5 + confidence / 2, n - 1)) * error
    return Interval(mean - half, mean + half)


def over_labels(values: np.ndarray) -> tuple[Interval, str]:
    """Interval of a mean over labels; labels without a value are left out."""
    low, high, n = mean_interval(values)
    return Interval(low, high), f"over {n} labels"


def of_accuracies(before: float, after: float, n: int) -> tuple[Interval, str]:
    """Interval of ``after - before`` of two accuracies on the same ``n`` test examples.

    Newcombe's interval for independent samples: wider than needed, since the examples are the same ones, but which
    ones both got right is not stored.
    """
    if not n or not (math.isfinite(before) and math.isfinite(after)):
        return NOTHING, "no interval"
    return newcombe_interval(round(after * n), n, round(before * n), n), f"Newcombe over {n} test examples"


def of_difference(
    after: tuple[float, float, float], before: tuple[float, float, float], what: str
) -> tuple[Interval, str]:
    """Interval of a difference from the intervals of its parts, each (value, low, high).

    Source:
        Zou & Donner 2008 (MOVER), for independent parts; wider than needed where they go up and down together.
    """
    (a, la, ua), (b, lb, ub) = after, before
    if not np.isfinite([a, la, ua, b, lb, ub]).all():
        return NOTHING, "no interval"
    low, high = a - b - math.hypot(a - la, ub - b), a - b + math.hypot(ua - a, b - lb)
    return Interval(low, high), what
