"""Memorisation (E9): accuracy on seen but held-out-from-the-probe examples against accuracy on unseen ones.

The training set is split into subtrain and subtest; the encoder is tuned on both, the probe is trained on
subtrain only. Subtest was seen by the encoder, test by neither: their difference is what tuning memorised.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from closerlook.geometry.intervals import newcombe_interval
from closerlook.geometry.validation import IntArray, RandomState


@dataclass(frozen=True)
class MemorisationGap:
    """Accuracy on subtest - accuracy on test at one snapshot.

    Attributes:
        value: in [-1, 1]; above 0 = better on examples the encoder was tuned on.
        low: lower end of the Newcombe interval.
        high: upper end.
        subtest_accuracy: in [0, 1].
        test_accuracy: in [0, 1].
        excess: value - value at the first snapshot: what tuning added; 0 at the first.
        excess_low: lower end of its bootstrap interval over examples (paired over snapshots).
        excess_high: upper end.
    """

    value: float
    low: float
    high: float
    subtest_accuracy: float
    test_accuracy: float
    excess: float = 0.0
    excess_low: float = 0.0
    excess_high: float = 0.0


def subtrain_subtest(
    y: ArrayLike, *, subtest_size: float = 0.2, random_state: RandomState = 0
) -> tuple[IntArray, IntArray]:
    """Split a training set by label into subtrain and subtest.

    Args:
        y: (n_samples,) labels.
        subtest_size: share of each label that goes to subtest, in (0, 1), rounded; a label with one example
            stays in subtrain, and none goes to subtest whole.
        random_state: seed or generator.

    Returns:
        Sorted row numbers of subtrain and of subtest; together every row once.

    Raises:
        ValueError: if subtest_size is out of range or y is empty.

    Source:
        E9 of the paper: 80 / 20. Stratifying is ours: without, a rare label can be missing from subtrain.
    """
    if not 0 < subtest_size < 1:
        raise ValueError(f"subtest_size is {subtest_size}, expected a share in (0, 1)")
    labels = np.asarray(y)
    if labels.ndim != 1 or len(labels) == 0:
        raise ValueError(f"y has shape {labels.shape}, expected a non-empty (n_samples,)")
    rng = np.random.default_rng(random_state)
    chosen = []
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        chosen.append(rows[: min(round(subtest_size * len(rows)), len(rows) - 1)])
    subtest = np.sort(np.concatenate(chosen)).astype(np.intp)
    return np.setdiff1d(np.arange(len(labels)), subtest), subtest


def memorisation_gap(subtest_correct: ArrayLike, test_correct: ArrayLike, confidence: float = 0.95) -> MemorisationGap:
    """Return the gap of one snapshot.

    Args:
        subtest_correct: (n_subtest,) booleans, whether the probe is right.
        test_correct: (n_test,) booleans.
        confidence: coverage of the interval, in (0, 1).

    Returns:
        The gap with its Newcombe interval.

    Raises:
        ValueError: if either is empty or not boolean (0 / 1).

    Source:
        E9; Newcombe 1998. Trap: words of one sentence are not independent, so the interval is too narrow for
        word tasks; and the gap is not 0 before tuning where the two sets differ in difficulty: read ``excess``.
    """
    a, b = _booleans(subtest_correct, "subtest_correct"), _booleans(test_correct, "test_correct")
    low, high = newcombe_interval(int(a.sum()), len(a), int(b.sum()), len(b), confidence)
    return MemorisationGap(float(a.mean() - b.mean()), low, high, float(a.mean()), float(b.mean()))


def memorisation_curve(
    subtest_correct: ArrayLike,
    test_correct: ArrayLike,
    *,
    n_bootstrap: int = 1000,
    confidence: float = 0.95,
    random_state: RandomState = 0,
) -> tuple[MemorisationGap, ...]:
    """Return the gap at each snapshot, and its excess over the first snapshot.

    Args:
        subtest_correct: (n_snapshots, n_subtest) booleans, the same examples in each row.
        test_correct: (n_snapshots, n_test) booleans.
        n_bootstrap: draws for the interval of the excess; an example is drawn with all of its snapshots.
        confidence: coverage of the intervals, in (0, 1).
        random_state: seed or generator.

    Returns:
        One gap per snapshot, in order.

    Raises:
        ValueError: if the shapes do not fit or values are not boolean.
    """
    a, b = np.asarray(subtest_correct), np.asarray(test_correct)
    if a.ndim != 2 or b.ndim != 2 or len(a) != len(b) or len(a) == 0:
        raise ValueError(f"got shapes {a.shape} and {b.shape}, expected (n_snapshots, n_examples) for both")
    rng = np.random.default_rng(random_state)
    plain = [memorisation_gap(x, y, confidence) for x, y in zip(a, b, strict=True)]
    a, b = a.astype(np.float64), b.astype(np.float64)
    # Drawing examples with replacement is drawing how often each counts.
    draws_a = rng.multinomial(a.shape[1], np.full(a.shape[1], 1 / a.shape[1]), n_bootstrap) @ a.T / a.shape[1]
    draws_b = rng.multinomial(b.shape[1], np.full(b.shape[1], 1 / b.shape[1]), n_bootstrap) @ b.T / b.shape[1]
    gaps = draws_a - draws_b
    tail = 0.5 - confidence / 2
    ends = np.quantile(gaps - gaps[:, :1], [tail, 1 - tail], axis=0)
    return tuple(
        MemorisationGap(
            g.value, g.low, g.high, g.subtest_accuracy, g.test_accuracy,
            g.value - plain[0].value, float(ends[0, t]), float(ends[1, t]),
        )
        for t, g in enumerate(plain)
    )  # fmt: skip


def _booleans(values: ArrayLike, name: str) -> IntArray:
    array = np.asarray(values)
    if array.ndim != 1 or len(array) == 0 or not np.isin(array, (0, 1)).all():
        raise ValueError(f"{name} has shape {array.shape}, expected a non-empty row of booleans (right or not)")
    return array.astype(np.intp)
