"""Classifier probes on frozen vectors: trained on train, measured on test."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from closerlook import measures as m
from closerlook.probes.space_probe import Scope, digest
from closerlook.probing.classifier_probe import linear_probe, majority_baseline
from closerlook.probing.classifier_result import ClassifierResult
from closerlook.representations.reader import SnapshotReader
from closerlook.results.rows import ResultRow
from closerlook.results.store import CellKey

_VERSION = 2
_Z95 = 1.959963984540054
Vectors = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Training vectors and labels, test vectors and labels."""


@dataclass(frozen=True)
class LinearClassifierAnalysis:
    """Multinomial logistic regression; one cell per snapshot and layer, measured on the test split.

    Attributes:
        C: Inverse L2 weight.
        standardize: Centre and scale by the training split's statistics.
        max_iter: L-BFGS iterations.
    """

    C: float = 1.0
    standardize: bool = True
    max_iter: int = 1000
    name: str = "linear"

    def cells(self, reader: SnapshotReader, scope: Scope) -> list[CellKey]:
        """One cell per snapshot and layer; none unless train and test are both looked at."""
        return train_test_cells(self, reader, scope)

    def compute(self, reader: SnapshotReader, cell: CellKey, scope: Scope) -> list[ResultRow]:
        """Accuracy, macro-F1 and confusion counts of one layer of one snapshot."""
        data = read_train_test(reader, cell)
        found = linear_probe(*data, C=self.C, standardize=self.standardize, max_iter=self.max_iter)
        note = "" if found.converged else f"not converged after {self.max_iter} iterations"
        return [
            *score_rows(self.name, place(reader, cell), found.accuracy, found.macro_f1, data, note),
            *confusion_rows(self.name, place(reader, cell), found),
        ]


@dataclass(frozen=True)
class MLPAnalysis:
    """The paper's two-layer perceptron: one setting, or the best of its grid, from several initialisations.

    Attributes:
        grid: Select size and L2 weight on held-out training data; otherwise ``hidden`` and ``alpha`` are used.
        hidden: Units of the two layers, when there is no grid.
        alpha: L2 weight, when there is no grid.
        units: Sizes tried for each layer.
        alphas: L2 weights tried.
        heldout_fraction: Share of the training data that the selection is made on.
        n_seeds: Initialisations of the final fits.
        max_iter: Most epochs of a fit.
        halving: End poor cells of the grid early; a deviation from the paper that buys time.
        halving_factor: One cell in so many goes on at each rung.
        halving_epochs: Epochs of the first rung.
        device: torch device.
        random_state: Seed.
    """

    grid: bool = False
    hidden: tuple[int, int] = (128, 128)
    alpha: float = 1e-4
    units: tuple[int, ...] = (32, 64, 128, 256)
    alphas: tuple[float, ...] = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    heldout_fraction: float = 0.2
    n_seeds: int = 5
    max_iter: int = 1000
    halving: bool = False
    halving_factor: int = 4
    halving_epochs: int = 5
    device: str = "cpu"
    random_state: int = 0
    name: str = "mlp"

    def cells(self, reader: SnapshotReader, scope: Scope) -> list[CellKey]:
        """One cell per snapshot and layer; none unless train and test are both looked at."""
        return train_test_cells(self, reader, scope)

    def compute(self, reader: SnapshotReader, cell: CellKey, scope: Scope) -> list[ResultRow]:
        """Mean accuracy over the initialisations, with its standard deviation."""
        data = read_train_test(reader, cell)
        best, note = self._fit(data)
        spread = 0.0 if math.isnan(best.accuracy_std) else best.accuracy_std
        where = place(reader, cell)
        rows = score_rows(self.name, where, best.accuracy, best.macro_f1, data, note, interval=_seed_interval(best))
        rows.append(
            ResultRow(self.name, m.ACCURACY_STD, *where, value=spread, n=self.n_seeds, note="over initialisations")
        )
        return rows

    def _fit(self, data: Vectors) -> tuple[Any, str]:
        from closerlook.probing.mlp_grid import mlp_grid, mlp_probe
        from closerlook.probing.mlp_settings import Halving, MLPTraining

        training = MLPTraining(max_iter=self.max_iter, device=self.device)
        if not self.grid:
            best = mlp_probe(
                *data, hidden=(self.hidden[0], self.hidden[1]), alpha=self.alpha, n_seeds=self.n_seeds,
                random_state=self.random_state,
                training=training,
            )  # fmt: skip
            return best, f"hidden {best.hidden}, alpha {best.alpha:g}"
        halving = Halving(self.halving_factor, self.halving_epochs) if self.halving else None
        found = mlp_grid(
            *data, units=self.units, alphas=self.alphas, heldout_fraction=self.heldout_fraction, n_seeds=self.n_seeds,
            random_state=self.random_state, halving=halving, training=training,
        )  # fmt: skip
        n_cells = f"{len(found.cells)} cells ({found.search} search)"
        note = f"hidden {found.best.hidden}, alpha {found.best.alpha:g}, best of {n_cells} on held-out training data"
        return found.best, note if not found.n_not_converged else f"{note}; {found.n_not_converged} cells not converged"


