"""Spatial similarity of two spaces: do the labels keep their relative distances?

Zhou & Srikumar 2022 (2106.14282): the Pearson correlation of two label-distance vectors. The C(C-1)/2 entries
share labels, so the usual p-value and interval of a correlation are void; here the p-value is a Mantel
permutation over labels and the interval a bootstrap over labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from closerlook.geometry.correlation import Method, correlate_rows, rank_matrix, take_pairs
from closerlook.geometry.intervals import percentile_interval
from closerlook.geometry.permutations import label_permutations
from closerlook.geometry.validation import BoolArray, FloatArray, IntArray, RandomState, check_distances

Alternative = Literal["greater", "less", "two-sided"]
Missing = Literal["common", "zero"]


@dataclass(frozen=True)
class SpatialSimilarity:
    """Correlation of two label-distance matrices, with what its number needs beside it.

    Attributes:
        value: correlation over the pairs of labels defined on both sides, in [-1, 1]; NaN where undefined.
        n_pairs: how many pairs those are.
        n_labels: labels that take part in at least one of those pairs.
        p_value: Mantel permutation p, in (0, 1]; NaN where undefined or not asked for.
        low: lower end of the bootstrap interval over labels; NaN where undefined or not asked for.
        high: upper end.
        null_mean: mean of the value under permuted labels, the control.
        method: "pearson", "spearman" or "kendall".
        n_permutations: permutations behind p_value; all of them where the labels are few.
        reason: why a part is NaN; empty when all parts are there.
    """

    value: float
    n_pairs: int
    n_labels: int
    p_value: float = np.nan
    low: float = np.nan
    high: float = np.nan
    null_mean: float = np.nan
    method: str = "pearson"
    n_permutations: int = 0
    reason: str = ""


def spatial_similarity(
    A: ArrayLike,
    B: ArrayLike,
    *,
    method: Method = "pearson",
    alternative: Alternative = "greater",
    missing: Missing = "common",
    n_permutations: int = 999,
    n_bootstrap: int = 1000,
    confidence: float = 0.95,
    random_state: RandomState = 0,
) -> SpatialSimilarity:
    """Correlate two label-distance matrices over the pairs of labels that both have.

    Args:
        A: (n_classes, n_classes) symmetric label distances, NaN where undefined; the diagonal is not read.
        B: the same labels in the same order, in the other space.
        method: "pearson" as in the paper; "spearman" or "kendall" for the rank order of the distances
            (kendall loops over the draws and is about 100 times slower).
        alternative: side of the Mantel test.
        missing: "common" keeps the pairs that both have. "zero" writes 0 for a missing pair, as the released
            code does in its vectors; only for a comparison with it.
        n_permutations: Mantel permutations of B's labels; 0 leaves p_value NaN. All n! permutations are used
            instead where they are no more than n_permutations + 1. Orders that leave fewer than 3 common pairs
            do not count.
        n_bootstrap: draws of labels with replacement; 0 leaves the interval NaN. Pairs of a label with its own
            copy are left out of a draw.
        confidence: coverage of the interval, in (0, 1).
        random_state: seed or generator.

    Returns:
        The result; ``value`` is NaN with a reason when fewer than 3 pairs are common or one side is constant.

    Raises:
        ValueError: if the matrices are not square, symmetric and of one shape, or an option is unknown.

    Source:
        Zhou & Srikumar 2022 (2106.14282); Mantel 1967; Kriegeskorte 2008 for resampling of conditions.
        Trap: distances that all grow by one factor leave it at 1: it tells order and proportion, not size.
    """
    first, second = _checked(A, B, method, alternative, missing)
    keep, mask = _common_labels(first, second)
    first, second = first[np.ix_(keep, keep)], second[np.ix_(keep, keep)]
    n_pairs, n_labels = int(mask.sum()) // 2, len(keep)
    value, reason = _observed(first, second, n_pairs, method)
    if reason:
        return SpatialSimilarity(np.nan, n_pairs, n_labels, method=method, reason=reason)
    rng = np.random.default_rng(random_state)
    p_value, null_mean, n_used = _mantel(first, second, value, method, alternative, n_permutations, rng)
    low, high = _bootstrap(first, second, method, n_bootstrap, confidence, rng)
    if n_bootstrap and np.isnan(low):
        reason = f"interval: most draws of {n_labels} labels leave the correlation undefined"
    return SpatialSimilarity(value, n_pairs, n_labels, p_value, low, high, null_mean, method, n_used, reason)


def _checked(A: ArrayLike, B: ArrayLike, method: str, alternative: str, missing: str) -> tuple[FloatArray, FloatArray]:
    for got, options, what in (
        (method, get_args(Method), "method"),
        (alternative, get_args(Alternative), "alternative"),
        (missing, get_args(Missing), "missing"),
    ):
        if got not in options:
            raise ValueError(f"{what} is {got!r}, expected one of {options}")
    first, second = check_distances(A, "A"), check_distances(B, "B")
    if first.shape != second.shape:
        raise ValueError(
            f"A has shape {first.shape} and B {second.shape}, expected the same labels on both sides; "
            "align them with align_label_distances"
        )
    if missing == "zero":  # as released: a missing pair is written as 0
        return np.nan_to_num(first, nan=0.0), np.nan_to_num(second, nan=0.0)
    return first, second


def _common_labels(first: FloatArray, second: FloatArray) -> tuple[IntArray, BoolArray]:
    """Labels with at least one pair defined on both sides; a label absent from one side is not permuted."""
    mask = np.isfinite(first) & np.isfinite(second)
    np.fill_diagonal(mask, False)
    return np.flatnonzero(mask.any(axis=1)), mask


def _observed(first: FloatArray, second: FloatArray, n_pairs: int, method: Method) -> tuple[float, str]:
    if n_pairs < 3:
        return np.nan, f"{n_pairs} common pairs of labels, a correlation needs at least 3"
    value = float(correlate_rows(take_pairs(first)[None], take_pairs(second)[None], method)[0])
    return value, "one side has the same distance for every common pair" if np.isnan(value) else ""


def _mantel(
    first: FloatArray,
    second: FloatArray,
    value: float,
    method: Method,
    alternative: Alternative,
    n_permutations: int,
    rng: np.random.Generator,
) -> tuple[float, float, int]:
    """Return (p, mean under the null, permutations used)."""
    if n_permutations < 1:
        return np.nan, np.nan, 0
    orders, exact = label_permutations(len(first), n_permutations, rng)
    off = ~np.eye(len(first), dtype=bool)
    if method == "spearman" and np.isfinite(first[off]).all() and np.isfinite(second[off]).all():
        # Without missing pairs a permutation only moves the ranks, so they are taken once.
        first, second, method = rank_matrix(first), rank_matrix(second), "pearson"
    null = correlate_rows(take_pairs(first), take_pairs(second, orders), method)
    null = null[np.isfinite(null)]
    tie = 1e-12  # the same distances in another order of summation must count as a tie
    side = {"greater": null >= value - tie, "less": null <= value + tie}.get(
        alternative, np.abs(null) >= abs(value) - tie
    )
    extra = 0 if exact else 1  # the observed order is one of the exact ones already
    p_value = float((side.sum() + extra) / (len(null) + extra))
    return p_value, float(null.mean()) if len(null) else np.nan, len(null)


def _bootstrap(
    first: FloatArray,
    second: FloatArray,
    method: Method,
    n_bootstrap: int,
    confidence: float,
    rng: np.random.Generator,
) -> tuple[float, float]:
    if n_bootstrap < 1:
        return np.nan, np.nan
    first, second = first.copy(), second.copy()
    np.fill_diagonal(first, np.nan)  # a label drawn twice has no distance to itself
    np.fill_diagonal(second, np.nan)
    draws = rng.integers(len(first), size=(n_bootstrap, len(first)))
    values = correlate_rows(take_pairs(first, draws), take_pairs(second, draws), method)
    return percentile_interval(values, confidence)
