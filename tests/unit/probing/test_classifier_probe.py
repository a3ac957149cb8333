"""Linear probe, its scores and its baselines."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from closerlook.probing.classifier_probe import (
    linear_probe,
    majority_baseline,
    random_encoder_baseline,
    standardise,
)
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
    result = linear_probe(X, y, X_test, y_test, tol=1e-6)
    assert result.accuracy == pytest.approx(oracle.score(X_test, y_test), abs=1 / len(y_test))
    assert 0.4 < result.accuracy < 0.95  # the data neither trivial nor noise
    assert result.converged
    assert result.message == ""


def test_scores_agree_with_scikit_learn_metrics() -> None:
    rng = np.random.default_rng(1)
    X, y, X_test, y_test = blobs()
    y_test = np.where(rng.random(len(y_test)) < 0.1, "never in training", y_test)
    data = check_probe_data(X, y, X_test, y_test)
    predicted = rng.integers(data.n_train_labels, size=len(y_test))
    names = np.array(data.labels)
    result = score_predictions(data, predicted, probe="linear", converged=True, n_iter=1)
    assert result.accuracy == accuracy_score(y_test, names[predicted])
    expected = f1_score(y_test, names[predicted], average="macro", zero_division=0)
    assert result.macro_f1 == pytest.approx(expected, abs=1e-12)
    np.testing.assert_array_equal(result.confusion, confusion_matrix(y_test, names[predicted], labels=names))
    assert sum(result.error_counts.values()) == (y_test != names[predicted]).sum()


def test_labels_unseen_in_training_are_errors_and_are_named() -> None:
    X = np.array([[0.0], [0.1], [5.0], [5.1]])
    result = linear_probe(X, ["b", "b", "c", "c"], [[0.0], [5.0], [5.0], [0.0]], ["b", "c", "a", "z"])
    assert (result.n_unseen, result.unseen_labels) == (2, ("a", "z"))
    assert result.labels == ("b", "c", "a", "z")
    assert result.accuracy == 0.5
    assert result.error_counts == {"b": 0, "c": 0, "a": 1, "z": 1}


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
    plain = linear_probe(X, y, X_test, y_test)
    np.testing.assert_array_equal(plain.confusion, linear_probe(X[order], y[order], X_test, y_test).confusion)
    np.testing.assert_array_equal(plain.confusion, linear_probe(X * scale, y, X_test * scale, y_test).confusion)


def test_rounding_noise_of_a_constant_column_is_not_blown_up() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 3)).astype(np.float32)
    X[:, 1] = np.where(rng.random(50) < 0.5, np.float32(0.1), np.nextafter(np.float32(0.1), np.float32(1)))
    train, test = standardise(X, X[:5])
    assert np.abs(train[:, 1]).max() < 1e-6
    np.testing.assert_allclose(train[:, [0, 2]].std(axis=0), 1, rtol=1e-5)
    np.testing.assert_array_equal(test, train[:5])  # test rows are scaled by training statistics


def test_a_fit_cut_short_says_so() -> None:
    result = linear_probe(*blobs(), max_iter=1)
    assert not result.converged
    assert "ITERATIONS REACHED LIMIT" in result.message.upper()


def test_majority_baseline_counts_by_hand() -> None:
    result = majority_baseline(["a", "b", "b", "c"], ["b", "a", "b", "d"])
    assert (result.label, result.accuracy, result.train_share) == ("b", 0.5, 0.5)
    assert majority_baseline([2, 1, 2, 1], [1]).label == 1  # a tie goes to the first in sorted order
    assert majority_baseline(["a"], ["b"]).to_dict("x/") == {"x/label": "a", "x/accuracy": 0.0, "x/train_share": 1.0}
    X, y, X_test, y_test = blobs()
    assert linear_probe(X, y, X_test, y_test).majority_accuracy == majority_baseline(y, y_test).accuracy


def test_random_encoder_baseline_is_the_same_probe_on_other_vectors() -> None:
    X, y, X_test, y_test = blobs()
    noise = np.random.default_rng(3).normal(size=(len(X) + len(X_test), 12))
    baseline = random_encoder_baseline(linear_probe, noise[: len(X)], y, noise[len(X) :], y_test, C=0.1)
    assert baseline.settings["C"] == 0.1
    assert baseline.accuracy < 0.4 < linear_probe(X, y, X_test, y_test).accuracy


def test_result_is_frozen_and_json() -> None:
    result = linear_probe(*blobs())
    back = json.loads(json.dumps(result.to_dict("linear/")))
    assert back["linear/accuracy"] == result.accuracy
    assert np.array(back["linear/confusion"]).sum() == result.n_test
    with pytest.raises(FrozenInstanceError):
        result.accuracy = 1.0  # type: ignore[misc]


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
        ({"y": ["a"] * 160}, "y_train has one label, 'a', expected at least two; use majority_baseline"),
        ({"y_test": np.full(80, np.nan)}, "y_test has dtype float64, expected strings or integers"),
        ({"y_test": [None] * 80}, "y_test has dtype object"),
        ({"y_test": np.zeros(80, dtype=int)}, "expected both strings or both integers"),
    ],
)
def test_bad_arrays_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        linear_probe(*broken(**changes))  # type: ignore[arg-type]


def test_bad_settings_and_empty_labels_are_named() -> None:
    with pytest.raises(ValueError, match=r"got C=0, .*expected all three above 0"):
        linear_probe(*blobs(), C=0)
    with pytest.raises(ValueError, match="got 0 training and 1 test labels"):
        majority_baseline([], ["a"])
