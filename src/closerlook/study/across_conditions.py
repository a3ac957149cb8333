"""One estimate from many conditions: random effects over tasks and models, with heterogeneity, and Holm over claims."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student_t

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Combined:
    """A mean effect over conditions that differ, for tasks and models like these.

    Attributes:
        value: The mean.
        low: Lower end of its 95 % interval.
        high: Upper end.
        p_value: Two-sided p of "equal to the null".
        tau: Standard deviation of the true effects between conditions (DerSimonian-Laird).
        i_squared: Share of the variance between conditions that is not chance, in [0, 1].
        n_conditions: Conditions with an interval of their own.
        n_tasks: Different tasks among them.
        n_models: Different models among them.
    """

    value: float
    low: float
    high: float
    p_value: float
    tau: float
    i_squared: float
    n_conditions: int
    n_tasks: int
    n_models: int


@dataclass(frozen=True)
class _Part:
    """A part of the variance of a mean, with its degrees of freedom."""

    variance: float
    df: float


def combine(
    values: Sequence[float], errors: Sequence[float], tasks: Sequence[str], models: Sequence[str], *, null: float
) -> Combined:
    """Random-effects estimate over at least two conditions.

    Weights are DerSimonian & Laird's. The variance is empirical, as Hartung & Knapp's, and robust to what conditions of
    one task (its test set, its labels) or of one model share: that between tasks plus that between models, less what
    both hold of the rest. With one model it is Hartung & Knapp's. It is never less than what the chance within tasks
    gives alone.

    Args:
        values: (n,) effects.
        errors: (n,) their standard errors, at least 0.
        tasks: (n,) the task of each.
        models: (n,) the model of each.
        null: The value that means no effect.

    Returns:
        The estimate, with Student's t on Satterthwaite's degrees of freedom.

    Source:
        DerSimonian & Laird 1986; Hartung & Knapp 2001; Röver, Knapp & Friede 2015 (the lower bound); Cameron, Gelbach &
        Miller 2011 (two ways of grouping).
    """
    y, se = np.asarray(values, dtype=float), np.asarray(errors, dtype=float)
    se = np.maximum(se, 1e-6 * max(float(np.abs(y - null).max()), float(se.max()), 1e-300))  # no weight is infinite
    tau2, i_squared = _heterogeneity(y, se**2)
    weights = 1 / (se**2 + tau2)
    weights /= weights.sum()
    mean = float(weights @ y)
    part = _variance(weights * (y - mean), tasks, models)
    within = float((_sums(weights * se, tasks) ** 2).sum())
    error, quantile = math.sqrt(max(part.variance, within)), float(student_t.ppf(0.5 + _CONFIDENCE / 2, part.df))
    return Combined(
        value=mean,
        low=mean - quantile * error,
        high=mean + quantile * error,
        p_value=float(2 * student_t.sf(abs(mean - null) / error, part.df)),
        tau=math.sqrt(tau2),
        i_squared=i_squared,
        n_conditions=len(y),
        n_tasks=len(set(tasks)),
        n_models=len(set(models)),
    )


def _heterogeneity(y: np.ndarray, variances: np.ndarray) -> tuple[float, float]:
    """DerSimonian-Laird's variance between conditions, and I squared."""
    w = 1 / variances
    q = float(w @ (y - w @ y / w.sum()) ** 2)
    df = len(y) - 1
    tau2 = max(0.0, (q - df) / float(w.sum() - (w**2).sum() / w.sum()))
    return tau2, max(0.0, (q - df) / q) if q > 0 else 0.0


def _variance(scores: np.ndarray, tasks: Sequence[str], models: Sequence[str]) -> _Part:
    """Variance of the mean from weighted deviations, grouped by tasks and by models where there are several."""
    ways = [_part(scores, names) for names in (tasks, models) if len(set(names)) > 1]
    if len(ways) == 1:
        return ways[0]
    rest = _part(scores, range(len(scores)))
    largest = max(part.variance for part in ways)
    variance = max(sum(part.variance for part in ways) - rest.variance, largest)
    if variance == 0:
        return _Part(0.0, min(part.df for part in ways))
    return _Part(variance, variance**2 / sum(part.variance**2 / part.df for part in ways))


def _part(scores: np.ndarray, names: Sequence[object]) -> _Part:
    sums = _sums(scores, names)
    n = len(sums)
    return _Part(float((sums**2).sum()) * n / (n - 1), n - 1)


def _sums(values: np.ndarray, names: Sequence[object]) -> np.ndarray:
    _, codes = np.unique(np.asarray(names), return_inverse=True)
    return np.bincount(codes, weights=values)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979); NaN stays, and does not count."""
    p = np.asarray(p_values, dtype=float)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    corrected = np.full(len(p), np.nan)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1.0)
    return [float(value) for value in corrected]
