"""Size-matched distances between labels."""

import numpy as np
import pytest

from closerlook.probing import DirectProbe, hull_distance, label_distances


@pytest.fixture(scope="module")
def labelled():
    rng = np.random.default_rng(0)
    y = np.repeat(["a", "b", "c"], [60, 30, 8])
    return rng.normal(size=(98, 20)) + 3 * (y[:, None] == "b") + 6 * (y[:, None] == "c"), y


def test_without_draws_it_is_direct_probe(labelled):
    X, y = labelled
    result = label_distances(X, y)
    assert result.mean == pytest.approx(DirectProbe().fit(X, y).label_distances_, rel=2e-6)
    assert (result.low == result.mean).all()
    assert result.draws.shape == (1, 3, 3)


def test_draws_are_equally_large_and_repeatable(labelled):
    X, y = labelled
    result = label_distances(X, y, subsample=8, repeats=12, random_state=5)
    again = label_distances(X, y, subsample=8, repeats=12, random_state=5, n_jobs=2)
    assert (result.draws == again.draws).all()
    assert (result.draws != label_distances(X, y, subsample=8, repeats=12, random_state=6).draws).any()
    off = ~np.eye(3, dtype=bool)
    assert (result.low[off] < result.mean[off]).all()
    assert (result.mean[off] < result.high[off]).all()
    assert result.mean == pytest.approx(result.draws.mean(axis=0))
    # A hull of fewer points lies inside the whole one: no draw is nearer than all points are.
    assert (result.draws >= label_distances(X, y).mean - 1e-6).all()


def test_larger_draws_come_nearer(labelled):
    X, y = labelled
    few, many = (label_distances(X, y, subsample=m, random_state=0).mean[0, 1] for m in (5, 25))
    assert few > many


def test_a_label_with_too_few_points_is_missing(labelled):
    X, y = labelled
    result = label_distances(X, y, subsample=9, repeats=3, random_state=0)
    assert np.isnan(result.mean[2, :2]).all()
    assert result.mean[2, 2] == 0
    assert result.mean[0, 1] > 0


def test_labels_that_meet_are_at_distance_zero():
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(200, 2)), rng.integers(0, 2, 200)
    assert label_distances(X, y).mean[0, 1] == 0
    assert hull_distance(X[y == 0], X[y == 1]).meets


@pytest.mark.parametrize("wrong", [{"subsample": 0}, {"subsample": 3, "repeats": 0}, {"level": 1.0}])
def test_bad_settings_are_named(labelled, wrong):
    with pytest.raises(ValueError, match="Expected subsample and repeats >= 1 and 0 < level < 1"):
        label_distances(*labelled, **wrong)
