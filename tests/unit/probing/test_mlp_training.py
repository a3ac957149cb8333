"""Training of many cells at once: scikit-learn's path, threads, halving."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from closerlook.probing.mlp_settings import Cell, Halving, MLPTraining
from closerlook.probing.mlp_training import CellStack, StackData, _workers, train_cells

torch = pytest.importorskip("torch")


def task(n: int = 230, labels: int = 4, d: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(labels, size=n)
    return rng.normal(size=(labels, d))[y] + rng.normal(size=(n, d)), y


CELLS = [Cell(hidden, alpha, seed) for hidden in ((6, 5), (4, 8)) for alpha in (1e-4, 1.0) for seed in (0, 3)]


def test_every_cell_follows_mlpclassifier_to_its_own_end() -> None:
    X, y = task()
    X_new = task(seed=9)[0]
    training = MLPTraining(dtype="float64", max_iter=120, batch_size=64, learning_rate=0.02, tol=1e-3)
    fits = train_cells(X, y, X_new, CELLS, training)
    for fit in fits:
        oracle = MLPClassifier(
            fit.cell.hidden,
            alpha=fit.cell.alpha,
            random_state=fit.cell.seed,
            max_iter=120,
            batch_size=64,
            learning_rate_init=0.02,
            tol=1e-3,
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            oracle.fit(X, y)
        assert fit.n_iter == oracle.n_iter_
        assert fit.status == ("max_iter" if caught else "converged")
        assert fit.loss == pytest.approx(oracle.loss_, rel=1e-8)
        np.testing.assert_array_equal(fit.predicted, oracle.predict(X_new))
    assert len({fit.n_iter for fit in fits}) > 3  # cells really stop one by one


def test_threads_change_nothing_and_torch_gets_its_own_number_back() -> None:
    X, y = task()
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        one, three = (train_cells(X, y, X, CELLS, MLPTraining(max_iter=30, n_jobs=n_jobs)) for n_jobs in (1, 3))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    for a, b in zip(one, three, strict=True):
        assert (a.cell, a.loss, a.n_iter) == (b.cell, b.loss, b.n_iter)
        np.testing.assert_array_equal(a.predicted, b.predicted)


def test_codes_with_gaps_come_back_as_they_were_and_inputs_stay() -> None:
    X, y = task()
    X.setflags(write=False)
    fit = train_cells(X, y * 10 + 3, X, CELLS[:1], MLPTraining(max_iter=20))[0]
    assert set(fit.predicted.tolist()) <= {3, 13, 23, 33}
    assert fit.status == "max_iter"


def test_halving_drops_the_worst_and_finishes_the_others_as_the_full_run_does() -> None:
    X, y = task()
    X_new, y_new = task(seed=9)
    training = MLPTraining(max_iter=60, learning_rate=0.01)
    full = train_cells(X, y, X_new, CELLS, training)
    some = train_cells(X, y, X_new, CELLS, training, halving=Halving(2, 5, 2), y_eval=y_new)
    finished = [i for i, fit in enumerate(some) if fit.status != "dropped"]
    assert len(finished) == 2
    assert sorted(fit.n_iter for fit in some)[:4] == [5] * 4
    for i in finished:
        assert (some[i].n_iter, some[i].loss) == (full[i].n_iter, pytest.approx(full[i].loss, rel=1e-3))
    at_five = train_cells(X, y, X_new, CELLS, MLPTraining(max_iter=5, learning_rate=0.01))
    scores = [float((fit.predicted == y_new).mean()) for fit in at_five]
    first_out = [scores[i] for i, fit in enumerate(some) if fit.n_iter == 5]
    assert max(first_out) <= min(scores[i] for i, fit in enumerate(some) if fit.n_iter > 5)


def test_a_diverging_cell_ends_without_an_answer() -> None:
    X, y = task()
    fits = train_cells(X * 3e37, y, X, CELLS[:2], MLPTraining(max_iter=10))
    assert {fit.status for fit in fits} == {"diverged"}


def test_bad_settings_are_named() -> None:
    X, y = task()
    with pytest.raises(ValueError, match="2 cells of which 1 differ"):
        train_cells(X, y, X, [CELLS[0], CELLS[0]], MLPTraining())
    with pytest.raises(ValueError, match="halving without y_eval"):
        train_cells(X, y, X, CELLS, MLPTraining(), halving=Halving())
    with pytest.raises(ValueError, match=r"got \{'max_iter': 0\}, expected numbers above 0"):
        MLPTraining(max_iter=0)
    with pytest.raises(ValueError, match=r"got \{'tol': -1\}"):
        MLPTraining(tol=-1)
    with pytest.raises(ValueError, match="got n_jobs=0"):
        MLPTraining(n_jobs=0)
    with pytest.raises(ValueError, match="got dtype='half'"):
        MLPTraining(dtype="half")


def test_an_interrupt_ends_the_other_threads_with_their_epoch() -> None:
    X, y = task(n=3000)
    training = MLPTraining(max_iter=10**6, tol=0.0, n_iter_no_change=10**6, n_jobs=2)
    data = StackData(X, y, X, training)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    stack = CellStack(CELLS[:1], data, training)
    with pytest.raises(KeyboardInterrupt), _workers(training, data.cancelled) as run:  # noqa: PT012
        broken = CellStack(CELLS[1:2], data, training)
        broken.advance = interrupt  # type: ignore[method-assign, assignment]
        run([broken, stack], 10**6)
    assert stack.running == CELLS[:1]  # it would have taken hours
