"""Intervals shared by the measures: group jackknife, percentile bootstrap of a mean, Newcombe."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm
from scipy.stats import t as student_t

from closerlook.geometry.validation import FloatArray, RandomState


class Interval(NamedTuple):
    """A confidence interval; both ends are NaN where it is undefined."""

    low: float
    high: float


def jackknife_interval(value: float, leave_out: ArrayLike, confidence: float = 0.95) -> Interval:
    """Group jackknife: an interval from the values with one group of examples left out at a time.

    Preferred to the bootstrap for measures of a kernel (CKA, RSA, neighbours), because resampling with
    replacement puts duplicates into the space and biases them.

    Args:
        value: the measure on all examples.
        leave_out: (n_groups,) the measure without each group; equal-sized random groups.
        confidence: coverage aimed at, in (0, 1).

    Returns:
        value -+ t(n_groups - 1) * standard error; NaN with fewer than 3 finite values.

    Source:
        Efron & Tibshirani 1993, chapter 11. Trap: the examples of one sentence are not independent, so the
        interval is too narrow for word tasks unless groups are made of whole sentences.
    """
    values = np.asarray(leave_out, dtype=np.float64)
    n_groups = len(values)
    if n_groups < 3 or not np.isfinite(values).all() or not np.isfinite(value):
        return Interval(np.nan, np.nan)
    error = float(np.sqrt((n_groups - 1) / n_groups * np.sum((values - values.mean()) ** 2)))
    half = float(student_t.ppf(0.5 + confidence / 2, n_groups - 1)) * error
    return Interval(value - half, value + half)


def bootstrap_interval(
    values: ArrayLike,
    statistic: Callable[[FloatArray], FloatArray] | None = None,
    *,
    n_bootstrap: int = 1000,
    confidence: float = 0.95,
    random_state: RandomState = 0,
) -> Interval:
    """Percentile bootstrap over independent units (labels, or query points).

    Args:
        values: (n_units,) one number per unit, finite.
        statistic: takes (n_bootstrap, n_units), returns (n_bootstrap,); the mean by default.
        n_bootstrap: draws.
        confidence: coverage aimed at, in (0, 1).
        random_state: seed or generator.

    Returns:
        The interval; NaN with fewer than 2 units.

    Source:
        Efron & Tibshirani 1993, chapter 13.
    """
    units = np.asarray(values, dtype=np.float64)
    if len(units) < 2 or not np.isfinite(units).all():
        return Interval(np.nan, np.nan)
    rng = np.random.default_rng(random_state)
    draws = units[rng.integers(len(units), size=(n_bootstrap, len(units)))]
    stats = draws.mean(axis=1) if statistic is None else statistic(draws)
    return percentile_interval(stats, confidence)


def percentile_interval(stats: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return the central percentiles of the finite ones among ``stats``.

    Args:
        stats: (n_draws,) may hold NaN for draws on which the statistic is undefined.
        confidence: share between the two ends, in (0, 1).

    Returns:
        The interval; NaN when fewer than half of the draws are defined.
    """
    values = np.asarray(stats, dtype=np.float64)
    finite = values[np.isfinite(values)]
    if len(finite) == 0 or 2 * len(finite) < len(values):
        return Interval(np.nan, np.nan)
    low, high = np.quantile(finite, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(float(low), float(high))


def wilson_interval(successes: float, total: int, confidence: float = 0.95) -> Interval:
    """Wilson score interval of one proportion.

    Args:
        successes: from 0 to total; a mean over several fits need not be whole.
        total: at least 1.
        confidence: coverage aimed at, in (0, 1).

    Returns:
        The interval, inside [0, 1].

    Raises:
        ValueError: if the counts are not 0 <= successes <= total with total >= 1.

    Source:
        Wilson 1927, without continuity correction.
    """
    if total < 1 or not 0 <= successes <= total:
        raise ValueError(f"got {successes} successes of {total}, expected 0 <= successes <= total and total >= 1")
    z = float(norm.ppf(0.5 + confidence / 2))
    rate = successes / total
    centre = (rate + z * z / (2 * total)) / (1 + z * z / total)
    half = z * np.sqrt(rate * (1 - rate) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    # The ends at no and at full success are exact; rounding would leave them just inside.
    low = 0.0 if successes == 0 else float(centre - half)
    return Interval(low, 1.0 if successes == total else float(centre + half))


def newcombe_interval(
    successes_a: float, total_a: int, successes_b: float, total_b: int, confidence: float = 0.95
) -> Interval:
    """Interval of the difference of two independent proportions, a - b.

    Args:
        successes_a: successes of the first sample.
        total_a: size of the first sample, at least 1.
        successes_b: successes of the second sample.
        total_b: size of the second sample, at least 1.
        confidence: coverage aimed at, in (0, 1).

    Returns:
        The interval, inside [-1, 1].

    Raises:
        ValueError: as in :func:`wilson_interval`.

    Source:
        Newcombe 1998, method 10 (hybrid score). Holds at rates of 0 and 1, where the Wald interval collapses.
    """
    a, b = wilson_interval(successes_a, total_a, confidence), wilson_interval(successes_b, total_b, confidence)
    rate_a, rate_b = successes_a / total_a, successes_b / total_b
    low = rate_a - rate_b - np.hypot(rate_a - a.low, b.high - rate_b)
    high = rate_a - rate_b + np.hypot(a.high - rate_a, rate_b - b.low)
    return Interval(float(low), float(high))