@dataclass(frozen=True)
class SelectivityAnalysis:
    """Accuracy on the task less accuracy on control tasks with random labels by word type (Hewitt & Liang 2019).

    Attributes:
        n_controls: Control tasks.
        C: Inverse L2 weight of the linear probe.
        random_state: Seed of the control labels.
    """

    n_controls: int = 3
    C: float = 1.0
    random_state: int = 0
    name: str = "selectivity"

    def cells(self, reader: SnapshotReader, scope: Scope) -> list[CellKey]:
        """One cell per snapshot and layer."""
        return train_test_cells(self, reader, scope)

    def compute(self, reader: SnapshotReader, cell: CellKey, scope: Scope) -> list[ResultRow]:
        """Selectivity of one layer; the control labels go by the lower-cased form of an example."""
        from closerlook.probing.control_task import selectivity

        X, y, X_test, y_test = read_train_test(reader, cell)
        forms = [reader.examples(split).form.str.lower().tolist() for split in ("train", "test")]
        found = selectivity(
            X,
            y,
            forms[0],
            X_test,
            y_test,
            forms[1],
            n_controls=self.n_controls,
            random_state=self.random_state,
            C=self.C,
        )
        note = f"{found.seen_type_share:.0%} of the test types occur in training; control: mean control accuracy"
        where = place(reader, cell)
        return [
            ResultRow(
                self.name, m.SELECTIVITY, *where, value=found.selectivity, n=self.n_controls,
                control=found.control_accuracy, note=note,
            )
        ]  # fmt: skip


@dataclass(frozen=True)
class OnlineCodeAnalysis:
    """Bits needed to send the labels given the vectors (Voita & Titov 2020), with a linear probe.

    Attributes:
        n_shuffles: Orders of the data.
        random_state: Seed of the orders.
    """

    n_shuffles: int = 3
    random_state: int = 0
    name: str = "online_code"

    def cells(self, reader: SnapshotReader, scope: Scope) -> list[CellKey]:
        """One cell per snapshot and layer."""
        return train_test_cells(self, reader, scope)

    def compute(self, reader: SnapshotReader, cell: CellKey, scope: Scope) -> list[ResultRow]:
        """Code length per example and compression of one layer, on the training split."""
        from closerlook.probing.online_code import online_code_length

        X, y, _, _ = read_train_test(reader, cell)
        found = online_code_length(X, y, n_shuffles=self.n_shuffles, random_state=self.random_state)
        step, epoch, layer, _ = place(reader, cell)
        where, uniform = (step, epoch, layer, "train"), found.uniform_bits / len(y)
        note = f"{found.n_not_converged} fits not converged" if found.n_not_converged else ""
        return [
            ResultRow(
                self.name, m.CODE_LENGTH, *where, value=found.bits_per_example, n=len(y), control=uniform,
                note="; ".join(filter(None, ("control: uniform code", note))),
            ),
            ResultRow(self.name, m.COMPRESSION, *where, value=found.compression, n=self.n_shuffles, control=1.0),
        ]  # fmt: skip


def train_test_cells(probe: Any, reader: SnapshotReader, scope: Scope) -> list[CellKey]:
    """One cell per snapshot and layer, on the test split; none unless train and test are both looked at."""
    if not {"train", "test"} <= set(scope.splits):
        return []
    return [
        CellKey(
            probe.name, layer, "test", step,
            digest(probe, _VERSION, reader.checksum(step, "train", layer), reader.checksum(step, "test", layer)),
        )
        for layer in scope.layers
        for step in scope.steps
    ]  # fmt: skip


def read_train_test(reader: SnapshotReader, cell: CellKey) -> Vectors:
    """Vectors and labels of both splits at a cell's step and layer."""
    step = int(cell.step or 0)
    train = reader.vectors(step, "train", cell.layer), reader.labels("train")
    return (*train, reader.vectors(step, "test", cell.layer), reader.labels("test"))


def place(reader: SnapshotReader, cell: CellKey) -> tuple[int, float, int, str]:
    """Step, epoch, layer and split of a cell's rows."""
    step = int(cell.step or 0)
    return step, reader.epoch(step), cell.layer, cell.split


def score_rows(
    name: str,
    where: tuple[int, float, int, str],
    accuracy: float,
    macro_f1: float,
    data: Vectors,
    note: str,
    interval: tuple[float, float] | None = None,
) -> list[ResultRow]:
    """Accuracy with its 95 % interval and the majority baseline as its control, and macro-F1."""
    n = len(data[3])
    majority = majority_baseline(data[1], data[3]).accuracy
    low, high = interval or wilson_interval(accuracy, n)
    return [
        ResultRow(name, m.ACCURACY, *where, value=accuracy, low=low, high=high, n=n, control=majority, note=note),
        ResultRow(name, m.MACRO_F1, *where, value=macro_f1, n=n, note=note),
        ResultRow(name, m.MAJORITY_ACCURACY, *where, value=majority, n=n),
    ]


def confusion_rows(name: str, where: tuple[int, float, int, str], found: ClassifierResult) -> list[ResultRow]:
    """One row per pair of true and predicted label that occurs; rows that are missing are zero."""
    true, predicted = np.nonzero(found.confusion)
    return [
        ResultRow(name, m.CONFUSION, *where, str(found.labels[i]), str(found.labels[j]), float(found.confusion[i, j]))
        for i, j in zip(true.tolist(), predicted.tolist(), strict=True)
    ]


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of ``n`` examples (Wilson 1927); it stays inside [0, 1]."""
    z2 = _Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def _seed_interval(best: Any) -> tuple[float, float] | None:
    """Mean +- 1.96 standard errors over the initialisations; None for a single one."""
    if math.isnan(best.accuracy_std):
        return None
    half = _Z95 * best.accuracy_std / math.sqrt(len(best.runs))
    return best.accuracy - half, best.accuracy + half
