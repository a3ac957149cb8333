"""Online code length (minimum description length): how many bits do the labels cost, given the vectors?

Source: Voita & Titov 2020 (2003.12298), section 3.2. The labels are sent block by block; each block is coded
with a probe trained on the blocks before it. A short code means that few examples suffice. It depends on the
order of the examples, hence several shuffles.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from closerlook.probing.classifier_probe import standardise
from closerlook.probing.classifier_result import check_labels, check_vectors

PAPER_FRACTIONS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class OnlineCodeResult:
    """Bits to send the labels, beside the bits of the uniform code."""

    bits: float
    """Mean code length over the shuffles, in bits."""
    bits_std: float
    """Standard deviation over the shuffles (n - 1 in the denominator); NaN for one."""
    uniform_bits: float
    """n * log2(number of labels): the code that knows nothing."""
    compression: float
    """uniform_bits / bits, above 0; 1 = the vectors do not help, higher is better."""
    bits_per_example: float
    """bits / n."""
    shuffle_bits: tuple[float, ...]
    """Code length of each shuffle."""
    block_ends: tuple[int, ...]
    """Examples sent after each block, last one = n."""
    block_bits: NDArray[np.float64]
    """(n_shuffles, n_blocks) bits of each block; column 0 is the uniform code of the first block."""
    n_labels: int
    """Different labels."""
    n_not_converged: int
    """Fits of the probe that did not converge; their code is valid, only longer than need be."""


def online_code_length(
    X: ArrayLike,
    y: ArrayLike,
    *,
    fractions: Sequence[float] = PAPER_FRACTIONS,
    n_shuffles: int = 5,
    C: Sequence[float] = (0.01, 0.1),
    max_iter: int = 1000,
    tol: float = 1e-4,
    random_state: int = 0,
) -> OnlineCodeResult:
    """Code the labels of the training set with the linear probe, block by block.

    The probe is `linear_probe`'s logistic regression on vectors standardised over all of `X`: sender and
    receiver both hold the vectors, so this leaks no label. How confident a probe may be differs from space to
    space and a code pays dearly for too much, so every block is coded with that L2 weight of `C` which would
    have coded the blocks before it in the fewest bits (both sides know them). A label that no earlier block
    has shown gets the probability 1 / (seen examples + unseen labels), the rest is the probe's; so every label
    has a finite code. (The paper's networks have an output for every label from the start.)

    Args:
        X: (n, n_features) finite.
        y: (n,) strings or integers, at least two labels.
        fractions: ends of the blocks as shares of n, increasing, the last one 1. Ends that fall on the same
            example are merged.
        n_shuffles: random orders of the examples, at least 1.
        C: inverse L2 weights of the logistic regression to choose from, each above 0; the smallest codes the
            second block. The time taken grows with their number.
        max_iter: its iterations.
        tol: its gradient tolerance.
        random_state: seed of the shuffles.

    Raises:
        ValueError: shapes, NaN, empty input, one label; fractions that do not increase to 1; n_shuffles, C,
            max_iter or tol out of range.
    """
    vectors = check_vectors("X", X)
    names, codes = np.unique(check_labels("y", y, len(vectors)), return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"y has one label, {names[0].item()!r}, expected at least two; one label costs no bits")
    _check_settings(fractions, n_shuffles, C, max_iter, tol)
    ends = sorted({max(1, round(share * len(codes))) for share in fractions})
    rng = np.random.default_rng(random_state)
    vectors = standardise(vectors, vectors)[0]
    block_bits, failures = np.zeros((n_shuffles, len(ends))), 0
    for row in block_bits:
        order = rng.permutation(len(codes))
        row[0] = ends[0] * np.log2(len(names))
        spent = np.zeros(len(C))  # bits of each L2 weight on the blocks coded so far
        for i, (start, end) in enumerate(pairwise(ends), start=1):
            seen, block = order[:start], order[start:end]
            bits = np.zeros(len(C))
            for j, inverse in enumerate(sorted(C)):
                fit = _log_probabilities(vectors[seen], codes[seen], vectors[block], inverse, max_iter, tol)
                bits[j] = code_bits(fit[0], codes[seen], codes[block], len(names))
                failures += not fit[1]
            row[i] = bits[spent.argmin()]
            spent += bits
    return _summary(block_bits, ends, len(names), failures)


def _check_settings(fractions: Sequence[float], n_shuffles: int, C: Sequence[float], max_iter: int, tol: float) -> None:
    """Raise ValueError for a setting out of range."""
    if list(fractions) != sorted(set(fractions)) or not fractions or fractions[0] <= 0 or fractions[-1] != 1:
        raise ValueError(f"got fractions {list(fractions)}, expected increasing shares above 0, the last one 1")
    if n_shuffles < 1 or not C or min(*C, max_iter, tol) <= 0:
        raise ValueError(f"got {n_shuffles=}, {C=}, {max_iter=}, {tol=}, expected numbers above 0")


def code_bits(
    log_p: NDArray[np.floating], y_seen: NDArray[np.int64], y_block: NDArray[np.int64], n_labels: int
) -> float:
    """Return the bits of one block under the probe's probabilities with room for unseen labels.

    Args:
        log_p: (n_block, n_seen_labels) natural logarithms, columns = sorted distinct codes of `y_seen`.
        y_seen: (n_seen,) codes in [0, n_labels) of the blocks before.
        y_block: (n_block,) codes of this block.
        n_labels: labels overall.
    """
    known = np.unique(y_seen)
    n_unseen = n_labels - len(known)
    total = len(y_seen) + n_unseen
    column = np.minimum(np.searchsorted(known, y_block), len(known) - 1)
    is_known = known[column] == y_block
    own = log_p[np.arange(len(y_block)), column] + np.log(len(y_seen) / total)
    return float(-np.where(is_known, own, -np.log(total)).sum() / np.log(2))


def _log_probabilities(
    X: NDArray[np.float32], y: NDArray[np.int64], X_next: NDArray[np.float32], C: float, max_iter: int, tol: float
) -> tuple[NDArray[np.floating], bool]:
    """Fit on (X, y) and return (n_next, n_labels of y) log-probabilities and whether the fit converged."""
    from scipy.special import log_softmax
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    known = np.unique(y)
    if len(known) == 1:  # nothing to fit: the one label seen so far is certain, before room for unseen ones
        return np.zeros((len(X_next), 1)), True
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model = LogisticRegression(C=C, max_iter=max_iter, tol=tol).fit(X, y)
    scores = np.asarray(model.decision_function(X_next), dtype=np.float64)
    if len(known) == 2:
        scores = np.column_stack([np.zeros(len(X_next)), scores])
    # Not log(predict_proba): in float32 a probability of zero would make the code infinite.
    return log_softmax(scores, axis=1), not any(issubclass(w.category, ConvergenceWarning) for w in caught)


def _summary(block_bits: NDArray[np.float64], ends: Sequence[int], n_labels: int, failures: int) -> OnlineCodeResult:
    """Sum the blocks of each shuffle and set them against the uniform code."""
    totals = block_bits.sum(axis=1)
    uniform = float(ends[-1] * np.log2(n_labels))
    return OnlineCodeResult(
        bits=float(totals.mean()),
        bits_std=float(totals.std(ddof=1)) if len(totals) > 1 else float("nan"),
        uniform_bits=uniform,
        compression=float(uniform / totals.mean()),
        bits_per_example=float(totals.mean() / ends[-1]),
        shuffle_bits=tuple(totals.tolist()),
        block_ends=tuple(ends),
        block_bits=block_bits,
        n_labels=n_labels,
        n_not_converged=failures,
    )
