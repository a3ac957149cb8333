"""The estimator: scikit-learn's own checks, the interface, degenerate input, independence, prediction."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from closerlook.probing import DirectProbe, hull_distance


@parametrize_with_checks([DirectProbe()])
def test_it_is_a_scikit_learn_estimator(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's checks warn about their own fixtures
        check(estimator)


@pytest.fixture(scope="module")
def spread():
    """Three labels that can be separated and a fourth that overlaps the third."""
    rng = np.random.default_rng(0)
    y = np.repeat(["ash", "birch", "cedar", "date"], 25)
    centres = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 9.5, 0]], dtype=float)
    X = rng.normal(size=(100, 3)) + np.repeat(centres, 25, axis=0)
    order = rng.permutation(100)
    return X[order], y[order]


@pytest.fixture(scope="module")
def fitted(spread):
    return DirectProbe().fit(*spread)


def test_the_attributes_agree_with_each_other(spread, fitted):
    X, y = spread
    k = fitted.n_clusters_
    assert sorted(set(fitted.labels_)) == list(range(k))
    assert fitted.classes_.tolist() == ["ash", "birch", "cedar", "date"]
    assert (fitted.cluster_labels_[fitted.labels_] == y).all()
    assert not fitted.is_linear_
    firsts = [np.flatnonzero(fitted.labels_ == c)[0] for c in range(k)]
    assert firsts == sorted(firsts)
    between = fitted.cluster_distances_
    assert between.shape == (k, k)
    assert (between.diagonal() == 0).all()
    same = fitted.cluster_labels_[:, None] == fitted.cluster_labels_[None, :]
    np.fill_diagonal(same, False)
    assert (np.isnan(between) == same).all()
    assert np.allclose(between, between.T, equal_nan=True)
    by_label = fitted.label_distances_
    cedar, date = fitted.cluster_labels_ == "cedar", fitted.cluster_labels_ == "date"
    assert by_label[2, 3] == by_label[3, 2] == pytest.approx(between[np.ix_(cedar, date)].mean())
    assert by_label[0, 1] == pytest.approx(hull_distance(X[y == "ash"], X[y == "birch"]).distance)
    off_diagonal = by_label + np.diag([np.inf] * 4)
    assert fitted.min_distances_ == pytest.approx(off_diagonal.min(axis=1))


def test_distances_are_the_margin_of_a_hard_svm():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(40, 12)) + np.repeat([[0.0], [2.0]], 20, axis=0)
    y = np.repeat([0, 1], 20)
    probe = DirectProbe().fit(X, y)
    svm = SVC(kernel="linear", C=1e9, tol=1e-6).fit(X, y)
    assert probe.label_distances_[0, 1] == pytest.approx(2 / np.linalg.norm(svm.coef_), rel=1e-4)


def test_a_linear_space_needs_no_merging(spread):
    X, y = spread
    keep = y != "date"
    probe = DirectProbe().fit(X[keep], y[keep])
    assert probe.is_linear_
    assert probe.n_clusters_ == 3
    counts = probe.solve_counts_
    assert (counts.exact_solves, counts.merges, counts.refusals) == (3, 0, 0)


def answers(probe):
    return (
        probe.labels_.tolist(),
        probe.cluster_distances_.tobytes(),
        [refusal.support.tolist() for refusal in probe.refusals_],
        probe.solve_counts_,
    )


def test_the_answer_depends_neither_on_jobs_nor_on_blas_threads(spread, fitted):
    X, y = spread
    for jobs in (2, -1):
        assert answers(DirectProbe(n_jobs=jobs).fit(X, y)) == answers(fitted)
    for threads in (1, 2):
        with threadpool_limits(threads):
            probe = DirectProbe().fit(X, y)
            assert answers(probe) == answers(fitted)
            assert (probe.predict(X[:20] + 0.1) == fitted.predict(X[:20] + 0.1)).all()


def test_the_names_of_the_labels_do_not_matter(spread, fitted):
    X, y = spread
    renamed = {"ash": "z", "birch": "m", "cedar": "a", "date": "q"}
    probe = DirectProbe().fit(X, np.array([renamed[name] for name in y]))
    assert answers(probe) == answers(fitted)
    assert [renamed[name] for name in fitted.cluster_labels_] == probe.cluster_labels_.tolist()


@pytest.mark.parametrize("labels", [[3, 3, 1, 1], [True, True, False, False], ["b", "b", "a", "a"]])
def test_labels_of_any_type(labels):
    probe = DirectProbe().fit([[0.0, 0], [0, 1], [5, 0], [5, 1]], labels)
    assert probe.label_distances_[0, 1] == pytest.approx(5)
    assert probe.predict([[1.0, 0], [4, 0]]).tolist() == labels[1:3]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int32])
def test_narrow_types_are_solved_in_double_precision(dtype):
    X = np.array([[0, 0], [0, 1], [5, 0], [5, 1]], dtype=dtype)
    given = X.copy()
    probe = DirectProbe().fit(X, [0, 0, 1, 1])
    assert probe.label_distances_.dtype == np.float64
    assert (given == X).all()


def test_one_label_is_one_cluster_without_distances():
    probe = DirectProbe().fit(np.random.default_rng(0).normal(size=(9, 2)), ["only"] * 9)
    assert (probe.n_clusters_, probe.is_linear_) == (1, True)
    assert probe.label_distances_.tolist() == [[0.0]]
    assert np.isnan(probe.min_distances_).tolist() == [True]
    assert probe.predict([[0.0, 0.0]]).tolist() == ["only"]


def test_one_point_a_label():
    probe = DirectProbe().fit([[0.0, 0], [3, 4], [0, 8]], ["a", "b", "c"])
    assert probe.is_linear_
    assert probe.label_distances_[0] == pytest.approx([0, 5, 8])
    assert probe.min_distances_ == pytest.approx([5, 5, 5])


def test_a_single_example():
    probe = DirectProbe().fit([[1.0, 2.0]], ["a"])
    assert probe.labels_.tolist() == [0]


def test_all_points_identical():
    probe = DirectProbe().fit(np.ones((4, 3)), [0, 0, 1, 1])
    assert probe.n_clusters_ == 4
    assert probe.label_distances_.tolist() == [[0, 0], [0, 0]]


def test_more_dimensions_than_points():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(12, 300))
    probe = DirectProbe().fit(X, np.arange(12) % 3)
    assert probe.is_linear_
    assert all(probe.certificates_.verify(pair) for pair in probe.certificates_)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([[0.0, np.nan]], [0], "NaN"),
        ([[0.0, np.inf]], [0], "infinity"),
        (np.empty((0, 2)), [], "0 sample"),
        (np.empty((2, 0)), [0, 1], "0 feature"),
        ([[0.0], [1.0]], [0, 1, 1], "inconsistent numbers of samples"),
        ([[0.0], [1.0]], [0.5, 1.5], "Unknown label type"),
        ([0.0, 1.0], [0, 1], "Expected 2D array"),
    ],
)
def test_bad_input_is_named(X, y, message):
    with pytest.raises(ValueError, match=message):
        DirectProbe().fit(X, y)


def test_bad_parameters_are_named():
    with pytest.raises(ValueError, match="min_cluster_size >= 1, got 0"):
        DirectProbe(min_cluster_size=0).fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(NotFittedError):
        _ = DirectProbe().label_distances_


def test_small_clusters_keep_their_id_but_not_their_distances():
    X = np.array([[0.0], [0.1], [0.2], [5], [5.1], [5.2], [9]])
    y = np.array(["a", "a", "a", "b", "b", "b", "c"])
    probe = DirectProbe(min_cluster_size=2).fit(X, y)
    assert probe.n_clusters_ == 3
    assert probe.label_distances_[0, 1] == pytest.approx(4.8)
    assert np.isnan(probe.label_distances_[:2, 2]).all()
    assert probe.label_distances_[2, 2] == 0
    assert np.isnan(probe.min_distances_).tolist() == [False, False, True]
    assert probe.predict([[8.8]]).tolist() == ["c"]


def test_certificates_that_were_not_kept_are_found_again(spread, fitted, monkeypatch):
    from closerlook.probing import pairwise

    monkeypatch.setattr(pairwise, "_CERTIFICATE_BYTES", 0)
    probe = DirectProbe(n_jobs=2).fit(*spread)
    assert answers(probe) == answers(fitted)
    for pair in list(fitted.certificates_)[:20]:
        assert probe.certificates_.verify(pair)
        assert probe.certificates_[pair].distance == fitted.certificates_[pair].distance
        assert probe.certificates_[pair[::-1]].verdict == fitted.certificates_[pair].verdict
    with pytest.raises(KeyError):
        probe.certificates_[0, 0]


def test_prediction_is_the_nearest_hull(spread, fitted):
    X, _ = spread
    rng = np.random.default_rng(7)
    queries = rng.normal(size=(60, 3)) * 6
    predicted = fitted.predict(queries)
    sets = [X[fitted.labels_ == k] for k in range(fitted.n_clusters_)]
    for query, label in zip(queries, predicted, strict=True):
        distances = np.array([hull_distance(query[None], part).distance for part in sets])
        near = distances <= distances.min() * (1 + 2e-6)
        assert label == fitted.cluster_labels_[near][0]


def test_training_examples_are_predicted_as_their_own_label(spread, fitted):
    X, y = spread
    assert fitted.score(X, y) == 1.0


def test_it_survives_pickle_and_clone(spread, fitted):
    copy = pickle.loads(pickle.dumps(fitted))  # noqa: S301  (our own bytes)
    assert answers(copy) == answers(fitted)
    assert clone(fitted).get_params() == {"min_cluster_size": 1, "n_jobs": None, "tol": 1e-6}


def test_a_second_fit_forgets_the_first(spread):
    probe = DirectProbe().fit(*spread)
    before = probe.label_distances_.shape
    probe.fit([[0.0, 0, 0], [2, 0, 0]], ["p", "q"])
    assert before == (4, 4)
    assert probe.label_distances_.tolist() == [[0, 2], [2, 0]]
