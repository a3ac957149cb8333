"""The paper's grid and the five initialisations."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from closerlook.probing.mlp_grid import PAPER_ALPHAS, PAPER_UNITS, heldout_split, mlp_grid, mlp_probe
from closerlook.probing.mlp_settings import Halving, MLPTraining

pytest.importorskip("torch")
FAST = MLPTraining(max_iter=40, learning_rate=0.01)
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def ring(n: int = 400, seed: int = 0) -> Arrays:
    """Two rings and a core, which no linear probe can tell apart, with some noise dimensions."""
    rng = np.random.default_rng(seed)
    y, angle = rng.integers(3, size=n), rng.uniform(0, 2 * np.pi, size=n)
    radius = 1.0 * y + 0.3 * rng.normal(size=n)
    X = np.column_stack([radius * np.cos(angle), radius * np.sin(angle), rng.normal(size=(n, 3))])
    names, cut = np.array(["core", "inner", "outer"])[y], n // 2
    return X[:cut], names[:cut], X[cut:], names[cut:]


def test_importing_the_probe_does_not_import_torch() -> None:
    code = "import sys, closerlook.probing.mlp_grid; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_paper_grid_has_128_cells() -> None:
    assert len(PAPER_UNITS) ** 2 * len(PAPER_ALPHAS) == 128
    np.testing.assert_allclose(PAPER_ALPHAS, np.logspace(-7, 0, 8))


def test_five_seeds_reach_what_mlpclassifier_reaches() -> None:
    X, y, X_test, y_test = ring()
    result = mlp_probe(X, y, X_test, y_test, hidden=(16, 16), training=FAST)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        scores = [
            MLPClassifier((16, 16), alpha=1e-4, random_state=seed, max_iter=40, learning_rate_init=0.01)
            .fit(X, y)
            .score(X_test, y_test)
            for seed in range(5)
        ]
    assert [run.accuracy for run in result.runs] == pytest.approx(scores, abs=0.011)  # float32: two examples
    assert abs(result.accuracy - np.mean(scores)) < np.std(scores, ddof=1)
    assert result.accuracy == pytest.approx(np.mean([run.accuracy for run in result.runs]))
    assert result.accuracy_std == pytest.approx(np.std([run.accuracy for run in result.runs], ddof=1))
    assert result.accuracy > result.majority_accuracy + 0.2
    assert all(f"seed {seed};" in run.setting for seed, run in enumerate(result.runs))


def test_one_seed_has_no_deviation_and_a_cut_run_says_so() -> None:
    result = mlp_probe(*ring(), hidden=(4, 4), n_seeds=1, training=MLPTraining(max_iter=2))
    assert np.isnan(result.accuracy_std)
    assert not result.converged
    assert "loss still falling after 2 epochs" in result.runs[0].setting


def test_the_grid_selects_on_training_data_only() -> None:
    X, y, X_test, y_test = ring()
    settings = {"units": (2, 16), "alphas": (1e-3, 100.0), "n_seeds": 2, "training": FAST}
    result = mlp_grid(X, y, X_test, y_test, **settings)
    assert len(result.cells) == 8
    assert result.n_fit + result.n_heldout == len(X)
    assert result.heldout_accuracy == max(cell.heldout_accuracy for cell in result.cells)
    assert (result.best.hidden, result.best.alpha) == ((16, 16), 1e-3)  # wide and free beats narrow and crushed
    turned = mlp_grid(X, y, X_test, np.roll(y_test, 1), **settings)
    assert turned.cells == result.cells
    assert turned.best.hidden == result.best.hidden
    assert turned.best.accuracy < result.best.accuracy


def test_the_final_fits_are_mlp_probe_on_all_training_data() -> None:
    data = ring()
    result = mlp_grid(*data, units=(8,), alphas=(0.1,), n_seeds=2, random_state=4, training=FAST)
    alone = mlp_probe(*data, hidden=(8, 8), alpha=0.1, n_seeds=2, random_state=4, training=FAST)
    assert result.best.accuracy == alone.accuracy
    assert result.best.runs[1].setting == alone.runs[1].setting


def test_ties_go_to_the_smallest_network_and_the_largest_penalty() -> None:
    X = np.repeat([[-20.0], [20.0]], 20, axis=0)
    y = np.repeat([0, 1], 20)
    result = mlp_grid(X, y, X, y, units=(8, 4), alphas=(1e-3, 1e-2), n_seeds=1, training=FAST)
    assert {cell.heldout_accuracy for cell in result.cells} == {1.0}
    assert (result.best.hidden, result.best.alpha) == ((4, 4), 1e-2)


def test_halving_is_marked_and_never_selects_a_dropped_cell() -> None:
    result = mlp_grid(*ring(), units=(2, 8), alphas=(1e-3, 1.0), n_seeds=1, halving=Halving(2, 3, 2), training=FAST)
    assert result.search == "halving"
    best = [c for c in result.cells if (c.hidden, c.alpha) == (result.best.hidden, result.best.alpha)]
    assert best[0].status in ("converged", "max_iter")
    assert sum(cell.status == "dropped" for cell in result.cells) == 6


def test_repeats_give_the_same_numbers_and_standardising_forgets_units() -> None:
    X, y, X_test, y_test = ring()
    scale = np.geomspace(1e-2, 1e2, 5)
    settings = {"hidden": (8, 8), "n_seeds": 2, "training": FAST}
    a = mlp_probe(X, y, X_test, y_test, standardize=True, **settings)
    again = mlp_probe(X, y, X_test, y_test, standardize=True, **settings)
    assert [run.confusion.tolist() for run in a.runs] == [run.confusion.tolist() for run in again.runs]
    b = mlp_probe(X * scale, y, X_test * scale, y_test, standardize=True, **settings)
    assert a.accuracy == pytest.approx(b.accuracy, abs=0.03)
    assert abs(mlp_probe(X * scale, y, X_test * scale, y_test, **settings).accuracy - a.accuracy) > 0.05


def test_heldout_split_is_a_proportional_partition() -> None:
    y = np.repeat([0, 1, 2, 3], [500, 300, 190, 10])
    kept, held = heldout_split(y, 0.2, 0)
    np.testing.assert_array_equal(np.sort(np.concatenate([kept, held])), np.arange(1000))
    np.testing.assert_allclose(np.bincount(y[held]), [100, 60, 38, 2], atol=1)
    assert not np.array_equal(held, heldout_split(y, 0.2, 1)[1])
    with_rare = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2])
    rare = [10 in heldout_split(with_rare, 0.2, seed)[1] for seed in range(200)]
    assert 0.1 < np.mean(rare) < 0.3  # the one example of a rare label is held out about one time in five


def test_halving_thins_out_a_small_grid_hardly_and_the_papers_grid_to_eight() -> None:
    assert Halving().rungs(8) == []  # all of them train to their end
    assert Halving().rungs(16) == [(5, 8)]
    assert Halving().rungs(128) == [(5, 32), (20, 8)]
    with pytest.raises(ValueError, match="expected factor of at least 2"):
        Halving(factor=1).rungs(4)


def test_bad_settings_are_named() -> None:
    data = ring()
    with pytest.raises(ValueError, match=r"got layer sizes \[\] "):
        mlp_grid(*data, units=())
    with pytest.raises(ValueError, match=r"L2 weights \[-1\]"):
        mlp_probe(*data, alpha=-1)
    with pytest.raises(ValueError, match="got n_seeds=0 and random_state=0"):
        mlp_probe(*data, n_seeds=0)
    with pytest.raises(ValueError, match=r"held-out fraction of 1\.5"):
        mlp_grid(*data, heldout_fraction=1.5)
    with pytest.raises(ValueError, match="2 training examples leave"):
        mlp_grid(data[0][:2], ["a", "b"], data[2], data[3], heldout_fraction=0.5)
    with pytest.raises(ValueError, match="X_train has 200 rows with NaN"):
        mlp_probe(data[0] * np.nan, *data[1:])


def test_nothing_finite_raises() -> None:
    X, y, X_test, y_test = ring()
    with pytest.raises(RuntimeError, match="none of the 1 cells has a finite training loss"):
        mlp_grid(X * 3e37, y, X_test, y_test, units=(4,), alphas=(0.1,), training=FAST)
    with pytest.raises(RuntimeError, match=r"is not finite for seeds \[0, 1\]"):
        mlp_probe(X * 3e37, y, X_test, y_test, hidden=(4, 4), n_seeds=2, training=FAST)
