"""Linear probe, its scores and its baselines."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from closerlook.probing.classifier_probe import LinearSettings, choose_inverse_weight, linear_probe, standardise
from closerlook.probing.classifier_result import check_probe_data, score_predictions

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def blobs(n: int = 240, labels: int = 5, d: int = 12, noise: float = 1.5, seed: int = 0) -> Arrays:
    """Overlapping Gaussian blobs with string labels, two thirds for training."""
    rng = np.random.default_rng(seed)
    y = rng.integers(labels, size=n)
    X = rng.normal(size=(labels, d))[y] + noise * rng.normal(size=(n, d))
    names, cut = np.array([f"label{i}" for i in range(labels)])[y], 2 * n // 3
    return X[:cut], names[:cut], X[cut:], names[cut:]


def test_linear_probe_agrees_with_scikit_learn_in_float64() -> None:
    X, y, X_test, y_test = blobs()
    oracle = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000, tol=1e-8)).fit(X, y)
    result = linear_probe(X, y, X_test, y_test, LinearSettings(C=1.0, tol=1e-6))
    assert result.accuracy == pytest.approx(oracle.score(X_test, y_test), abs=1 / len(y_test))
    assert 0.4 < result.accuracy < 0.95  # the data neither trivial nor noise
    assert result.converged
    assert result.setting == "C = 1"


def test_scores_agree_with_scikit_learn_metrics() -> None:
    rng = np.random.default_rng(1)
    X, y, X_test, y_test = blobs()
    y_test = np.where(rng.random(len(y_test)) < 0.1, "never in training", y_test)
    data = check_probe_data(X, y, X_test, y_test)
    predicted = rng.integers(data.n_train_labels, size=len(y_test))
    names = np.array(data.labels)
    result = score_predictions(data, predicted, converged=True, n_iter=1, setting="")
    assert result.accuracy == accuracy_score(y_test, names[predicted])
    expected = f1_score(y_test, names[predicted], average="macro", zero_division=0)
    assert result.macro_f1 == pytest.approx(expected, abs=1e-12)
    np.testing.assert_array_equal(result.confusion, confusion_matrix(y_test, names[predicted], labels=names))
    np.testing.assert_array_equal(result.correct, y_test == names[predicted])


def test_labels_unseen_in_training_are_errors_and_are_named() -> None:
    X = np.array([[0.0], [0.1], [5.0], [5.1]])
    result = linear_probe(X, ["b", "b", "c", "c"], [[0.0], [5.0], [5.0], [0.0]], ["b", "c", "a", "z"])
    assert result.n_unseen == 2
    assert result.labels == ("b", "c", "a", "z")
    assert result.accuracy == 0.5
    assert result.correct.tolist() == [True, True, False, False]


def test_probe_leaves_its_inputs_alone() -> None:
    arrays = blobs()
    before = [a.copy() for a in arrays]
    for a in arrays:
        a.setflags(write=False)
    linear_probe(*arrays)
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_row_order_and_units_do_not_matter() -> None:
    X, y, X_test, y_test = blobs()
    order = np.random.default_rng(0).permutation(len(X))
    scale = np.geomspace(1e-3, 1e3, X.shape[1])
    fixed = LinearSettings(C=0.1)
    plain = linear_probe(X, y, X_test, y_test, fixed)
    np.testing.assert_array_equal(plain.confusion, linear_probe(X[order], y[order], X_test, y_test, fixed).confusion)
    np.testing.assert_array_equal(plain.confusion, linear_probe(X * scale, y, X_test * scale, y_test, fixed).confusion)
    chosen = linear_probe(X, y, X_test, y_test)  # folds go by rows: the same rows, other units
    np.testing.assert_array_equal(chosen.confusion, linear_probe(X * scale, y, X_test * scale, y_test).confusion)


def test_rounding_noise_of_a_constant_column_is_not_blown_up() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 3)).astype(np.float32)
    X[:, 1] = np.where(rng.random(50) < 0.5, np.float32(0.1), np.nextafter(np.float32(0.1), np.float32(1)))
    train, test = standardise(X, X[:5])
    assert np.abs(train[:, 1]).max() < 1e-6
    np.testing.assert_allclose(train[:, [0, 2]].std(axis=0), 1, rtol=1e-5)
    np.testing.assert_array_equal(test, train[:5])  # test rows are scaled by training statistics


def test_a_fit_cut_short_says_so() -> None:
    result = linear_probe(*blobs(), LinearSettings(C=1.0, max_iter=1))
    assert not result.converged
    assert result.setting == "C = 1; not converged after 1 iterations"


def test_majority_accuracy_is_that_of_scikit_learns_dummy() -> None:
    X, y, X_test, y_test = blobs()
    oracle = DummyClassifier(strategy="most_frequent").fit(X, y).score(X_test, y_test)
    assert linear_probe(X, y, X_test, y_test).majority_accuracy == oracle


def test_result_is_frozen() -> None:
    result = linear_probe(*blobs())
    with pytest.raises(FrozenInstanceError):
        result.accuracy = 1.0  # type: ignore[misc]


def noisy(n: int, d: int = 100, labels: int = 6, seed: int = 0) -> Arrays:
    """Labels that all features say a little of: a probe with little penalty learns the training set by heart."""
    rng = np.random.default_rng(seed)
    y = rng.integers(labels, size=n + 2000)
    X = rng.normal(size=(n + 2000, d)) + 0.25 * rng.normal(size=(labels, d))[y]
    names = np.array([f"label{i}" for i in range(labels)])[y]
    return X[:n], names[:n], X[n:], names[n:]


@pytest.mark.parametrize("seed", range(3))
def test_the_chosen_weight_overfits_less_than_a_fixed_one(seed: int) -> None:
    X, y, X_test, y_test = noisy(300, seed=seed)
    fixed, chosen = linear_probe(X, y, X_test, y_test, LinearSettings(C=1.0)), linear_probe(X, y, X_test, y_test)
    assert chosen.accuracy > fixed.accuracy + 0.01  # on 2,000 test examples, two standard errors
    assert linear_probe(X, y, X, y, LinearSettings(C=1.0)).accuracy > 0.99  # what overfitting looks like


def test_the_choice_is_that_of_a_grid_search_over_pipelines() -> None:
    X, y, _, _ = noisy(300)
    settings = LinearSettings(Cs=(1e-3, 1e-2, 1e-1, 1.0))
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)),
        {"logisticregression__C": list(settings.Cs)},
        cv=StratifiedKFold(5, shuffle=True, random_state=0),
    ).fit(X, y)
    assert choose_inverse_weight(X.astype(np.float32), y, settings) == search.best_params_["logisticregression__C"]


def test_the_choice_never_sees_the_test_set_and_is_said() -> None:
    X, y, X_test, y_test = noisy(200)
    one, other = linear_probe(X, y, X_test, y_test), linear_probe(X, y, X_test, np.roll(y_test, 1))
    assert one.setting == other.setting
    assert one.setting.endswith("chosen by 5-fold cross-validation")


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (["a", "b", "c", "d"], 1e-3),  # nothing can be held out: the strongest penalty
        (["a", "a", "a", "b"], None),  # a fold without the rare label in training is left out
        (["a", "a", "b", "b"], None),  # two folds
    ],
)
def test_tiny_sets_get_a_weight_without_a_warning(y: list[str], expected: float | None) -> None:
    X = np.array([[0.0], [0.1], [5.0], [5.1]], dtype=np.float32)
    chosen = choose_inverse_weight(X, np.array(y), LinearSettings())
    assert chosen == expected if expected else chosen in LinearSettings().Cs
    linear_probe(X, y, X, y)


def broken(**changes: object) -> list[object]:
    arrays = dict(zip(("X", "y", "X_test", "y_test"), blobs(), strict=True))
    return list((arrays | changes).values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"X": np.zeros((0, 12)), "y": []}, r"X_train has shape \(0, 12\).*check that the split is not empty"),
        ({"X": np.zeros(160)}, r"X_train has shape \(160,\), expected \(n_samples, n_features\)"),
        ({"X_test": np.full((80, 12), np.nan)}, "X_test has 80 rows with NaN or infinity"),
        ({"X_test": np.zeros((80, 3))}, "X_train has 12 features and X_test 3"),
        ({"y": ["a", "b"]}, r"y_train has shape \(2,\), expected \(160,\)"),
        ({"y": ["a"] * 160}, "y_train has one label, 'a', expected at least two"),
        ({"y_test": np.full(80, np.nan)}, "y_test has dtype float64, expected strings or integers"),
        ({"y_test": [None] * 80}, "y_test has dtype object"),
        ({"y_test": np.zeros(80, dtype=int)}, "expected both strings or both integers"),
    ],
)
def test_bad_arrays_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        linear_probe(*broken(**changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"C": 0.0}, r"got C=\[0.0\].*expected all of them above 0"),
        ({"Cs": ()}, r"got C=\[\]"),
        ({"max_iter": 0}, "self.max_iter=0"),
        ({"n_folds": 1}, "got n_folds=1, expected at least 2"),
    ],
)
def test_bad_settings_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LinearSettings(**changes)  # type: ignore[arg-type]
