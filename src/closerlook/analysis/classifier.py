"""A quick linear classifier on frozen vectors: trained on train, measured on test."""

from __future__ import annotations

from dataclasses import dataclass

from closerlook.analysis.space_probe import Scope, digest
from closerlook.probing.classifier_probe import linear_probe, majority_baseline
from closerlook.representations.reader import SnapshotReader
from closerlook.results import measures as m
from closerlook.results.rows import ResultRow
from closerlook.results.store import CellKey

_VERSION = 1


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
        if not {"train", "test"} <= set(scope.splits):
            return []
        return [
            CellKey(self.name, layer, "test", step, digest(self, _VERSION, *_inputs(reader, step, layer)))
            for layer in scope.layers
            for step in scope.steps
        ]

    def compute(self, reader: SnapshotReader, cell: CellKey, scope: Scope) -> list[ResultRow]:
        """Accuracy and macro-F1 of one layer of one snapshot."""
        assert cell.step is not None  # noqa: S101 - by construction of cells()
        train = reader.vectors(cell.step, "train", cell.layer), reader.labels("train")
        test = reader.vectors(cell.step, "test", cell.layer), reader.labels("test")
        found = linear_probe(*train, *test, C=self.C, standardize=self.standardize, max_iter=self.max_iter)
        majority = majority_baseline(train[1], test[1])
        where = (cell.step, reader.epoch(cell.step), cell.layer, "test")
        note = "" if found.converged else f"not converged after {self.max_iter} iterations"
        n = len(test[1])
        return [
            ResultRow(self.name, m.ACCURACY, *where, value=found.accuracy, n=n, control=majority.accuracy, note=note),
            ResultRow(self.name, m.MACRO_F1, *where, value=found.macro_f1, n=n, note=note),
            ResultRow(self.name, m.MAJORITY_ACCURACY, *where, value=majority.accuracy, n=n),
        ]


def _inputs(reader: SnapshotReader, step: int, layer: int) -> tuple[str, str]:
    return reader.checksum(step, "train", layer), reader.checksum(step, "test", layer)
