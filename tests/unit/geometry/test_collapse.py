import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid

from closerlook.geometry import collapse
from closerlook.geometry.collapse import nearest_centroid, self_duality
from closerlook.geometry.label_sums import LabelSums
from closerlook.geometry.validation import UndefinedMeasureError, centre


def coded(X, y):
    return centre(np.asarray(X, dtype=float)), np.unique(y, return_inverse=True)[1]


def label_sums(X, y):
    space, codes = coded(X, y)
    return LabelSums.of(space, codes, codes.max() + 1)


def cdnv(X, y):
    return label_sums(X, y).cdnv()


def cdnv_matrix(X, y):
    return label_sums(X, y).cdnv_matrix()


def within_between(X, y):
    return collapse.within_between(*coded(X, y)).nc1


def centroid_simplex(X, y):
    return collapse.centroid_simplex(*coded(X, y))


def nearest_centroid_agreement(X, y, answers=None):
    space, codes = coded(X, y)
    given = codes if answers is None else np.unique(answers, return_inverse=True)[1]
    return collapse.nearest_centroid_agreement(space, codes, given)


def simplex(n_classes):
    """Vertices of a regular simplex around 0, of norm 1."""
    vertices = np.eye(n_classes) - 1 / n_classes
    return vertices / np.linalg.norm(vertices[0])


def around(centres, per_class, sigma, rng):
    """Points whose labels have exactly these centroids and exactly sigma^2 of variance in each feature."""
    d = centres.shape[1]
    blocks = []
    for middle in centres:
        noise = rng.normal(size=(per_class, d))
        Q, _ = np.linalg.qr(noise - noise.mean(axis=0))
        blocks.append(middle + Q * sigma * np.sqrt(per_class))
    return np.concatenate(blocks), np.repeat(np.arange(len(centres)), per_class)


def test_simplex_has_the_closed_forms(oracle, rng):
    C, sigma = 5, 0.3
    X, y = around(simplex(C), 40, sigma, rng)
    X += 7
    # S_B = I / (C - 1) / ... : for vertices of norm 1 its nonzero eigenvalues are 1 / (C - 1)
    oracle("NC1: regular simplex", within_between(X, y), sigma**2 * (C - 1) ** 2 / C)
    # squared distance of vertices: 2 C / (C - 1); variance of a label: C features of sigma^2
    oracle("CDNV: regular simplex", cdnv(X, y), 2 * C * sigma**2 / (2 * 2 * C / (C - 1)))
    found = centroid_simplex(X, y)
    parts = list(found)
    oracle("NC2 and generalised NC2: regular simplex is 0", parts, np.zeros(5))
    assert nearest_centroid_agreement(X, y) == 1


def test_frequency_does_not_move_nc1_and_nc2(oracle, rng):
    X, y = around(rng.normal(size=(4, 6)), 20, 0.5, rng)
    again = np.concatenate([np.arange(80), np.tile(np.flatnonzero(y == 0), 3)])
    oracle("NC1: a label repeated", within_between(X[again], y[again]), within_between(X, y))
    oracle("NC2: a label repeated", centroid_simplex(X[again], y[again]), centroid_simplex(X, y))


def test_nc1_is_that_of_full_matrices(oracle, labelled):
    X, y = labelled
    means = np.array([X[y == c].mean(axis=0) for c in "abcde"])
    W = sum(np.cov(X[y == c].T, bias=True) for c in "abcde") / 5
    B = np.cov(means.T, bias=True)
    oracle("NC1: full matrices, pinv", within_between(X, y), np.trace(W @ np.linalg.pinv(B, rcond=1e-10)) / 5)
    pooled = sum(np.cov(X[y == c].T, bias=True) * np.mean(y == c) for c in "abcde")
    expected = np.trace(pooled @ np.linalg.pinv(B, rcond=1e-10)) / 5
    oracle("NC1, pooled: full matrices, pinv", collapse.within_between(*coded(X, y)).nc1_pooled, expected)


def test_simplex_measures_are_those_of_loops(oracle, labelled):
    X, y = labelled
    means = np.array([X[y == c].mean(axis=0) for c in "abcde"])
    m = means - means.mean(axis=0)
    norms = np.sqrt((m**2).sum(axis=1))
    cosines = [m[i] @ m[j] / norms[i] / norms[j] for i in range(5) for j in range(i)]
    logs = -np.log(pdist(m / norms[:, None]))
    found = centroid_simplex(X, y)
    oracle("NC2 equinorm: loop", found.nc2_equinorm, np.std(norms) / np.mean(norms))
    oracle("NC2 equinorm, sample: numpy", found.nc2_equinorm_sample, np.std(norms, ddof=1) / np.mean(norms))
    oracle("NC2 equiangle: loop", found.nc2_equiangle, np.std(cosines))
    oracle("NC2 max angle: loop", found.nc2_max_angle, np.mean(np.abs(np.array(cosines) + 0.25)))
    oracle("generalised NC2: loop", found.gnc2_uniformity, np.std(logs) / abs(np.mean(logs)))


