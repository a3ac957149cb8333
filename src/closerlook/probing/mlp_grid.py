"""The classifier probe of the paper: a two-layer perceptron, its grid, and five initialisations.

Source: arXiv 2106.14282, section 3 (see also 2104.05904, section 5): layer sizes {32, 64, 128, 256} squared,
L2 weights 1e-7 ... 1e0, ReLU, Adam, at most 1000 iterations, the best setting from 5 initialisations.
The paper does not say what "best" is measured on; here it is a held-out part of the *training* data, so the
test set is read once, by the five final fits. Vectors are not standardised by default, as in the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from closerlook.probing.classifier_probe import prepare
from closerlook.probing.classifier_result import ClassifierResult, ProbeData, score_predictions
from closerlook.probing.mlp_result import GridCell, MLPGridResult, MLPResult
from closerlook.probing.mlp_settings import Cell, CellFit, Halving, MLPTraining
from closerlook.probing.mlp_training import train_cells

PAPER_UNITS = (32, 64, 128, 256)
PAPER_ALPHAS = tuple(10.0**exponent for exponent in range(-7, 1))


def mlp_probe(
    X_train: ArrayLike,
    y_train: ArrayLike,
    X_test: ArrayLike,
    y_test: ArrayLike,
    *,
    hidden: tuple[int, int] = (128, 128),
    alpha: float = 1e-4,
    n_seeds: int = 5,
    random_state: int = 0,
    standardize: bool = False,
    training: MLPTraining | None = None,
) -> MLPResult:
    """Train one setting of the two-layer perceptron from `n_seeds` initialisations.

    Args:
        X_train: (n_train, n_features) finite.
        y_train: (n_train,) strings or integers, at least two labels.
        X_test: (n_test, n_features) finite.
        y_test: (n_test,); labels that training never shows count as errors and are reported.
        hidden: units of the two hidden layers.
        alpha: L2 weight, scikit-learn's meaning (divided by the size of the minibatch).
        n_seeds: initialisations, at least 1.
        random_state: seed of the first one, 0 or more.
        standardize: centre and scale by training statistics (the paper does not).
        training: optimiser, device and threads; default `MLPTraining()`.

    Raises:
        ValueError: shapes, NaN, empty input or labels (`check_probe_data`); n_seeds, hidden or alpha out of range.
        RuntimeError: the training loss of a fit is not finite.
    """
    data = prepare(X_train, y_train, X_test, y_test, standardize=standardize)
    _check_grid([hidden], [alpha], n_seeds, random_state)
    return _fit_seeds(data, hidden, alpha, range(random_state, random_state + n_seeds), training)


def mlp_grid(
    X_train: ArrayLike,
    y_train: ArrayLike,
    X_test: ArrayLike,
    y_test: ArrayLike,
    *,
    units: Sequence[int] = PAPER_UNITS,
    alphas: Sequence[float] = PAPER_ALPHAS,
    heldout_fraction: float = 0.2,
    n_seeds: int = 5,
    random_state: int = 0,
    standardize: bool = False,
    halving: Halving | None = None,
    training: MLPTraining | None = None,
) -> MLPGridResult:
    """Select size and L2 weight on held-out training data, then refit the best from `n_seeds` seeds.

    Nested: the cells are trained on 1 - `heldout_fraction` of the training set and ranked on the rest; the
    best (ties: fewest weights, then largest L2 weight) is trained again on the whole training set.

    Args:
        X_train: (n_train, n_features) finite.
        y_train: (n_train,) strings or integers, at least two labels.
        X_test: (n_test, n_features) finite.
        y_test: (n_test,); labels that training never shows count as errors and are reported.
        units: sizes tried for each of the two layers: len(units) ** 2 sizes.
        alphas: L2 weights tried.
        heldout_fraction: share of the training set for the selection, in (0, 1); proportional over labels.
        n_seeds: initialisations of the final fit, at least 1.
        random_state: seed of the split, of every cell, and first seed of the final fits; 0 or more.
        standardize: centre and scale by training statistics (the paper does not).
        halving: end poor cells early instead of training all to the end; a deviation from the paper that
            buys time (see `Halving`). None, the default, is the paper's full grid.
        training: optimiser, device and threads; default `MLPTraining()`.

    Raises:
        ValueError: shapes, NaN, empty input or labels (`check_probe_data`); a setting out of range; a training
            set too small to hold examples out.
        RuntimeError: no cell trained to a finite loss.
    """
    data = prepare(X_train, y_train, X_test, y_test, standardize=standardize)
    sizes = [(first, second) for first in units for second in units]
    _check_grid(sizes, alphas, n_seeds, random_state)
    fit, held = heldout_split(data.y_train, heldout_fraction, random_state)
    fits = train_cells(
        data.X_train[fit],
        data.y_train[fit],
        data.X_train[held],
        [Cell(size, alpha, random_state) for size in sizes for alpha in alphas],
        training or MLPTraining(),
        halving=halving,
        y_eval=data.y_train[held],
    )
    cells = tuple(_grid_cell(one, data.y_train[held]) for one in fits)
    best = _select(cells, data.X_train.shape[1], data.n_train_labels)
    seeds = range(random_state, random_state + n_seeds)
    return MLPGridResult(
        best=_fit_seeds(data, best.hidden, best.alpha, seeds, training),
        heldout_accuracy=best.heldout_accuracy,
        n_fit=len(fit),
        n_heldout=len(held),
        n_not_converged=sum(cell.status in ("max_iter", "diverged") for cell in cells),
        search="halving" if halving else "full",
        cells=cells,
    )


def heldout_split(y: NDArray[Any], fraction: float, random_state: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Split row numbers into (kept, held out), proportionally over the labels.

    Rows are shuffled within each label and every 1/fraction-th row of that list is held out, so that rare
    labels are held out as often as common ones; a label with one example may be missing from either part.

    Args:
        y: (n,) label codes.
        fraction: share to hold out, in (0, 1).
        random_state: seed.

    Raises:
        ValueError: fraction out of range, or a part that would be empty or hold one label only.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"got a held-out fraction of {fraction}, expected one between 0 and 1")
    rng = np.random.default_rng(random_state)
    by_label = np.lexsort((rng.random(len(y)), y))
    marks = np.floor(np.arange(len(y) + 1) * fraction + rng.random())
    held, kept = np.sort(by_label[np.diff(marks) > 0]), np.sort(by_label[np.diff(marks) == 0])
    if len(held) == 0 or len(np.unique(y[kept])) < 2:
        raise ValueError(
            f"{len(y)} training examples leave {len(kept)} to train on and {len(held)} held out, expected two "
            "labels in the first and an example in the second; use mlp_probe with a fixed setting"
        )
    return kept, held


def _check_grid(sizes: Sequence[tuple[int, int]], alphas: Sequence[float], n_seeds: int, random_state: int) -> None:
    """Raise ValueError for a setting out of range."""
    if not sizes or not alphas or min(min(size) for size in sizes) < 1 or min(alphas) < 0:
        raise ValueError(
            f"got layer sizes {list(sizes)} and L2 weights {list(alphas)}, expected sizes of at least 1 and "
            "weights of at least 0, one of each or more"
        )
    if n_seeds < 1 or random_state < 0:
        raise ValueError(f"got n_seeds={n_seeds} and random_state={random_state}, expected at least 1 and at least 0")


def _grid_cell(fit: CellFit, y_heldout: NDArray[Any]) -> GridCell:
    """Score one trained cell on the held-out labels; a diverged one scores NaN."""
    accuracy = float("nan") if fit.status == "diverged" else float((fit.predicted == y_heldout).mean())
    return GridCell(fit.cell.hidden, fit.cell.alpha, accuracy, fit.n_iter, fit.status)


def _select(cells: Sequence[GridCell], n_features: int, n_labels: int) -> GridCell:
    """Return the most accurate cell; ties go to the fewest weights, then to the largest L2 weight."""
    candidates = [cell for cell in cells if cell.status in ("converged", "max_iter")]
    if not candidates:
        raise RuntimeError(
            f"none of the {len(cells)} cells has a finite training loss; standardise the vectors "
            "(standardize=True) or lower the learning rate"
        )

    def rank(cell: GridCell) -> tuple[float, int, float]:
        h, g = cell.hidden
        return (-cell.heldout_accuracy, n_features * h + h * g + g * n_labels, -cell.alpha)

    return min(candidates, key=rank)


def _fit_seeds(
    data: ProbeData,
    hidden: tuple[int, int],
    alpha: float,
    seeds: range,
    training: MLPTraining | None,
) -> MLPResult:
    """Train one setting on all training data from each seed and score it on the test set."""
    training = training or MLPTraining()
    cells = [Cell(hidden, alpha, seed) for seed in seeds]
    fits = train_cells(data.X_train, data.y_train, data.X_test, cells, training)
    failed = [fit.cell.seed for fit in fits if fit.status == "diverged"]
    if failed:
        raise RuntimeError(
            f"the training loss of hidden={hidden}, alpha={alpha} is not finite for seeds {failed}; "
            "standardise the vectors (standardize=True) or lower the learning rate"
        )
    runs = tuple(_score(data, fit) for fit in fits)
    accuracies = np.array([run.accuracy for run in runs])
    return MLPResult(
        hidden=hidden,
        alpha=alpha,
        accuracy=float(accuracies.mean()),
        accuracy_std=float(accuracies.std(ddof=1)) if len(runs) > 1 else float("nan"),
        macro_f1=float(np.mean([run.macro_f1 for run in runs])),
        majority_accuracy=runs[0].majority_accuracy,
        converged=all(run.converged for run in runs),
        runs=runs,
    )


def _score(data: ProbeData, fit: CellFit) -> ClassifierResult:
    """Turn one final fit into a `ClassifierResult`."""
    converged = fit.status == "converged"
    open_end = "" if converged else f"; loss still falling after {fit.n_iter} epochs"
    return score_predictions(
        data,
        fit.predicted,
        converged=converged,
        n_iter=fit.n_iter,
        setting=f"hidden {fit.cell.hidden}, alpha {fit.cell.alpha:g}, seed {fit.cell.seed}{open_end}",
    )
