"""The quick linear probe: logistic regression on frozen vectors, its strength chosen on the training set alone.

A probe is trained from scratch on frozen vectors (arXiv 2106.14282, section 3); it never touches the encoder.
The MLP of the paper is in `closerlook.probing.mlp_grid`.

Why the L2 weight is chosen: on standardised vectors with as many features as examples of a label, a weak one
(C = 1) fits the training set to the last example, and does so most where the space is hard, so that accuracies
*before* tuning come out too low and the gain of tuning too high.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from closerlook.probing.classifier_result import ClassifierResult, ProbeData, check_probe_data, score_predictions

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

INVERSE_WEIGHTS = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
"""Inverse L2 weights that cross-validation chooses from."""
N_FOLDS = 5
_PATIENCE = 2
_ROUGH = {"tol": 1e-3, "max_iter": 100}
"""Fits that only rank L2 weights may end early: the same choice on PS-role for a third of the time."""


def standardise(X_train: NDArray[np.float32], X_test: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    """Centre and scale both sets by the mean and standard deviation of the training set alone.

    A column whose spread is at the rounding error of float32 is constant: it is centred, not scaled
    (dividing by its "spread" would turn rounding noise into a feature as large as the others).

    Args:
        X_train: (n_train, n_features).
        X_test: (n_test, n_features).
    """
    mean, std = X_train.mean(axis=0, dtype=np.float64), X_train.std(axis=0, dtype=np.float64)
    resolution = 8 * np.finfo(np.float32).eps * np.abs(X_train).max(axis=0)
    scale = np.where(std > resolution, std, 1.0)
    return tuple(((X - mean) / scale).astype(np.float32) for X in (X_train, X_test))


@dataclass(frozen=True)
class LinearSettings:
    """How the logistic regression is fitted (scikit-learn, L-BFGS, float32).

    Attributes:
        C: Inverse L2 weight, > 0; None = the one of ``Cs`` with the best accuracy in cross-validation.
        Cs: What to choose from.
        n_folds: Folds, stratified by label.
        standardize: Centre and scale by training statistics, so that an L2 weight means the same in every space.
        max_iter: Iterations of the final fit; reaching them is recorded as ``converged=False``.
        tol: Its gradient tolerance.
    """

    C: float | None = None
    Cs: Sequence[float] = INVERSE_WEIGHTS
    n_folds: int = N_FOLDS
    standardize: bool = True
    max_iter: int = 1000
    tol: float = 1e-4

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: a number that is not positive, no C to choose from, or fewer than two folds.
        """
        weights = list(self.Cs) if self.C is None else [self.C]
        if not weights or min(*weights, self.max_iter, self.tol) <= 0:
            raise ValueError(f"got C={weights}, {self.max_iter=}, {self.tol=}, expected all of them above 0")
        if self.n_folds < 2:
            raise ValueError(f"got n_folds={self.n_folds}, expected at least 2")


@dataclass(frozen=True)
class LinearFit:
    """A fitted logistic regression.

    Attributes:
        model: The fitted estimator.
        C: Its inverse L2 weight.
        converged: Whether L-BFGS met its tolerance.
        setting: C in words, and how it was chosen.
    """

    model: LogisticRegression
    C: float
    converged: bool
    setting: str


def choose_inverse_weight(X: NDArray[np.float32], y: NDArray[Any], settings: LinearSettings) -> float:
    """The inverse L2 weight with the best accuracy in stratified cross-validation; of equally good ones the smallest.

    The fits of one fold start from each other, from the strongest penalty to the weakest (a path), and end when
    two weights in a row were worse than the best before. The whole path costs about six fits. Vectors are
    standardised within each fold, so nothing of the held-out part enters.

    Args:
        X: (n, n_features) training vectors, not standardised.
        y: (n,) labels.
        settings: ``Cs``, ``n_folds`` and ``standardize`` are read.

    Returns:
        One of ``settings.Cs``. The smallest where no label has two examples, so that nothing can be held out.
    """
    from sklearn.linear_model import LogisticRegression

    weights = sorted(settings.Cs)
    paths = []
    for train, held in _folds(y, settings.n_folds):
        fitted, scored = standardise(X[train], X[held]) if settings.standardize else (X[train], X[held])
        paths.append((LogisticRegression(warm_start=True, **_ROUGH), (fitted, y[train]), (scored, y[held])))
    if not paths:
        return weights[0]
    right: list[int] = []
    for C in weights:
        with _convergence_warnings():
            right.append(sum(_hits(model.set_params(C=C).fit(*train), *held) for model, train, held in paths))
        if len(right) - 1 - int(np.argmax(right)) >= _PATIENCE:
            break
    return weights[int(np.argmax(right))]


