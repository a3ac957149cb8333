"""Permutations of labels: all of them where they are few, random ones otherwise."""

from __future__ import annotations

from itertools import permutations
from math import factorial

import numpy as np

from closerlook.geometry.validation import IntArray


def label_permutations(n: int, n_permutations: int, rng: np.random.Generator) -> tuple[IntArray, bool]:
    """Return orders of ``n`` labels for a permutation test.

    Args:
        n: number of labels, at least 1.
        n_permutations: random orders to draw.
        rng: generator.

    Returns:
        ``orders`` (n_orders, n), and whether they are all n! orders (the identity among them). All are returned
        where n! <= n_permutations + 1, which makes the test exact.
    """
    if n <= 12 and factorial(n) <= n_permutations + 1:
        return np.array(list(permutations(range(n))), dtype=np.intp), True
    identity = np.broadcast_to(np.arange(n, dtype=np.intp), (n_permutations, n))
    return rng.permuted(identity, axis=1), False
