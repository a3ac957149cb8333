"""Distances inside clusters against scipy's pdist, and their memory."""

import tracemalloc

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from closerlook.probing import inside_distances


def test_mean_and_maximum_are_those_of_all_pairs():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 7)) + 100.0
    clusters = rng.permutation(np.repeat([0, 1, 2, 3], [30, 20, 9, 1]))
    inside = inside_distances(X, clusters, np.array(["b", "a", "b", "c"]))
    pairs = [pdist(X[clusters == k]) for k in range(3)]
    assert inside.cluster_mean[:3] == pytest.approx([p.mean() for p in pairs])
    assert inside.cluster_max[:3] == pytest.approx([p.max() for p in pairs])
    assert np.isnan([inside.cluster_mean[3], inside.cluster_max[3], inside.label_mean[2]]).all()
    assert inside.label_mean[0] == pytest.approx(pairs[1].mean())
    assert inside.label_mean[1] == pytest.approx((pairs[0].mean() + pairs[2].mean()) / 2)
    assert inside.label_max[1] == pytest.approx(max(pairs[0].max(), pairs[2].max()))


def test_small_clusters_can_be_left_out_of_the_labels():
    X = np.array([[0.0], [1], [2], [10], [14]])
    inside = inside_distances(X, [0, 0, 0, 1, 1], ["a", "a"], min_cluster_size=3)
    assert inside.cluster_max.tolist() == [2, 4]
    assert inside.label_max.tolist() == [2]


def test_identical_points_have_distance_zero():
    inside = inside_distances(np.full((5, 3), 0.1), [0] * 5, ["a"])
    assert inside.label_max.tolist() == [0]


def test_no_matrix_of_all_distances_is_held():
    X = np.random.default_rng(0).normal(size=(6000, 4))
    tracemalloc.start()
    inside_distances(X, np.zeros(6000, dtype=int), ["a"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 220e6  # all distances would take 288 MB, and scikit-learn's blocks need a few copies of 64 MB


@pytest.mark.parametrize(
    ("clusters", "labels", "message"),
    [([0, 0], ["a"], "one cluster per row"), ([0, 0, 2], ["a", "b", "c"], "points in each of the 3 clusters")],
)
def test_bad_clusters_are_named(clusters, labels, message):
    with pytest.raises(ValueError, match=message):
        inside_distances(np.ones((3, 1)), clusters, labels)
