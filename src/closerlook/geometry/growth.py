"""Were labels pushed apart? Growth of label distances, plain and over what labels or the space grew themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student_t

from closerlook.geometry.confidence import CONFIDENCE, Interval
from closerlook.geometry.correlation import take_pairs
from closerlook.geometry.measure_value import MeasureValue
from closerlook.geometry.validation import FloatArray, UndefinedMeasureError, check_distances


@dataclass(frozen=True)
class Growth:
    """Median ratio of label distances after / before.

    Attributes:
        plain: the ratio; its control is the growth of the whole space.
        over_scatter: the ratio over that of the within-label scatter; 1 = labels grew as much as their distances.
    """

    plain: MeasureValue
    over_scatter: MeasureValue


def label_distance_growth(
    before: ArrayLike,
    after: ArrayLike,
    scatter_before: float,
    scatter_after: float,
    *,
    space_growth: float = np.nan,
    n_bootstrap: int = 200,
    random_state: int = 0,
) -> Growth:
    """Compare label distances before and after.

    Args:
        before: (n_classes, n_classes) label distances before, of hulls or of centroids; NaN where undefined.
        after: the same labels after.
        scatter_before: pooled within-label scatter before; NaN where unknown.
        scatter_after: the same after.
        space_growth: factor by which the whole space grew (its rms radius): the control of the plain growth.
        n_bootstrap: draws of labels for the intervals.
        random_state: seed of the draws.

    Returns:
        Both ratios, ``n`` counting pairs. The interval is over labels: the log of the median ratio -+ t times its
        spread over draws of labels.

    Raises:
        ValueError: if the matrices are not distances of the same labels.
        UndefinedMeasureError: if no pair of labels has a distance above 0 before and one after.
    """
    first, second = check_distances(before, "before"), check_distances(after, "after")
    if first.shape != second.shape:
        raise ValueError(f"before has shape {first.shape} and after {second.shape}, expected the same labels")
    usable = np.isfinite(first) & np.isfinite(second) & (first > 0) & ~np.eye(len(first), dtype=bool)
    if not usable.any():
        raise UndefinedMeasureError("no pair of labels has a distance above 0 before and one after")
    ratios = np.divide(second, first, out=np.full_like(first, np.nan), where=usable)
    value = float(np.median(ratios[usable]))
    low, high = _interval(value, ratios, n_bootstrap, random_state)
    n_labels, n_pairs = int(usable.any(axis=1).sum()), int(usable.sum()) // 2
    plain = MeasureValue(
        value, low, high, space_growth, "growth of the whole space", n=n_pairs, note=f"n pairs of {n_labels} labels"
    )
    return Growth(plain, _over_scatter(plain, scatter_before, scatter_after))


def _over_scatter(plain: MeasureValue, before: float, after: float) -> MeasureValue:
    if not min(before, after) > 0:
        return MeasureValue(np.nan, reason="the within-label scatter of a space is zero or unknown")
    # The scatters are sums over all points: their own error is small.
    return plain.over(after / before, control=1.0, control_name="no change")


def _interval(value: float, ratios: FloatArray, n_bootstrap: int, random_state: int) -> Interval:
    """The median is not smooth enough for a jackknife; percentiles of the draws are too narrow for few labels."""
    n = len(ratios)
    if n < 3 or value <= 0 or n_bootstrap < 2:
        return Interval(np.nan, np.nan)
    draws = np.random.default_rng(random_state).integers(n, size=(n_bootstrap, n))
    values = np.sort(take_pairs(ratios, draws), axis=1)  # a label drawn twice has no distance to itself; NaN last
    known = np.isfinite(values).sum(axis=1)
    rows = np.flatnonzero(known)
    medians = (values[rows, (known[rows] - 1) // 2] + values[rows, known[rows] // 2]) / 2
    logs = np.log(medians[medians > 0])
    if len(logs) < n_bootstrap / 2:
        return Interval(np.nan, np.nan)
    half = float(student_t.ppf(0.5 + CONFIDENCE / 2, n - 1) * logs.std(ddof=1))
    return Interval(float(value * np.exp(-half)), float(value * np.exp(half)))
