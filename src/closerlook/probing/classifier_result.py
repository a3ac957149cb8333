"""What every classifier probe takes and returns: checked arrays in, one frozen result out.

The result carries the counts (confusion matrix, unseen labels, majority baseline) without which an accuracy
cannot be read. Nothing here trains anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Label = str | int


@dataclass(frozen=True)
class ProbeData:
    """Checked input of a probe: copies, so that a probe can never change the encoder's vectors."""

    X_train: NDArray[np.float32]
    """(n_train, n_features), finite, not standardised."""
    y_train: NDArray[np.int64]
    """(n_train,) codes in [0, n_train_labels)."""
    X_test: NDArray[np.float32]
    """(n_test, n_features)."""
    y_test: NDArray[np.int64]
    """(n_test,) codes in [0, len(labels)); codes >= n_train_labels are labels unseen in training."""
    labels: tuple[Label, ...]
    """Training labels in sorted order, then the labels that only the test set has, in sorted order."""
    n_train_labels: int
    """How many of `labels` occur in training; a probe can predict these only."""


@dataclass(frozen=True)
class ClassifierResult:
    """Test scores of one trained probe with the counts behind them."""

    accuracy: float
    """Share of test examples predicted right, in [0, 1]; unseen labels count as errors."""
    macro_f1: float
    """Mean F1 over the labels that occur in the test set or among the predictions, in [0, 1]."""
    majority_accuracy: float
    """Test accuracy of always answering the commonest training label, in [0, 1]."""
    labels: tuple[Label, ...]
    """Row and column names of `confusion`: training labels sorted, then test-only labels sorted."""
    confusion: NDArray[np.int64]
    """(n_labels, n_labels) test counts, row = true label, column = predicted label."""
    correct: NDArray[np.bool_]
    """(n_test,) whether each test example was predicted right: what paired comparisons are made of."""
    n_unseen: int
    """Test examples whose label never occurs in training; each of them is an error of any probe."""
    converged: bool
    """Whether the optimiser met its own stopping rule; False means: do not read the accuracy as final."""
    n_iter: int
    """Iterations (linear) or epochs (MLP) used."""
    setting: str
    """The regularisation that the accuracy belongs to, and how it was chosen, in words."""


def check_vectors(name: str, X: ArrayLike) -> NDArray[np.float32]:
    """Return a float32 copy of `X`, (n_samples, n_features).

    Raises:
        ValueError: not two-dimensional, no row or column, or a NaN or infinite entry.
    """
    out = np.array(X, dtype=np.float32)
    if out.ndim != 2 or 0 in out.shape:
        raise ValueError(
            f"{name} has shape {out.shape}, expected (n_samples, n_features) with at least one of each; "
            "flatten layers first and check that the split is not empty"
        )
    bad = int((~np.isfinite(out).all(axis=1)).sum())
    if bad:
        raise ValueError(f"{name} has {bad} rows with NaN or infinity, expected finite vectors; drop or fix them")
    return out


def check_labels(name: str, y: ArrayLike, n: int) -> NDArray[Any]:
    """Return `y` as an array of strings or integers, (n,).

    Raises:
        ValueError: other length or dimension, or labels that are neither strings nor integers (None, NaN).
    """
    out = np.asarray(y)
    if out.dtype == object and all(isinstance(value, str) for value in out.ravel()):
        out = out.astype(str)
    if out.shape != (n,):
        raise ValueError(f"{name} has shape {out.shape}, expected ({n},): one label for each vector")
    if out.dtype.kind not in "USiub":
        raise ValueError(
            f"{name} has dtype {out.dtype}, expected strings or integers; drop examples without a label first"
        )
    return out


def check_probe_data(X_train: ArrayLike, y_train: ArrayLike, X_test: ArrayLike, y_test: ArrayLike) -> ProbeData:
    """Check, copy and code the four arrays of a probe.

    Raises:
        ValueError: as in `check_vectors` and `check_labels`; differing widths or label kinds; fewer than two
            training labels.
    """
    train, test = check_vectors("X_train", X_train), check_vectors("X_test", X_test)
    if train.shape[1] != test.shape[1]:
        raise ValueError(
            f"X_train has {train.shape[1]} features and X_test {test.shape[1]}, expected the same number; "
            "take both from the same encoder layer"
        )
    names_train = check_labels("y_train", y_train, len(train))
    names_test = check_labels("y_test", y_test, len(test))
    if (names_train.dtype.kind in "US") != (names_test.dtype.kind in "US"):
        raise ValueError(
            f"y_train is {names_train.dtype} and y_test {names_test.dtype}, expected both strings or both "
            "integers; code the two splits with one table"
        )
    known = np.unique(names_train)
    if len(known) < 2:
        raise ValueError(f"y_train has one label, {known[0].item()!r}, expected at least two")
    unseen = np.setdiff1d(names_test, known)
    code = {name: i for i, name in enumerate([*known.tolist(), *unseen.tolist()])}
    return ProbeData(
        X_train=train,
        y_train=np.array([code[v] for v in names_train.tolist()], dtype=np.int64),
        X_test=test,
        y_test=np.array([code[v] for v in names_test.tolist()], dtype=np.int64),
        labels=tuple(code),
        n_train_labels=len(known),
    )


def score_predictions(
    data: ProbeData, predicted: NDArray[np.int64], *, converged: bool, n_iter: int, setting: str
) -> ClassifierResult:
    """Turn predicted codes, (n_test,), into a `ClassifierResult`."""
    from sklearn.metrics import confusion_matrix, f1_score

    correct = predicted == data.y_test
    return ClassifierResult(
        accuracy=float(correct.mean()),
        # Labels in truth or prediction, scikit-learn's own default; the others have no F1.
        macro_f1=float(f1_score(data.y_test, predicted, average="macro", zero_division=0.0)),
        majority_accuracy=float((data.y_test == np.bincount(data.y_train).argmax()).mean()),
        labels=data.labels,
        confusion=confusion_matrix(data.y_test, predicted, labels=np.arange(len(data.labels))),
        correct=correct,
        n_unseen=int((data.y_test >= data.n_train_labels).sum()),
        converged=converged,
        n_iter=n_iter,
        setting=setting,
    )
