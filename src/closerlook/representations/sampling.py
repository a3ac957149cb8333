"""Choose a fixed subset of examples that keeps the labels' shares."""

from __future__ import annotations

import numpy as np


def stratified_subset(labels: np.ndarray, max_examples: int | None, seed: int = 0) -> np.ndarray:
    """Positions of at most ``max_examples`` examples, every label kept, shares kept as well as they can be.

    Args:
        labels: (n,) label names.
        max_examples: Upper bound; None keeps all.
        seed: Which subset; the same seed gives the same one on every machine.

    Returns:
        (m,) positions, ascending.

    Raises:
        ValueError: ``max_examples`` is smaller than the number of labels, so a label would vanish.
    """
    n = len(labels)
    if max_examples is None or max_examples >= n:
        return np.arange(n)
    classes, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if max_examples < len(classes):
        raise ValueError(
            f"snapshot.max_examples={max_examples} is less than the {len(classes)} labels: "
            f"expected at least {len(classes)}, so that each label keeps an example"
        )
    quota = _quota(counts, max_examples)
    rng = np.random.default_rng(seed)
    chosen = [rng.permutation(np.flatnonzero(codes == c))[: quota[c]] for c in range(len(classes))]
    return np.sort(np.concatenate(chosen))


def _quota(counts: np.ndarray, total: int) -> np.ndarray:
    """Largest-remainder shares of ``total``, at least 1 and at most the count each."""
    ideal = counts * total / counts.sum()
    quota = np.minimum(np.maximum(1, np.floor(ideal).astype(int)), counts)
    while quota.sum() != total:
        gain = 1 if quota.sum() < total else -1
        movable = quota < counts if gain > 0 else quota > 1
        need = np.where(movable, (ideal - quota) * gain, -np.inf)
        quota[int(np.argmax(need))] += gain
    return quota
