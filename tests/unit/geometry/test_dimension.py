import numpy as np
import pytest

from closerlook.geometry.dimension import fit_two_nn, two_nn
from closerlook.geometry.validation import UndefinedMeasureError


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_two_nn_finds_the_dimension_of_a_plane(dimension, rng, rotation):
    plane = np.hstack([rng.uniform(size=(3000, dimension)), np.zeros((3000, 12 - dimension))])
    found = two_nn(plane @ rotation(12) + 3, max_points=3000)
    assert found.value == pytest.approx(dimension, rel=0.08)
    assert found.low < dimension * 1.05
    assert found.high > dimension * 0.95


def test_two_nn_fit_recovers_exact_quantiles(oracle):
    """Ratios at the quantiles of the Pareto law of dimension d lie on the line exactly."""
    n, d = 200, 3.7
    ratios = (1 - np.arange(1, n + 1)[:-1] / n) ** (-1 / d)
    ratios = np.append(ratios, ratios[-1] * 2)
    oracle("TwoNN: quantiles of the Pareto law", fit_two_nn(ratios[None])[0], d)


def test_two_nn_agrees_with_the_maximum_likelihood_estimate(rng):
    X = rng.normal(size=(2000, 4))
    D = np.linalg.norm(X[:, None] - X[None], axis=2)
    np.fill_diagonal(D, np.inf)
    nearest = np.sort(D, axis=1)[:, :2]
    likelihood = (len(X) - 1) / np.log(nearest[:, 1] / nearest[:, 0]).sum()
    assert two_nn(X, max_points=2000).value == pytest.approx(likelihood, rel=0.1)


def test_two_nn_drops_duplicates_first(rng):
    X = rng.normal(size=(300, 3))
    doubled = np.vstack([X, X[:120]])
    found, plain = two_nn(doubled), two_nn(X)
    assert (found.n_duplicates, plain.n_duplicates) == (120, 0)
    assert found.value == pytest.approx(plain.value)
    near = two_nn(np.vstack([X, X[:5] + 1e-12]))
    assert near.n_points == 295


def test_two_nn_degenerate():
    with pytest.raises(UndefinedMeasureError, match="2 distinct points"):
        two_nn(np.array([[0.0], [0], [1], [1]]))
    with pytest.raises(UndefinedMeasureError, match="infinite"):
        two_nn(np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]]))
