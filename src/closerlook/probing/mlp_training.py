"""Train many perceptron cells (size, L2 weight, seed) at once, each to scikit-learn's stopping rule.

Cells of one size and seed share initial weights and minibatches, as `MLPClassifier(random_state=seed)` does
for every L2 weight; so they are stacked and share each product with the minibatch. Stacks are kept small
enough for the processor's cache and are spread over threads. How many threads there are changes no number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from closerlook.probing.mlp_network import StackedMLP, initial_weights
from closerlook.probing.mlp_settings import Cell, CellFit, Halving, MLPTraining

if TYPE_CHECKING:
    import torch

STACK_PARAMETERS = 400_000  # weights, gradient and two moments of a stack then stay within 6 MB of cache
STACK_CELLS = 8


class CellStack:
    """Cells of one size and seed in training: rows of one `StackedMLP`."""

    def __init__(self, cells: Sequence[Cell], data: StackData, training: MLPTraining) -> None:
        self.running = list(cells)
        self.fits: dict[Cell, CellFit] = {}
        self._data, self._training = data, training
        self._epoch = 0
        self._net: StackedMLP | None = None  # made by the first epoch, so that waiting stacks take no memory
        self._best_loss = np.full(len(cells), np.inf)
        self._stale = np.zeros(len(cells), dtype=int)
        self._loss = np.full(len(cells), np.inf)

    @property
    def cost(self) -> int:
        """Weights of the running cells, a measure of the time one epoch takes."""
        d, k = self._data.X.shape[1], self._data.n_labels
        return sum(d * c.hidden[0] + c.hidden[0] * c.hidden[1] + c.hidden[1] * k for c in self.running)

    def advance(self, until: int) -> None:
        """Train the running cells until they stop or `until` epochs are done."""
        while self.running and self._epoch < until and not self._data.cancelled.is_set():
            self._net = self._net or self._start()
            self._loss = self._run_epoch(self._net)
            self._epoch += 1
            self._end(self._stopping())

    def _start(self) -> StackedMLP:
        """Make the stacked network; one generator draws the weights and then the shuffles, as in scikit-learn."""
        import torch

        self._rng = np.random.RandomState(self.running[0].seed)
        self._order = np.arange(len(self._data.X))
        sizes = (self._data.X.shape[1], *self.running[0].hidden, self._data.n_labels)
        alphas = [cell.alpha for cell in self.running]
        dtype = getattr(torch, self._training.dtype)
        return StackedMLP(initial_weights(self._rng, sizes), alphas, dtype, self._training.device)

    def _run_epoch(self, net: StackedMLP) -> NDArray[np.float64]:
        """Train on every minibatch once and return the mean loss of each cell, (C,)."""
        import torch
        from sklearn.utils import shuffle

        self._order = shuffle(self._order, random_state=self._rng)  # composed shuffles, as in scikit-learn
        order = torch.from_numpy(self._order).to(self._training.device)
        X, y = self._data.X[order], self._data.y[order]
        total = torch.zeros(len(self.running), dtype=torch.float64, device=X.device)
        for start in range(0, len(X), self._training.batch_size):
            part = slice(start, start + self._training.batch_size)
            total += net.loss_and_gradient(X[part], y[part]).double() * len(y[part])
            net.step(self._training.learning_rate)
        return (total / len(X)).cpu().numpy()

    def _stopping(self) -> list[str | None]:
        """Apply `MLPClassifier`'s stopping rule; return the reason of each cell that stops, else None."""
        worse = self._loss > self._best_loss - self._training.tol
        self._stale = np.where(worse, self._stale + 1, 0)
        self._best_loss = np.fmin(self._best_loss, self._loss)
        stopped: list[str | None] = []
        for loss, stale in zip(self._loss, self._stale, strict=True):
            if not np.isfinite(loss):
                stopped.append("diverged")
            elif stale > self._training.n_iter_no_change:
                stopped.append("converged")
            else:
                stopped.append("max_iter" if self._epoch == self._training.max_iter else None)
        return stopped

    def predictions(self) -> NDArray[np.int64]:
        """Return the codes that the running cells predict for the evaluation vectors, (C, n_eval)."""
        if self._net is None:
            raise RuntimeError("no epoch was trained yet, expected advance() before predictions()")
        return self._data.codes[self._net.predict(self._data.X_eval).cpu().numpy()]

    def drop(self, cells: set[Cell]) -> None:
        """End `cells` although they have not stopped."""
        self._end(["dropped" if cell in cells else None for cell in self.running])

    def _end(self, statuses: list[str | None]) -> None:
        """Record the cells with a status and go on with the others."""
        going = [row for row, status in enumerate(statuses) if status is None]
        if len(going) == len(statuses) or self._net is None:
            return
        predicted = self.predictions()
        for row, (cell, status) in enumerate(zip(self.running, statuses, strict=True)):
            if status is not None:
                fit = CellFit(cell, predicted[row], self._epoch, float(self._loss[row]), status)
                self.fits[cell] = fit
        self.running = [self.running[row] for row in going]
        self._best_loss, self._stale, self._loss = (a[going] for a in (self._best_loss, self._stale, self._loss))
        if going:
            self._net.keep(going)
        else:
            self._net = None


