"""One labelled space with what its measures share, and the linear head that was tuned with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import ArrayLike

from closerlook.geometry.centroids import label_means
from closerlook.geometry.confidence import Interval, jackknife_interval
from closerlook.geometry.label_sums import LabelSums
from closerlook.geometry.measure_value import control_of
from closerlook.geometry.neighbours import nearest_neighbours, sample_rows
from closerlook.geometry.paired_sums import random_groups
from closerlook.geometry.scatter import pooled_scatter
from closerlook.geometry.spectrum import singular_values
from closerlook.geometry.validation import (
    FloatArray,
    IntArray,
    UndefinedMeasureError,
    centre,
    check_labels,
    check_space,
)


@dataclass(frozen=True)
class Head:
    """A linear classifier of the space.

    Attributes:
        weights: (n_classes, n_features), rows in sorted order of the labels.
        bias: (n_classes,).
    """

    weights: FloatArray
    bias: FloatArray


class LabelledSpace:
    """One space with what its measures share: centred rows, neighbours, sums, one shuffle of the labels.

    Args:
        X: (n_samples, n_features).
        y: (n_samples,) labels.
        max_points: query points of the measures that would grow with n_samples^2.
        k: neighbours.
        random_state: seed.

    Raises:
        ValueError: if X is not finite, the lengths differ, or labels are missing.
    """

    n_groups = 10  # of the jackknife

    def __init__(self, X: ArrayLike, y: ArrayLike, *, max_points: int = 1000, k: int = 10, random_state: int = 0):
        self.X = check_space(X)
        self.n, self.d = self.X.shape
        self.classes, self.codes = check_labels(y, self.n)
        self.max_points, self.k, self.seed = max_points, k, random_state
        rng = np.random.default_rng(random_state)
        self.shuffled: IntArray = rng.permutation(self.codes)
        self.groups = random_groups(self.n, self.n_groups, rng)
        self.queries = sample_rows(self.n, max_points, rng)
        self.centred: FloatArray = centre(self.X)

    @cached_property
    def gaussian(self) -> FloatArray:
        """(n_samples, n_features) standard normal numbers, the control of the spectrum."""
        return np.random.default_rng(self.seed + 1).standard_normal(self.X.shape)

    @cached_property
    def spectrum(self) -> FloatArray:
        """Singular values of the centred space, descending."""
        return singular_values(self.centred)

    @cached_property
    def neighbours(self) -> IntArray:
        """(n_queries, k) nearest rows of each query, k cut to the points there are."""
        if self.n < 2:
            raise UndefinedMeasureError("the data has 1 point, neighbours need at least 2")
        return nearest_neighbours(self.X, min(self.k, self.n - 1), self.queries)

    @cached_property
    def means(self) -> FloatArray:
        """(n_classes, n_features) centroids of the centred space."""
        return label_means(self.centred, self.codes, len(self.classes))

    @cached_property
    def scatter(self) -> float:
        """Pooled within-label scatter."""
        return pooled_scatter(self.centred, self.codes)

    @cached_property
    def radius(self) -> float:
        """Root mean squared distance to the mean."""
        return float(np.linalg.norm(self.centred) / np.sqrt(self.n))

    @cached_property
    def sums(self) -> list[LabelSums]:
        """Sums per label of each jackknife group, then of all rows."""
        n = len(self.classes)
        parts = [LabelSums.of(self.centred[rows], self.codes[rows], n) for rows in self.groups]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return [*parts, total]

    def jackknife(self, value: float, compute: Callable[[LabelSums], float]) -> Interval:
        """Group-jackknife interval of a function of the sums per label."""
        *parts, total = self.sums
        return jackknife_interval(value, [control_of(partial(compute, total - part)) for part in parts])
