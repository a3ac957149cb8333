import numpy as np
import pytest
from sklearn.decomposition import PCA

from closerlook.geometry.projection import displacement_pca, joint_pca


def test_joint_pca_is_sklearns_on_all_snapshots(oracle, rng):
    paths = rng.normal(size=(6, 5, 8)) * np.arange(1, 9)
    found, reference = joint_pca(paths), PCA(2).fit(paths.reshape(-1, 8))
    oracle("joint PCA: sklearn, share", found.explained, reference.explained_variance_ratio_)
    largest = reference.components_[[0, 1], np.abs(reference.components_).argmax(axis=1)]
    expected = reference.transform(paths.reshape(-1, 8)).reshape(6, 5, 2) * np.sign(largest)
    oracle("joint PCA: sklearn, coordinates", found.coordinates, expected)
    np.testing.assert_allclose(joint_pca(paths[:, ::-1]).coordinates[:, ::-1], found.coordinates, atol=1e-9)


def test_paths_in_a_plane_keep_their_distances(oracle, rng, rotation):
    plane = rng.normal(size=(4, 3, 2))
    found = joint_pca(np.concatenate([plane, np.zeros((4, 3, 5))], axis=2) @ rotation(7) + 3)
    lengths = np.linalg.norm(np.diff(plane, axis=0), axis=2)
    oracle("joint PCA: isometry of a plane", np.linalg.norm(np.diff(found.coordinates, axis=0), axis=2), lengths)
    assert found.explained.sum() == pytest.approx(1)


def test_displacement_pca_keeps_the_origin(oracle, rng, rotation):
    plane = rng.normal(size=(6, 2)) + 5
    found = displacement_pca(np.hstack([plane, np.zeros((6, 4))]) @ rotation(6))
    oracle("displacement PCA: arrow lengths", np.linalg.norm(found.coordinates, axis=1), np.linalg.norm(plane, axis=1))
    assert found.explained.sum() == pytest.approx(1)
    alone = displacement_pca([[3.0, 4, 0]])
    assert np.abs(alone.coordinates[0]) == pytest.approx([5, 0])
    assert displacement_pca(np.zeros((3, 4))).explained.tolist() == [0, 0]


def test_projection_refuses(rng):
    with pytest.raises(ValueError, match="n_snapshots >= 2"):
        joint_pca(rng.normal(size=(1, 3, 4)))
    with pytest.raises(ValueError, match="paths holds NaN"):
        joint_pca(np.full((2, 2, 2), np.nan))
    with pytest.raises(ValueError, match="vectors holds NaN"):
        displacement_pca([[np.nan, 1.0]])
