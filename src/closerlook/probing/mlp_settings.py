"""How the perceptrons are trained, what a cell of the grid is, and how its training ended."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class MLPTraining:
    """How each cell is trained; the defaults are `MLPClassifier`'s, with the paper's 1000 iterations."""

    max_iter: int = 1000
    """Most epochs of one cell."""
    batch_size: int = 200
    """Examples per minibatch; at most the size of the training set."""
    learning_rate: float = 1e-3
    """Adam's step size, constant."""
    tol: float = 1e-4
    """Training loss has to fall by this much to count as an improvement."""
    n_iter_no_change: int = 10
    """A cell stops after more than this many epochs without improvement."""
    dtype: str = "float32"
    """"float32" or "float64"."""
    device: str = "cpu"
    """torch device; on another one than "cpu" set n_jobs=1 and expect results equal within rounding only."""
    n_jobs: int = 1
    """Threads; -1 takes every core. Results do not depend on it."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: a count or step that is not positive, n_jobs of 0, an unknown dtype.
        """
        positive = ("max_iter", "batch_size", "learning_rate", "n_iter_no_change")
        wrong = {name: getattr(self, name) for name in positive if getattr(self, name) <= 0}
        if wrong or self.tol < 0:
            raise ValueError(f"got {wrong or {'tol': self.tol}}, expected numbers above 0 (tol: 0 or more)")
        if self.n_jobs == 0 or self.n_jobs < -1:
            raise ValueError(f"got n_jobs={self.n_jobs}, expected a number of threads or -1 for every core")
        if self.dtype not in ("float32", "float64"):
            raise ValueError(f"got dtype={self.dtype!r}, expected 'float32' or 'float64'")


@dataclass(frozen=True)
class Cell:
    """One network to train."""

    hidden: tuple[int, int]
    """Units of the first and the second hidden layer."""
    alpha: float
    """L2 weight."""
    seed: int
    """`random_state` of the initial weights and of the shuffling."""


@dataclass(frozen=True)
class CellFit:
    """How the training of one cell ended."""

    cell: Cell
    """What was trained."""
    predicted: NDArray[np.int64]
    """(n_eval,) label codes predicted for the evaluation vectors when the cell ended."""
    n_iter: int
    """Epochs."""
    loss: float
    """Training loss of the last epoch."""
    status: str
    """"converged", "max_iter", "diverged" (loss not finite) or "dropped" (by successive halving)."""


@dataclass(frozen=True)
class Halving:
    """Successive halving (Jamieson & Talwalkar 2016, 1502.07943) over epochs, not in the paper.

    After `min_epochs` epochs the best 1/`factor` of the cells by accuracy on the evaluation set go on, after
    `factor` times as many epochs the best 1/`factor` of those, until `min_cells` are left, which train to their end.
    How good a cell is after few epochs says little about its end, so a small grid is hardly thinned out.
    """

    factor: int = 4
    """Every rung keeps one cell in so many, at least 2."""
    min_epochs: int = 5
    """Epochs of the first rung."""
    min_cells: int = 8
    """Cells that are always trained to their end."""

    def rungs(self, n_cells: int) -> list[tuple[int, int]]:
        """Return (epoch, cells that go on after it), first rung first.

        Raises:
            ValueError: factor below 2, min_epochs or min_cells below 1.
        """
        if self.factor < 2 or self.min_epochs < 1 or self.min_cells < 1:
            raise ValueError(f"got {self}, expected factor of at least 2, min_epochs and min_cells of at least 1")
        out, epochs = [], self.min_epochs
        while n_cells > self.min_cells:
            n_cells = max(self.min_cells, math.ceil(n_cells / self.factor))
            out.append((epochs, n_cells))
            epochs *= self.factor
        return out
