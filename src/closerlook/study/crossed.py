"""Intervals of a mean over runs and units (test examples, labels) that all runs share: both are drawn by chance.

Student's t over seeds alone takes the one test set for all there is: when nothing changed it speaks of a change in
37 % (3 seeds) to 75 % (10 seeds) of studies. Here the variance of the mean is that of runs, plus that of units, less
what both hold of the rest (two crossed random factors, by moments), with Satterthwaite's degrees of freedom.

Source:
    Clark 1973 ("the language-as-fixed-effect fallacy"); Satterthwaite 1946; groups of units that are not independent:
    Cameron, Gelbach & Miller 2011.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student_t

from closerlook.geometry.confidence import Interval


@dataclass(frozen=True)
class Units:
    """One number for each run and unit.

    Attributes:
        values: (n_runs, n_units), finite.
        groups: (n_units,) which units are not independent of each other; None: all are.
    """

    values: np.ndarray
    groups: np.ndarray | None = None

    @property
    def n_independent(self) -> int:
        """Number of independent units."""
        return self.values.shape[1] if self.groups is None else len(np.unique(self.groups))


class Crossed(NamedTuple):
    """An interval and its degrees of freedom; NaN where undefined."""

    interval: Interval
    df: float


class _Variance(NamedTuple):
    value: float
    df: float


NO_INTERVAL = Crossed(Interval(np.nan, np.nan), np.nan)


def crossed_interval(parts: Sequence[Units], confidence: float = 0.95) -> Crossed:
    """Interval of the sum, over parts, of the mean over runs and units.

    Args:
        parts: Mostly one. With several (seen less unseen examples) the units of different parts are different ones and
            the runs are the same; a part that is taken away has its sign changed.
        confidence: Coverage aimed at, in (0, 1).

    Returns:
        The interval; undefined when a part has fewer than two independent units. With one run it covers the choice of
        units only.
    """
    if any(part.n_independent < 2 for part in parts):
        return NO_INTERVAL
    units = [_variance_of_units(part) for part in parts]
    rest = [_variance_of_rest(part) for part in parts]
    runs = _variance_of_runs(sum(part.values.mean(axis=1) for part in parts))
    total = sum(one.value for one in units) + runs.value - sum(one.value for one in rest)
    # an estimate of the rest that is too large by chance must not take away what either factor shows alone
    variance = max(total, runs.value, sum(one.value for one in units))
    mean = float(sum(part.values.mean() for part in parts))
    if variance == 0:
        return Crossed(Interval(mean, mean), min(one.df for one in units))
    df = variance**2 / sum(one.value**2 / one.df for one in (*units, *rest, runs) if one.value)
    df = max(df, min(one.df for one in (*units, runs)))  # taking off the rest can leave less than either factor has
    half = float(student_t.ppf(0.5 + confidence / 2, df)) * float(np.sqrt(variance))
    return Crossed(Interval(mean - half, mean + half), float(df))


def _variance_of_runs(means: np.ndarray) -> _Variance:
    n = len(means)
    return _Variance(float(np.var(means, ddof=1)) / n, n - 1) if n > 1 else _Variance(0.0, np.inf)


def _variance_of_units(part: Units) -> _Variance:
    deviations = part.values.mean(axis=0) - part.values.mean()
    sums = _group_sums(deviations[None], part.groups)[0]
    n = len(sums)
    return _Variance(float((sums**2).sum()) / len(deviations) ** 2 * n / (n - 1), n - 1)


def _variance_of_rest(part: Units) -> _Variance:
    """What neither runs nor units explain; it is in the variance of both."""
    values = part.values
    n_runs = len(values)
    if n_runs < 2:
        return _Variance(0.0, np.inf)
    rest = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
    sums = _group_sums(rest, part.groups)
    n = sums.shape[1]
    correction = n_runs / (n_runs - 1) * n / (n - 1)
    return _Variance(float((sums**2).sum()) / values.size**2 * correction, (n_runs - 1) * (n - 1))


def _group_sums(rows: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """(n_rows, n_groups) sums of the columns of each group."""
    if groups is None:
        return rows
    _, codes = np.unique(groups, return_inverse=True)
    sums = np.zeros((len(rows), codes.max() + 1))
    np.add.at(sums.T, codes, rows.T)
    return sums


def paired_examples(differences: np.ndarray) -> Units:
    """Differences of hits before and after, with one more example won and one more lost.

    The two pseudo-examples are Bonett & Price's 2012 correction for paired proportions: without it the interval is too
    narrow where few examples change sides.

    Args:
        differences: (n_runs, n_examples) in [-1, 1].
    """
    more = np.ones((len(differences), 1))
    return Units(np.concatenate([differences, more, -more], axis=1))


def jackknife_values(statistic: Callable[[np.ndarray], np.ndarray], n_labels: int) -> np.ndarray:
    """Pseudo-values of a statistic of label distances: their mean stands for it, their spread for its error.

    Args:
        statistic: Takes (n_orders, k) label numbers, returns (n_orders,) values.
        n_labels: Number of labels.

    Returns:
        (n_labels,) values, NaN where the statistic is undefined without a label.

    Source:
        Efron & Tibshirani 1993, chapter 11. Pairs of labels share labels, so labels are left out and not pairs.
    """
    everyone = np.arange(n_labels)
    without = np.array([np.delete(everyone, i) for i in everyone])
    whole = float(statistic(everyone[None])[0])
    return n_labels * whole - (n_labels - 1) * statistic(without)
