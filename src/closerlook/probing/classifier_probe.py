"""The quick linear probe and the baselines that every probe accuracy is read against.

A probe is trained from scratch on frozen vectors (arXiv 2106.14282, section 3); it never touches the encoder.
The MLP of the paper is in `closerlook.probing.mlp_grid`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from closerlook.probing.classifier_result import (
    ClassifierResult,
    Label,
    check_labels,
    check_probe_data,
    score_predictions,
)


@dataclass(frozen=True)
class MajorityBaseline:
    """Accuracy of always answering the commonest training label."""

    label: Label
    """That label; of several equally common ones, the first in sorted order."""
    accuracy: float
    """Share of the test examples that carry it, in [0, 1]."""
    train_share: float
    """Share of the training examples that carry it, in (0, 1]."""

    def to_dict(self, prefix: str = "") -> dict[str, Any]:
        """Return plain values, keys with `prefix` in front."""
        return {prefix + name: getattr(self, name) for name in self.__dataclass_fields__}


def majority_baseline(y_train: ArrayLike, y_test: ArrayLike) -> MajorityBaseline:
    """Score the commonest training label on the test set.

    Args:
        y_train: (n_train,) strings or integers.
        y_test: (n_test,) the same kind.

    Raises:
        ValueError: an empty array, or labels that are neither strings nor integers.
    """
    train, test = np.asarray(y_train), np.asarray(y_test)
    if train.size == 0 or test.size == 0:
        raise ValueError(f"got {train.size} training and {test.size} test labels, expected at least one of each")
    names, counts = np.unique(check_labels("y_train", train, len(train)), return_counts=True)
    label = names[counts.argmax()]
    share = float((check_labels("y_test", test, len(test)) == label).mean())
    return MajorityBaseline(label.item(), share, float(counts.max() / len(train)))


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


def linear_probe(
    X_train: ArrayLike,
    y_train: ArrayLike,
    X_test: ArrayLike,
    y_test: ArrayLike,
    *,
    C: float = 1.0,
    standardize: bool = True,
    max_iter: int = 1000,
    tol: float = 1e-4,
) -> ClassifierResult:
    """Multinomial logistic regression on frozen vectors (scikit-learn, L-BFGS, float32).

    Deterministic: no seed enters. Vectors are standardised with the training set's mean and deviation by
    default, so that the L2 weight means the same in every space; this differs from the paper, whose probe
    is the MLP on raw vectors.

    Args:
        X_train: (n_train, n_features) finite.
        y_train: (n_train,) strings or integers, at least two labels.
        X_test: (n_test, n_features) finite.
        y_test: (n_test,); labels that training never shows count as errors and are reported.
        C: inverse L2 weight, > 0.
        standardize: centre and scale by training statistics.
        max_iter: L-BFGS iterations; reaching them is recorded as `converged=False`.
        tol: L-BFGS gradient tolerance.

    Raises:
        ValueError: shapes, NaN, empty input or labels (`check_probe_data`); C, max_iter or tol not positive.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if min(C, max_iter, tol) <= 0:
        raise ValueError(f"got C={C}, max_iter={max_iter}, tol={tol}, expected all three above 0")
    data = check_probe_data(X_train, y_train, X_test, y_test)
    train, test = standardise(data.X_train, data.X_test) if standardize else (data.X_train, data.X_test)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model = LogisticRegression(C=C, max_iter=max_iter, tol=tol).fit(train, data.y_train)
    failures = [str(w.message) for w in caught if issubclass(w.category, ConvergenceWarning)]
    return score_predictions(
        data,
        model.predict(test),
        probe="linear",
        converged=not failures,
        n_iter=int(model.n_iter_.max()),
        message=" ".join(failures),
        settings={"C": C, "standardize": standardize, "max_iter": max_iter, "tol": tol},
    )


def random_encoder_baseline(
    probe: Callable[..., Any],
    X_train_untrained: ArrayLike,
    y_train: ArrayLike,
    X_test_untrained: ArrayLike,
    y_test: ArrayLike,
    **settings: Any,
) -> Any:
    """Run the same probe on the vectors of an untrained encoder of the same architecture.

    What it reaches is owed to the probe, the tokenizer and the word identity that random weights still pass
    on, not to pre-training (Conneau et al. 2018, 1805.01070; Zhang & Bowman 2018, 1809.10040). Making those
    vectors is the caller's part: same tokenizer, same pooling and layer, weights freshly initialised.

    Args:
        probe: `linear_probe`, `mlp_probe`, `mlp_grid` or another function of the same four arrays.
        X_train_untrained: (n_train, n_features) vectors of the untrained encoder, rows as `y_train`.
        y_train: (n_train,).
        X_test_untrained: (n_test, n_features).
        y_test: (n_test,).
        **settings: exactly the settings of the probe run that this is the baseline of.

    Returns:
        Whatever `probe` returns.

    Raises:
        ValueError: as `probe` does.
    """
    return probe(X_train_untrained, y_train, X_test_untrained, y_test, **settings)
