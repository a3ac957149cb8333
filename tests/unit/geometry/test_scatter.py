import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist
from sklearn.metrics import (
    calinski_harabasz_score,
    davies_bouldin_score,
    silhouette_samples,
    silhouette_score,
)

from closerlook.geometry import scatter
from closerlook.geometry.label_sums import LabelSums
from closerlook.geometry.neighbours import sample_rows
from closerlook.geometry.scatter import chance_fisher_ratio, pooled_scatter
from closerlook.geometry.validation import UndefinedMeasureError, centre


def coded(X, y):
    return centre(np.asarray(X, dtype=float)), np.unique(y, return_inverse=True)[1]


def fisher_ratio(X, y):
    space, codes = coded(X, y)
    return LabelSums.of(space, codes, codes.max() + 1).fisher_ratio()


def calinski_harabasz(X, y):
    return fisher_ratio(X, y) / chance_fisher_ratio(len(X), len(np.unique(y)))


def davies_bouldin(X, y):
    return scatter.davies_bouldin(*coded(X, y))


def silhouette(X, y, rows=None):
    space, codes = coded(X, y)
    shuffled = np.random.default_rng(0).permutation(codes)
    return scatter.silhouette(space, codes, shuffled, np.arange(len(X)) if rows is None else rows)


def test_fisher_ratio_is_that_of_scatter_matrices(oracle, labelled):
    X, y = labelled
    total = np.cov(X.T, bias=True) * 120
    within = sum(np.cov(X[y == c].T, bias=True) * np.sum(y == c) for c in "abcde")
    oracle("Fisher ratio: scatter matrices", fisher_ratio(X, y), np.trace(total - within) / np.trace(within))


def test_fisher_ratio_of_gaussians_has_its_closed_form(rng):
    """Two labels at distance 2a in d dimensions of unit variance: a^2 / d."""
    y = np.repeat([0, 1], 100_000)
    X = rng.normal(size=(200_000, 4))
    X[:, 0] += 3 * (2 * y - 1)
    assert fisher_ratio(X, y) == pytest.approx(9 / 4, rel=0.01)


def test_chance_is_the_mean_over_shuffles(rng, labelled):
    X, y = labelled
    values = [fisher_ratio(X, rng.permutation(y)) for _ in range(400)]
    assert abs(np.mean(values) - chance_fisher_ratio(120, 5)) < 4 * np.std(values) / 20 + 0.001


def test_indices_are_sklearns(oracle, labelled):
    X, y = labelled
    oracle("Calinski-Harabasz: sklearn", calinski_harabasz(X, y), calinski_harabasz_score(X, y))
    oracle("Davies-Bouldin: sklearn", davies_bouldin(X, y), davies_bouldin_score(X, y))


def test_davies_bouldin_is_that_of_a_loop(oracle, labelled):
    X, y = labelled
    m = np.array([X[y == c].mean(axis=0) for c in "abcde"])
    s = [np.mean(np.linalg.norm(X[y == c] - m[i], axis=1)) for i, c in enumerate("abcde")]
    worst = [max((s[i] + s[j]) / np.linalg.norm(m[i] - m[j]) for j in range(5) if j != i) for i in range(5)]
    oracle("Davies-Bouldin: loop", davies_bouldin(X, y), np.mean(worst))


def test_silhouette_of_all_points_is_sklearns(oracle, labelled):
    X, y = labelled
    X, y = np.vstack([X, X[:1] + 0.5]), np.append(y, "alone")
    found = silhouette(X, y)
    oracle("silhouette: sklearn", found.widths.mean(), silhouette_score(X, y))
    assert len(found.widths) == 121


def test_sampled_silhouette_keeps_all_points_as_reference(oracle, rng, labelled):
    X, y = labelled
    rows = sample_rows(120, 30, rng)
    oracle("silhouette, sampled: sklearn's samples", silhouette(X, y, rows).widths, silhouette_samples(X, y)[rows])


def test_silhouette_by_hand(oracle):
    X, y = np.array([[0.0], [1], [4], [6]]), [0, 0, 1, 1]
    D = cdist(X, X)
    widths = [(5 - 1) / 5, (4 - 1) / 4, (3.5 - 2) / 3.5, (5.5 - 2) / 5.5]
    assert D[0, 2:].mean() == 5
    oracle("silhouette: by hand", silhouette(X, y).widths, widths)


def test_shuffled_control_is_low(rng, labelled):
    X, y = labelled
    assert silhouette(X, y).control < 0.1 < silhouette(X, y).widths.mean()


@pytest.mark.parametrize(
    "measure", [fisher_ratio, calinski_harabasz, davies_bouldin, lambda X, y: silhouette(X, y).widths.mean()]
)
def test_invariance_to_rotation_shift_scale_and_order(measure, labelled, rotation, rng):
    X, y = labelled
    order = rng.permutation(120)
    moved = (0.003 * X @ rotation(6) + 1)[order]
    assert measure(moved, y[order]) == pytest.approx(measure(X, y), abs=1e-7)


def test_sklearns_sentinels_are_not_taken_over():
    collapsed, y = np.array([[1.0], [1], [2], [2]]), np.array([0, 0, 1, 1])
    assert calinski_harabasz_score(collapsed, y) == 1.0  # a perfect space called chance
    with pytest.raises(UndefinedMeasureError, match="scatter is zero"):
        calinski_harabasz(collapsed, y)
    crossed = np.array([[1.0], [-1], [2], [-2]])
    assert davies_bouldin_score(crossed, y) == 0.0  # the worst space called perfect
    with pytest.raises(UndefinedMeasureError, match="same centroid"):
        davies_bouldin(crossed, y)
    assert silhouette(collapsed, y).widths.tolist() == [1] * 4
    assert silhouette(np.ones((4, 2)), y).widths.tolist() == [0] * 4


def test_pooled_scatter_is_that_of_pairwise_distances(oracle, labelled):
    X, codes = coded(*labelled)
    pairs = [pdist(X[codes == c], "sqeuclidean").sum() / np.sum(codes == c) for c in range(5)]
    oracle("label scatter: pairwise distances", pooled_scatter(X, codes), np.sqrt(sum(pairs) / len(X)))
    assert pooled_scatter(X[:1], codes[:1]) == 0
