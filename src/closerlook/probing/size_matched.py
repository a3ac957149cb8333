"""Distances between labels on draws of one size, so that sets of different size can be compared.

A hull grows with its points, so distances on a training set are smaller than on its test set for that reason alone.
Equally many points per label, drawn several times, take this out. (The paper has no such control.)
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state, check_X_y

from closerlook.probing.hulls import FloatArray
from closerlook.probing.pairwise import Certificates


@dataclass(frozen=True, eq=False)
class LabelDistances:
    """Hull distances between labels over repeated draws.

    Attributes:
        classes: (n_classes,) sorted labels.
        mean: (n_classes, n_classes) symmetric, unit of the points, 0 on the diagonal and where hulls meet in
            every draw; NaN for a label with fewer than `subsample` points.
        low: lower end of the interval over draws, same shape.
        high: upper end of the interval over draws, same shape.
        draws: (n_repeats, n_classes, n_classes) the distances of each draw.
        subsample: points per label in each draw; None if all were used.
        level: share of the draws inside [low, high].
    """

    classes: NDArray[np.generic]
    mean: FloatArray
    low: FloatArray
    high: FloatArray
    draws: FloatArray
    subsample: int | None
    level: float


def label_distances(
    X: ArrayLike,
    y: ArrayLike,
    *,
    subsample: int | None = None,
    repeats: int = 20,
    random_state: int | np.random.RandomState | None = None,
    level: float = 0.95,
    tol: float = 1e-6,
    n_jobs: int | None = None,
) -> LabelDistances:
    """Mean and interval of the hull distances between labels, on draws of one size per label.

    Args:
        X: (n_samples, n_features) points.
        y: (n_samples,) labels.
        subsample: points to draw per label, without replacement; None uses all points, once.
        repeats: number of draws.
        random_state: seed of the draws.
        level: share of the draws inside the interval, in (0, 1).
        tol: relative duality gap of each distance.
        n_jobs: threads, in joblib's convention (None is 1 unless a joblib context says otherwise).

    Returns:
        The distances; see `LabelDistances`.

    Raises:
        ValueError: for input that is not finite, not of one length, or empty; `subsample` or `repeats` below 1.
    """
    points, names = check_X_y(X, y, dtype=np.float64, ensure_min_samples=1)
    if (subsample is not None and subsample < 1) or repeats < 1 or not 0 < level < 1:
        msg = f"Expected subsample and repeats >= 1 and 0 < level < 1, got {subsample}, {repeats} and {level}."
        raise ValueError(msg)
    points = points - points.mean(axis=0)
    classes, codes = np.unique(names, return_inverse=True)
    rng = check_random_state(random_state)
    by_label = [np.flatnonzero(codes == code) for code in range(len(classes))]
    enough = [code for code, rows in enumerate(by_label) if subsample is None or len(rows) >= subsample]
    pairs = np.array(list(combinations(enough, 2)), dtype=np.int64).reshape(-1, 2)
    draws = np.full((1 if subsample is None else repeats, len(classes), len(classes)), np.nan)
    draws[:, range(len(classes)), range(len(classes))] = 0.0
    for draw in draws:
        sets = by_label
        if subsample is not None:
            sets = [np.sort(rng.permutation(rows)[:subsample]) for rows in by_label]
        draw[pairs[:, 0], pairs[:, 1]] = Certificates(points, sets, pairs, tol, n_jobs).distances
        draw[pairs[:, 1], pairs[:, 0]] = draw[pairs[:, 0], pairs[:, 1]]
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return LabelDistances(classes, draws.mean(axis=0), low, high, draws, subsample, level)
