"""Results of the perceptron probes: the final fits, and what the selection among the grid's cells saw."""

from __future__ import annotations

from dataclasses import dataclass

from closerlook.probing.classifier_result import ClassifierResult


@dataclass(frozen=True)
class MLPResult:
    """One setting of the perceptron, trained from several initialisations on all training data."""

    hidden: tuple[int, int]
    """Units of the two hidden layers."""
    alpha: float
    """L2 weight."""
    accuracy: float
    """Mean test accuracy over the initialisations, in [0, 1]."""
    accuracy_std: float
    """Standard deviation of it over the initialisations (n - 1 in the denominator); NaN for one."""
    macro_f1: float
    """Mean macro-F1 over the initialisations, in [0, 1]."""
    majority_accuracy: float
    """Test accuracy of the commonest training label."""
    converged: bool
    """Whether every initialisation met the stopping rule before `max_iter`."""
    runs: tuple[ClassifierResult, ...]
    """The fits, one a seed: `random_state`, `random_state` + 1, ..."""


@dataclass(frozen=True)
class GridCell:
    """One cell of the grid: what the selection saw."""

    hidden: tuple[int, int]
    """Units of the two hidden layers."""
    alpha: float
    """L2 weight."""
    heldout_accuracy: float
    """Accuracy on the held-out training examples when the cell ended, in [0, 1]."""
    n_iter: int
    """Epochs trained."""
    status: str
    """"converged", "max_iter", "diverged" or "dropped"; the last two cannot be selected."""


@dataclass(frozen=True)
class MLPGridResult:
    """The grid search and the final fits of its best setting."""

    best: MLPResult
    """The selected setting, refitted on all training data and scored on the test set."""
    heldout_accuracy: float
    """Held-out accuracy of the selected cell, in [0, 1]: a maximum over cells, so too high as an estimate."""
    n_fit: int
    """Training examples that the cells were trained on."""
    n_heldout: int
    """Training examples that the selection was made on; never test examples."""
    n_not_converged: int
    """Cells that reached `max_iter` or diverged."""
    search: str
    """"full" or "halving"."""
    cells: tuple[GridCell, ...]
    """Every cell of the grid."""
