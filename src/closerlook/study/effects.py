"""An effect with its interval: over seeds and over what one run offers (examples, labels, draws). It says which."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student_t

from closerlook.geometry.confidence import Interval
from closerlook.study.crossed import NO_INTERVAL, Crossed, Units, crossed_interval

MIN_SEEDS = 3
"""From this many seeds on, tables show an interval over seeds: with two, Student's t is 12.7 standard errors wide."""

_CONFIDENCE = 0.95
_NORMAL = 1e6
"""Degrees of freedom of an interval that comes with none: those of a normal distribution."""


@dataclass(frozen=True)
class Effect:
    """A measured effect.

    Attributes:
        value: The mean over seeds; NaN where it could not be measured.
        low: Lower end of the 95 % interval; NaN where there is none.
        high: Upper end.
        df: Degrees of freedom behind the interval.
        basis: What the interval is over, e.g. "3 seeds x 457 test examples".
        per_seed: The value of each seed.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    df: float = math.nan
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

    @property
    def error(self) -> float:
        """Standard error: half the interval over its quantile; NaN without an interval."""
        return (self.high - self.low) / 2 / quantile(self.df) if self.has_interval else math.nan

    def p_value(self, null: float) -> float:
        """Two-sided p of ``value == null``: below .05 where the interval leaves ``null`` out; NaN without interval."""
        if not self.has_interval:
            return math.nan
        half = self.value - self.low if self.value > null else self.high - self.value
        if half <= 0:
            return float(self.value == null)
        return float(2 * student_t.sf(abs(self.value - null) * quantile(self.df) / half, self.df))


def quantile(df: float) -> float:
    """Student's t: half of a 95 % interval in standard errors."""
    return float(student_t.ppf(0.5 + _CONFIDENCE / 2, df))


def not_measured(reason: str = "not measured") -> Effect:
    """An effect without a value, and why."""
    return Effect(math.nan, basis=reason)


def over_units(parts: Sequence[Units], value: float, per_seed: Sequence[float], what: str) -> Effect:
    """An effect whose chance is in the seeds and in the units that they share.

    Args:
        parts: See :func:`closerlook.study.crossed.crossed_interval`.
        value: The mean over seeds.
        per_seed: The value of each seed.
        what: The units in words, e.g. "457 test examples".
    """
    found = crossed_interval(parts)
    return _effect(found, value, per_seed, what if math.isfinite(found.interval.low) else f"no interval: {what}")


def over_labels(values: np.ndarray, *, groups: np.ndarray | None = None) -> Effect:
    """The mean over seeds and labels; labels that a seed has no value for are left out.

    Args:
        values: (n_seeds, n_labels); NaN where undefined.
        groups: (n_labels,) labels that are not independent.
    """
    kept = np.isfinite(values).all(axis=0) if values.size else np.zeros(0, dtype=bool)
    if not kept.any():
        return not_measured()
    units = Units(values[:, kept], None if groups is None else groups[kept])
    n, independent = units.values.shape[1], units.n_independent
    what = f"{n} labels" if independent == n else f"{n} labels ({independent} independent)"
    return over_units([units], float(units.values.mean()), units.values.mean(axis=1).tolist(), what)


def over_runs(per_seed: Mapping[int, float], within: Mapping[int, Interval], what: str) -> Effect:
    """An effect of which only each run's own interval is stored.

    What the runs share (their examples, their labels) is taken to be all of that interval, and seeds come on top.

    Args:
        per_seed: The effect of each seed; undefined ones are left out.
        within: Each run's own interval of it.
        what: What those are over, in words.
    """
    known = [seed for seed, value in sorted(per_seed.items()) if math.isfinite(value)]
    values = [per_seed[seed] for seed in known]
    if not known:
        return not_measured()
    value = float(np.mean(values))
    ends = np.array([within[seed] for seed in known if seed in within and np.isfinite(within[seed]).all()])
    if not len(ends):
        return _effect(NO_INTERVAL, value, values, "no interval")
    middle = np.mean([per_seed[seed] for seed in known if seed in within and np.isfinite(within[seed]).all()])
    below, above = (abs(float(side)) / quantile(_NORMAL) for side in ends.mean(axis=0) - middle)
    seeds = float(np.var(values, ddof=1)) / len(values) if len(values) > 1 else 0.0
    df = _joint_df(seeds, (below**2 + above**2) / 2, len(values) - 1)
    low, high = (value + sign * quantile(df) * math.hypot(math.sqrt(seeds), e) for sign, e in ((-1, below), (1, above)))
    return _effect(Crossed(Interval(low, high), df), value, values, what)


def _joint_df(seeds: float, within: float, df: int) -> float:
    """Satterthwaite's degrees of freedom of a variance over seeds and one that is known."""
    return min((seeds + within) ** 2 / (seeds**2 / df), _NORMAL) if seeds > 0 else _NORMAL


def difference(after: Interval, before: Interval, after_value: float, before_value: float) -> Interval:
    """Interval of a difference from the intervals of its parts; NaN where a part has none.

    Source:
        Zou & Donner 2008 (MOVER), for independent parts; wider than needed where they go up and down together.
    """
    change = after_value - before_value
    low = change - math.hypot(after_value - after.low, before.high - before_value)
    return Interval(low, change + math.hypot(after.high - after_value, before_value - before.low))


def seed_interval(values: Sequence[float]) -> Interval:
    """Student's t 95 % interval of the mean over seeds; NaN with fewer than :data:`MIN_SEEDS`.

    It covers what changes from seed to seed (head, order, dropout), not the choice of test examples or labels: for the
    ± of a table, never for a verdict.
    """
    n = len(values)
    if n < MIN_SEEDS:
        return NO_INTERVAL.interval
    mean, half = float(np.mean(values)), quantile(n - 1) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Interval(mean - half, mean + half)


def _effect(found: Crossed, value: float, per_seed: Sequence[float], what: str) -> Effect:
    n = len(per_seed)
    basis = f"{what}, 1 seed: says nothing of other seeds" if n == 1 else f"{n} seeds x {what}"
    return Effect(value, *found.interval, found.df, basis, tuple(per_seed))
