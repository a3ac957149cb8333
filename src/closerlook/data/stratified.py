"""A part of a split that has its labels in proportion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from closerlook.data.data_errors import DataError


def stratified_subset(labels: Sequence[str], max_examples: int | None, seed: int = 0) -> NDArray[np.int64]:
    """Sorted positions of at most ``max_examples`` of the labels, in proportion, rare labels first.

    Raises:
        DataError: ``max_examples`` is not positive.
    """
    n = len(labels)
    if max_examples is not None and max_examples < 1:
        raise DataError(f"max_examples is {max_examples}; expected at least 1 (or null for all)")
    if max_examples is None or max_examples >= n:
        return np.arange(n)
    _, classes, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(n)
    by_class = order[np.argsort(classes[order], kind="stable")]
    # an example's rank within its label, as a share of the label: taking the smallest keeps proportions,
    # and the first example of each label comes before all others
    share = np.empty(n)
    share[by_class] = (np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)) / counts[classes[by_class]]
    ranked = order[np.argsort(share[order], kind="stable")]
    return np.sort(ranked[:max_examples])