class StackData:
    """Training and evaluation vectors as tensors, shared by every stack and never written to.

    Args:
        X: (n, d) training vectors.
        y: (n,) label codes, any integers.
        X_eval: (n_eval, d) vectors to predict when a cell ends.
        training: gives dtype and device.
    """

    def __init__(self, X: NDArray[Any], y: NDArray[Any], X_eval: NDArray[Any], training: MLPTraining) -> None:
        import torch

        dtype = getattr(torch, training.dtype)
        # torch.tensor copies: the caller's arrays stay the caller's.
        self.X: torch.Tensor = torch.tensor(X, dtype=dtype, device=training.device)
        self.X_eval: torch.Tensor = torch.tensor(X_eval, dtype=dtype, device=training.device)
        self.codes, inverse = np.unique(y, return_inverse=True)
        self.y: torch.Tensor = torch.tensor(inverse, dtype=torch.int64, device=training.device)
        self.n_labels = len(self.codes)
        self.cancelled = Event()  # set by an interrupt: threads cannot be stopped from outside


def train_cells(
    X: NDArray[Any],
    y: NDArray[Any],
    X_eval: NDArray[Any],
    cells: Sequence[Cell],
    training: MLPTraining,
    *,
    halving: Halving | None = None,
    y_eval: NDArray[Any] | None = None,
) -> list[CellFit]:
    """Train every cell to its stopping rule and return its predictions for `X_eval`, in the order of `cells`.

    Args:
        X: (n, d) finite training vectors.
        y: (n,) label codes.
        X_eval: (n_eval, d).
        cells: what to train, without duplicates.
        training: settings of the optimiser, device and threads.
        halving: end poor cells early; needs `y_eval`.
        y_eval: (n_eval,) label codes that `halving` ranks the cells by.

    Raises:
        ValueError: duplicate cells, or `halving` without `y_eval`.
    """
    if len(set(cells)) < len(cells):
        raise ValueError(f"got {len(cells)} cells of which {len(set(cells))} differ, expected no duplicates")
    if halving is not None and y_eval is None:
        raise ValueError("got halving without y_eval, expected the labels of X_eval to rank the cells by")
    data = StackData(X, y, X_eval, training)
    stacks = _make_stacks(cells, data, training)
    with _workers(training, data.cancelled) as run:
        for epoch, n_keep in halving.rungs(len(cells)) if halving else []:
            run(stacks, min(epoch, training.max_iter))
            _keep_best(stacks, n_keep, y_eval)
        run(stacks, training.max_iter)
    fits = {cell: fit for stack in stacks for cell, fit in stack.fits.items()}
    return [fits[cell] for cell in cells]


def _make_stacks(cells: Sequence[Cell], data: StackData, training: MLPTraining) -> list[CellStack]:
    """Group the cells by size and seed and cut each group into stacks that fit the cache."""
    stacks = []
    ordered = sorted(cells, key=lambda cell: (cell.hidden, cell.seed, cell.alpha))
    for (hidden, _), group in groupby(ordered, key=lambda cell: (cell.hidden, cell.seed)):
        members = list(group)
        h, g = hidden
        n_parameters = data.X.shape[1] * h + h * g + g * data.n_labels
        fit_cache = max(1, min(STACK_CELLS, STACK_PARAMETERS // n_parameters))
        size = fit_cache if training.device == "cpu" else len(members)
        stacks += [CellStack(members[start : start + size], data, training) for start in range(0, len(members), size)]
    return stacks


def _keep_best(stacks: Sequence[CellStack], n_keep: int, y_eval: Any) -> None:
    """Drop the running cells that are not among the `n_keep` most accurate of all cells not dropped yet."""
    accuracy: dict[Cell, float] = {}
    for stack in stacks:
        done = {cell: fit.predicted for cell, fit in stack.fits.items() if fit.status != "dropped"}
        now = dict(zip(stack.running, stack.predictions(), strict=True)) if stack.running else {}
        accuracy |= {cell: float((codes == y_eval).mean()) for cell, codes in (done | now).items()}
    ranked = sorted(accuracy, key=lambda cell: (-accuracy[cell], cell.hidden, cell.alpha, cell.seed))
    for stack in stacks:
        stack.drop(set(ranked[n_keep:]))


@contextmanager
def _workers(training: MLPTraining, cancelled: Event) -> Iterator[Callable[[Sequence[CellStack], int], None]]:
    """Yield run(stacks, until), which advances them, the most expensive first, one torch thread in each worker thread.

    torch's own thread count is set to 1 meanwhile and put back: a product's last bits depend on it.
    """
    import torch
    from joblib import cpu_count

    before = torch.get_num_threads()
    n_threads = cpu_count() if training.n_jobs == -1 else training.n_jobs
    torch.set_num_threads(1)
    try:
        # Flushing tiny numbers to zero holds for the worker threads only; moments of dead units get that small.
        with ThreadPoolExecutor(n_threads, initializer=torch.set_flush_denormal, initargs=(True,)) as pool:

            def run(stacks: Sequence[CellStack], until: int) -> None:
                costliest_first = sorted(stacks, key=lambda stack: -stack.cost)
                list(pool.map(lambda stack: stack.advance(until), costliest_first))

            try:
                yield run
            except BaseException:
                cancelled.set()  # leaving the pool waits for its threads, so let them end with their epoch
                raise
    finally:
        torch.set_num_threads(before)