def test_cdnv_is_that_of_a_loop_and_leaves_singletons_out(oracle, labelled):
    X, y = labelled
    X, y = np.vstack([X, 50 * np.ones((1, 6))]), np.append(y, "z")
    values = []
    for i, a in enumerate("abcde"):
        for b in "abcde"[:i]:
            A, B = X[y == a], X[y == b]
            variances = [np.mean(np.sum((Z - Z.mean(axis=0)) ** 2, axis=1)) for Z in (A, B)]
            values.append(sum(variances) / (2 * np.sum((A.mean(axis=0) - B.mean(axis=0)) ** 2)))
    oracle("CDNV: loop over pairs", cdnv(X, y), np.mean(values))
    matrix = cdnv_matrix(X, y)
    assert np.isnan(matrix[5]).all()
    assert np.isnan(np.diag(matrix)).all()
    oracle("CDNV, all pairs: loop over pairs", np.sort(matrix[np.triu_indices(5, 1)]), np.sort(values))


def test_invariance(oracle, labelled, rotation):
    X, y = labelled
    moved = 0.01 * X @ rotation(6) + 30
    for measure in (cdnv, within_between):
        oracle(f"{measure.__name__}: rotated, shifted, scaled", measure(moved, y), measure(X, y), atol=1e-8)
    oracle("NC2: rotated, shifted, scaled", centroid_simplex(moved, y), centroid_simplex(X, y))


def test_nearest_centroid_is_sklearns(oracle, labelled):
    X, y = labelled
    reference = NearestCentroid().fit(X, y)
    found = reference.classes_[nearest_centroid(X, reference.centroids_)]
    assert (found == reference.predict(X)).all()
    oracle("NC4: sklearn's NearestCentroid", nearest_centroid_agreement(X, y), reference.score(X, y))
    answers = LogisticRegression(max_iter=500).fit(X, y).predict(X)
    agreement = np.mean(reference.predict(X) == answers)
    oracle("NC4, with a classifier: sklearn", nearest_centroid_agreement(X, y, answers), agreement)


def test_self_duality(oracle, rng):
    M = rng.normal(size=(4, 7))
    oracle("NC3: parallel weights", self_duality(3 * (M - M.mean(axis=0)) + 5, M), 0)
    oracle("NC3: opposite weights", self_duality(-M, M), 2)
    W = rng.normal(size=(4, 7))
    w, m = W - W.mean(axis=0), M - M.mean(axis=0)
    cosine = np.sum(w * m) / np.linalg.norm(w) / np.linalg.norm(m)
    oracle("NC3: law of cosines", self_duality(W, M), np.sqrt(2 - 2 * cosine))
    with pytest.raises(UndefinedMeasureError, match="same for all classes"):
        self_duality(np.ones((4, 7)), M)


@pytest.mark.parametrize("measure", [cdnv, within_between])
def test_degenerate(measure):
    with pytest.raises(UndefinedMeasureError, match=r"same centroid|centroids coincide"):
        measure([[1.0], [-1], [2], [-2]], [0, 0, 1, 1])
    assert measure([[1.0], [1], [2], [2]], [0, 0, 1, 1]) == 0  # fully collapsed


def test_cdnv_degenerate_labels(labelled):
    X, _ = labelled
    with pytest.raises(UndefinedMeasureError, match="fewer than 2 labels have 2 points"):
        cdnv(X[:4], [0, 0, 1, 2])
    same = cdnv_matrix([[1.0], [1], [1], [1]], [0, 0, 1, 1])
    assert np.isnan(same).all()
    assert np.isinf(cdnv_matrix([[1.0], [-1], [2], [-2]], [0, 0, 1, 1])[0, 1])


def test_simplex_degenerate(labelled):
    X, y = labelled
    with pytest.raises(UndefinedMeasureError, match="needs 3"):
        centroid_simplex(X[:90], y[:90])
    with pytest.raises(UndefinedMeasureError, match="centre of the means"):
        centroid_simplex([[-1.0], [0], [1]], [0, 1, 2])
    with pytest.raises(UndefinedMeasureError, match="point the same way"):
        centroid_simplex([[-3.0], [1], [2]], [0, 1, 2])