def _folds(y: NDArray[Any], n_folds: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Rows to train on and rows held out; folds whose training part has one label only are left out."""
    from sklearn.model_selection import StratifiedKFold

    n_folds = min(n_folds, int(np.unique(y, return_counts=True)[1].max()))
    if n_folds < 2:
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        for train, held in StratifiedKFold(n_folds, shuffle=True, random_state=0).split(y, y):
            if len(np.unique(y[train])) > 1:
                yield train, held


def _hits(model: LogisticRegression, X: NDArray[np.float32], y: NDArray[Any]) -> int:
    return int((model.predict(X) == y).sum())


@contextmanager
def _convergence_warnings() -> Iterator[list[warnings.WarningMessage]]:
    """Collect scikit-learn's warnings that L-BFGS did not meet its tolerance."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        yield caught


def fit_linear(X: NDArray[np.float32], y: NDArray[Any], settings: LinearSettings) -> LinearFit:
    """Fit the logistic regression on vectors that are used as they are, after choosing C where it is open.

    Args:
        X: (n, n_features) training vectors; standardised by the caller where ``settings.standardize`` says so.
        y: (n,) labels, at least two.
        settings: The settings.
    """
    from sklearn.linear_model import LogisticRegression

    C = settings.C if settings.C is not None else choose_inverse_weight(X, y, settings)
    with _convergence_warnings() as failures:
        model = LogisticRegression(C=C, max_iter=settings.max_iter, tol=settings.tol).fit(X, y)
    chosen = "" if settings.C is not None else f", chosen by {settings.n_folds}-fold cross-validation"
    open_end = f"; not converged after {settings.max_iter} iterations" if failures else ""
    return LinearFit(model, C, not failures, f"C = {C:g}{chosen}{open_end}")


def linear_probe(
    X_train: ArrayLike,
    y_train: ArrayLike,
    X_test: ArrayLike,
    y_test: ArrayLike,
    settings: LinearSettings | None = None,
) -> ClassifierResult:
    """Multinomial logistic regression on frozen vectors.

    Deterministic: no seed enters. This differs from the paper, whose probe is the MLP on raw vectors.

    Args:
        X_train: (n_train, n_features) finite.
        y_train: (n_train,) strings or integers, at least two labels.
        X_test: (n_test, n_features) finite.
        y_test: (n_test,); labels that training never shows count as errors and are reported.
        settings: Default ``LinearSettings()``: standardised, C chosen by 5-fold cross-validation.

    Raises:
        ValueError: shapes, NaN, empty input or labels (`check_probe_data`).
    """
    settings = settings or LinearSettings()
    data = prepare(X_train, y_train, X_test, y_test, standardize=settings.standardize)
    fit = fit_linear(data.X_train, data.y_train, settings)
    return score_predictions(
        data,
        fit.model.predict(data.X_test),
        converged=fit.converged,
        n_iter=int(fit.model.n_iter_.max()),
        setting=fit.setting,
    )


def prepare(
    X_train: ArrayLike, y_train: ArrayLike, X_test: ArrayLike, y_test: ArrayLike, *, standardize: bool
) -> ProbeData:
    """Check the arrays of a probe, and standardise them if asked to.

    Raises:
        ValueError: as in `check_probe_data`.
    """
    data = check_probe_data(X_train, y_train, X_test, y_test)
    if not standardize:
        return data
    train, test = standardise(data.X_train, data.X_test)
    return replace(data, X_train=train, X_test=test)
