"""What a linear classifier makes of each example when it has not seen it: out-of-fold probabilities.

The classifier probes of this package are scored on the test split. Here every training example is read by a classifier
that did not train on it, which is what it takes to find wrong labels (Northcutt et al. 2021, "Confident Learning").
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from closerlook.probing.classifier_probe import INVERSE_WEIGHTS, N_FOLDS, standardise
from closerlook.probing.classifier_result import check_vectors

_FLOOR = 1e-10
_PATIENCE = 2


@dataclass(frozen=True, eq=False)
class Readings:
    """What a classifier makes of examples.

    Attributes:
        own: (n,) log of the probability of the example's own label; NaN where the classifier never saw that label.
        other: (n,) log of the largest probability of another label.
        best_other: (n,) position of that label in ``classes``.
        classes: The labels, sorted.
        setting: The L2 weight, in words.
    """

    own: NDArray[np.float64]
    other: NDArray[np.float64]
    best_other: NDArray[np.int64]
    classes: tuple[str, ...]
    setting: str = ""

    @property
    def log_odds(self) -> NDArray[np.float64]:
        """(n,) own label against the best other one; below 0 is misread."""
        return self.own - self.other

    @classmethod
    def of(
        cls, probabilities: NDArray[Any], codes: NDArray[np.int64], classes: Sequence[str], setting: str
    ) -> Readings:
        """From probabilities.

        Args:
            probabilities: (n, n_classes); 0 for a label that the classifier never saw.
            codes: (n,) position of each example's label in ``classes``; -1 where it is not one of them.
            classes: The labels.
            setting: How they were made.
        """
        rows = np.arange(len(codes))
        own = np.where(codes < 0, 0.0, probabilities[rows, codes])
        others = np.array(probabilities, dtype=np.float64)
        others[rows[codes >= 0], codes[codes >= 0]] = -1.0
        best = others.argmax(axis=1)
        logs = np.log(np.maximum(np.stack([own, others[rows, best]]), _FLOOR))
        return cls(np.where(own > 0, logs[0], np.nan), logs[1], best, tuple(classes), setting)


def read_held_out(
    X: ArrayLike,
    y: ArrayLike,
    X_new: ArrayLike | None = None,
    y_new: ArrayLike | None = None,
    *,
    Cs: Sequence[float] = INVERSE_WEIGHTS,
    n_folds: int = N_FOLDS,
) -> tuple[Readings, Readings | None]:
    """Read every example by a logistic regression that did not train on it.

    The fits of a fold go from the strongest L2 weight to the weakest, each starting from the one before; the weight
    with the least log loss on all held-out examples is taken, and the path ends when two in a row were worse. Vectors
    are standardised within each fold.

    Args:
        X: (n, n_features) training vectors.
        y: (n,) their labels, at least two, one of them with two examples.
        X_new: (n_new, n_features) other examples: the mean of what the folds' classifiers make of them.
        y_new: (n_new,) their labels.
        Cs: Inverse L2 weights to choose from.
        n_folds: Folds, stratified by label; at most the size of the largest label.

    Returns:
        Readings of the training examples, and of the new ones (None where there are none).

    Raises:
        ValueError: Fewer than two labels, no label with two examples, or bad arrays.
    """
    vectors = check_vectors("X", X)
    classes, codes = np.unique(np.asarray(y, dtype=str), return_inverse=True)
    counts = np.bincount(codes)
    if len(classes) < 2 or counts.max() < 2:
        raise ValueError(f"got {len(classes)} labels of at most {counts.max()} examples, expected 2 of 2 or more")
    new = vectors[:0] if X_new is None else check_vectors("X_new", X_new)
    folds = [_Fold(vectors, codes, new, *rows) for rows in _split(codes, min(n_folds, int(counts.max())))]
    best, least, worse, setting = np.empty((0, 0)), np.inf, 0, ""
    for C in sorted(Cs):
        found = np.zeros((len(codes) + len(new), len(classes)))
        for fold in folds:
            fold.fit_into(found, C, 1 / len(folds))
        own = found[np.arange(len(codes)), codes]
        loss = float(-np.log(np.maximum(own[own > 0], _FLOOR)).mean())
        best, least, worse, setting = (
            (found, loss, 0, f"C = {C:g}") if loss < least else (best, least, worse + 1, setting)
        )
        if worse == _PATIENCE:
            break
    names = [str(name) for name in classes]
    readings = Readings.of(best[: len(codes)], codes, names, f"{setting}, {len(folds)} folds")
    if X_new is None or y_new is None:
        return readings, None
    position = {name: at for at, name in enumerate(names)}
    new_codes = np.array([position.get(str(label), -1) for label in np.asarray(y_new)], dtype=np.int64)
    return readings, Readings.of(best[len(codes) :], new_codes, names, f"{setting}, mean of {len(folds)} classifiers")


def _split(codes: NDArray[np.int64], n_folds: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    from sklearn.model_selection import StratifiedKFold

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        folds = list(StratifiedKFold(n_folds, shuffle=True, random_state=0).split(codes, codes))
    return [(train, held) for train, held in folds if len(np.unique(codes[train])) > 1]


class _Fold:
    """One fold's classifier, which goes on from each L2 weight to the next."""

    def __init__(
        self,
        X: NDArray[np.float32],
        codes: NDArray[np.int64],
        new: NDArray[np.float32],
        train: NDArray[np.intp],
        held: NDArray[np.intp],
    ) -> None:
        from sklearn.linear_model import LogisticRegression

        self._fitted, self._scored = standardise(X[train], np.concatenate([X[held], new]))
        self._codes, self._held, self._n = codes[train], held, len(codes)
        self._model = LogisticRegression(warm_start=True, tol=1e-3, max_iter=100)

    def fit_into(self, found: NDArray[np.float64], C: float, share: float) -> None:
        """Put the probabilities of the held-out examples, and this fold's share of the new ones', in their rows."""
        from sklearn.exceptions import ConvergenceWarning

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a rough fit is enough for a rank among examples
            self._model.set_params(C=C).fit(self._fitted, self._codes)
        probabilities, known = self._model.predict_proba(self._scored), self._model.classes_
        found[np.ix_(self._held, known)] = probabilities[: len(self._held)]
        found[self._n :, known] += share * probabilities[len(self._held) :]
