import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from closerlook.geometry.centroids import (
    centroid_displacement,
    direction_spread,
    label_centroids,
    path_length,
)
from closerlook.geometry.projection import displacement_pca, joint_pca
from closerlook.geometry.validation import UndefinedMeasureError


def test_centroids_are_those_of_pandas(oracle, labelled):
    X, y = labelled
    found = label_centroids(X, y)
    expected = pd.DataFrame(X).groupby(y).mean()
    oracle("label centroids: pandas", found.centroids, expected.to_numpy())
    assert found.classes.tolist() == expected.index.tolist()
    assert found.counts.tolist() == [60, 30, 15, 10, 5]


def test_half_precision_is_summed_in_double(rng):
    X = (rng.normal(size=(5000, 3)) + 100).astype(np.float16)
    centroid = label_centroids(X, np.zeros(5000, dtype=int)).centroids[0]
    np.testing.assert_allclose(centroid, X.astype(np.float64).mean(axis=0), rtol=1e-12)


def test_displacement_of_known_moves(oracle, labelled):
    X, y = labelled
    moves = {label: np.eye(6)[i] * (i + 1) for i, label in enumerate("abcde")}
    after = X + np.array([moves[label] for label in y])
    found = centroid_displacement(X, after, y)
    oracle("displacement: known moves", found.norms, [1, 2, 3, 4, 5])
    oracle("displacement: known vectors", found.vectors, np.array(list(moves.values())))
    oracle("displacement over mean norm", found.relative, found.norms / np.linalg.norm(X, axis=1).mean())
    shift = np.array(list(moves.values())).mean(axis=0)
    oracle("displacement, own", found.own, [np.linalg.norm(m - shift) for m in moves.values()])


def test_a_common_shift_is_not_the_labels_own(labelled):
    X, y = labelled
    found = centroid_displacement(X, X + np.array([3, 4, 0, 0, 0, 0]), y)
    np.testing.assert_allclose(found.norms, 5)
    np.testing.assert_allclose(found.own, 0, atol=1e-12)


def test_displacement_degenerate(labelled):
    X, y = labelled
    with pytest.raises(UndefinedMeasureError, match="every vector before is zero"):
        centroid_displacement(np.zeros_like(X), X, y)
    with pytest.raises(UndefinedMeasureError, match="6 and 3 features"):
        centroid_displacement(X, X[:, :3], y)
    with pytest.raises(ValueError, match="the same examples in the same order"):
        centroid_displacement(X, X[:-1], y)
    with pytest.raises(ValueError, match="one label per row"):
        centroid_displacement(X, X, y[:-1])
    with pytest.raises(ValueError, match="missing labels"):
        label_centroids(X, np.where(y == "a", None, y))


def test_path_on_a_circle_has_the_length_of_its_polygon(oracle):
    t = np.linspace(0, np.pi, 51)
    arc = np.stack([np.cos(t), np.sin(t)], axis=1)
    line = np.stack([t, 0 * t], axis=1)
    found = path_length(np.stack([arc, line, 0 * arc], axis=1))
    polygon = 50 * 2 * np.sin(np.pi / 100)
    oracle("path length: polygon in a circle", found.lengths, [polygon, np.pi, 0])
    oracle("path, net", found.net, [2, np.pi, 0])
    assert found.straightness[:2] == pytest.approx([2 / polygon, 1])
    assert np.isnan(found.straightness[2])


@pytest.mark.parametrize("k", [2, 3, 7])
def test_orthogonal_directions_have_the_closed_form(oracle, k):
    found = direction_spread(np.eye(9)[:k] * 2.5)
    oracle("direction spread: 1 - 1/sqrt(k)", found.spread, 1 - 1 / np.sqrt(k))
    oracle("direction spread: mean cosine", found.mean_cosine, 0)
    oracle("number of directions", found.n_directions, k)


def test_mean_cosine_of_directions_is_that_over_pairs(oracle, rng):
    v = rng.normal(size=(7, 4))
    unit = v / np.linalg.norm(v, axis=1, keepdims=True)
    found = direction_spread(np.vstack([v, np.zeros(4)]))
    oracle("direction spread: loop over pairs", found.mean_cosine, (unit @ unit.T)[np.triu_indices(7, 1)].mean())
    assert found.n_moved == 7
    same = direction_spread(np.outer([1, 2, 3], [1.0, 2]))
    assert (same.spread, same.mean_cosine, same.n_directions) == pytest.approx((0, 1, 1))
    with pytest.raises(UndefinedMeasureError, match="1 labels moved"):
        direction_spread([[0, 0], [1, 0]])


def test_joint_pca_is_sklearns_on_all_snapshots(oracle, rng):
    paths = rng.normal(size=(6, 5, 8)) * np.arange(1, 9)
    found, reference = joint_pca(paths), PCA(2).fit(paths.reshape(-1, 8))
    oracle("joint PCA: sklearn, share", found.explained_variance_ratio, reference.explained_variance_ratio_)
    signs = np.sign(np.sum(found.components * reference.components_, axis=1))
    expected = reference.transform(paths.reshape(-1, 8)).reshape(6, 5, 2) * signs
    oracle("joint PCA: sklearn, coordinates", found.coordinates, expected)
    largest = found.components[[0, 1], np.abs(found.components).argmax(axis=1)]
    assert (largest > 0).all()
    np.testing.assert_allclose(joint_pca(paths[:, ::-1]).coordinates[:, ::-1], found.coordinates, atol=1e-9)


def test_paths_in_a_plane_keep_their_distances(oracle, rng, rotation):
    plane = rng.normal(size=(4, 3, 2))
    found = joint_pca(np.concatenate([plane, np.zeros((4, 3, 5))], axis=2) @ rotation(7) + 3)
    lengths = np.linalg.norm(np.diff(plane, axis=0), axis=2)
    oracle("joint PCA: isometry of a plane", np.linalg.norm(np.diff(found.coordinates, axis=0), axis=2), lengths)
    assert found.explained_variance_ratio.sum() == pytest.approx(1)


def test_displacement_pca_keeps_the_origin(oracle, rng, rotation):
    plane = rng.normal(size=(6, 2)) + 5
    found = displacement_pca(np.hstack([plane, np.zeros((6, 4))]) @ rotation(6))
    oracle("displacement PCA: arrow lengths", np.linalg.norm(found.coordinates, axis=1), np.linalg.norm(plane, axis=1))
    assert found.explained_ratio.sum() == pytest.approx(1)
    alone = displacement_pca([[3.0, 4, 0]])
    assert np.abs(alone.coordinates[0]) == pytest.approx([5, 0])
    assert displacement_pca(np.zeros((3, 4))).explained_ratio.tolist() == [0, 0]


def test_projection_refuses(rng):
    with pytest.raises(ValueError, match="n_snapshots >= 2"):
        joint_pca(rng.normal(size=(1, 3, 4)))
    with pytest.raises(ValueError, match="n_components is 5"):
        joint_pca(rng.normal(size=(3, 3, 4)), n_components=5)
    with pytest.raises(ValueError, match="paths holds NaN"):
        path_length(np.full((2, 2, 2), np.nan))
    with pytest.raises(ValueError, match="vectors holds NaN"):
        displacement_pca([[np.nan, 1.0]])
