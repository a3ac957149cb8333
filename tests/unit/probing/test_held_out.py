"""Out-of-fold readings against scikit-learn, and what cannot be read."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from closerlook.probing.held_out import read_held_out


def digits(n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    X, y = load_digits(return_X_y=True)
    return X[y < 4][:n], y[y < 4][:n].astype(str)


def test_probabilities_are_those_of_scikit_learn_out_of_fold() -> None:
    X, y = digits()
    found, _ = read_held_out(X, y, Cs=[0.1])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    expected = cross_val_predict(model, X, y, cv=folds, method="predict_proba")
    own = expected[np.arange(len(y)), np.searchsorted(np.unique(y), y)]
    np.testing.assert_allclose(np.exp(found.own), own, atol=0.03)  # ours ends earlier
    misread = expected.argmax(axis=1) != np.searchsorted(np.unique(y), y)
    clear = np.abs(own - np.sort(expected, axis=1)[:, -2]) > 0.05
    assert clear.sum() > 280
    np.testing.assert_array_equal((found.log_odds < 0)[clear], misread[clear])


def test_planted_wrong_labels_come_first() -> None:
    X, y = digits()
    rng = np.random.default_rng(0)
    wrong = rng.choice(len(y), 10, replace=False)
    noisy = y.copy()
    noisy[wrong] = [str((int(label) + 1) % 4) for label in y[wrong]]
    found, _ = read_held_out(X, noisy)
    worst = np.argsort(found.log_odds)[:12]
    assert len(set(worst.tolist()) & set(wrong.tolist())) >= 9
    first = worst[0]
    assert found.classes[found.best_other[first]] == y[first]


def test_new_examples_are_read_and_labels_that_nobody_saw_are_not() -> None:
    X, y = digits()
    found, new = read_held_out(X[:200], y[:200], X[200:204], [*y[200:203], "9"])
    assert new is not None
    assert (new.log_odds[:3] > 0).all()
    assert np.isnan(new.own[3])
    assert np.isfinite(new.other).all()
    assert found.setting.startswith("C = ")


def test_an_example_that_is_alone_with_its_label_cannot_be_read() -> None:
    X, y = digits(100)
    y[0] = "alone"
    found, _ = read_held_out(X, y)
    assert np.isnan(found.own[0])
    assert np.isfinite(found.own[1:]).all()


@pytest.mark.parametrize("y", [["a"] * 6, ["a", "b", "c", "d", "e", "f"]])
def test_labels_that_leave_nothing_to_hold_out_are_refused(y: list[str]) -> None:
    with pytest.raises(ValueError, match="expected 2 of 2 or more"):
        read_held_out(np.eye(6), y)
