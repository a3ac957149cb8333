"""Every measure of a space and of its change since the first snapshot, each with its control."""

from __future__ import annotations

import math
from dataclasses import dataclass

from closerlook import measures as m
from closerlook.probes.classifier import place, read_train_test, train_test_cells
from closerlook.probes.label_distances import label_distances
from closerlook.probes.space_probe import TRAIN_TEST, Scope, per_space_cells
from closerlook.representations.reader import SnapshotReader
from closerlook.results.rows import ResultRow, defined
from closerlook.results.store import CellKey

_VERSION = 2


@dataclass(frozen=True)
class GeometryAnalysis:
    """CKA, RSA, Procrustes, kNN and label overlap, neural collapse, spectrum, ...: see ``closerlook.geometry``.

    Attributes:
        max_points: Query points of the measures that would grow with the square of the examples.
        k: Neighbours.
        n_permutations: Mantel permutations.
        n_bootstrap: Draws of labels for intervals.
        random_state: Seed of subsamples, permutations and draws.
    """

    max_points: int = 1000
    k: int = 10
    n_permutations: int = 199
    n_bootstrap: int = 200
    random_state: int = 0
    name: str = "geometry"

    def cells(self, reader: SnapshotReader, scope: Scope) -> list[CellKey]:
        """One cell per snapshot, layer and split."""
        return [
            cell
            for layer in scope.layers
            for split in scope.splits
            for cell in per_space_cells(
                self, _VERSION, reader, Scope(scope.steps, (layer,), (split,)),
                extra=[reader.checksum(scope.steps[0], split, layer)],
            )
        ]  # fmt: skip

    def compute(self, reader: SnapshotReader, cell: CellKey, scope: Scope) -> list[ResultRow]:
        """Measures of one space, and of its change unless it is the first."""
        from closerlook.geometry.summary import geometry_report, space_report

        X, y = reader.vectors(int(cell.step or 0), cell.split, cell.layer), reader.labels(cell.split)
        if cell.step == scope.steps[0]:
            report = space_report(X, y, max_points=self.max_points, k=self.k, random_state=self.random_state)
        else:
            first = reader.vectors(scope.steps[0], cell.split, cell.layer)
            report = geometry_report(
                first, X, y, max_points=self.max_points, k=self.k, n_permutations=self.n_permutations,
                n_bootstrap=self.n_bootstrap, random_state=self.random_state,
            )  # fmt: skip
        rows = []
        for measure, found in report.items():
            p = "" if math.isnan(found.p_value) else f"p = {found.p_value:.3g}"
            control = f"control: {found.control_name}" if found.control_name else ""
            note = "; ".join(filter(None, (found.reason, p, control, found.note)))
            rows.append(
                ResultRow(
                    self.name, measure, *place(reader, cell), value=defined(found.value), low=defined(found.low),
                    high=defined(found.high), n=found.n or None, control=defined(found.control), note=note,
                )
            )  # fmt: skip
        return rows


@dataclass(frozen=True)
class TrainTestAnalysis:
    """Train-test similarity of label distances at equal sizes, beside the split-half ceiling.

    Attributes:
        n_draws: Draws of equally many points per label.
        random_state: Seed of the draws.
    """

    n_draws: int = 5
    random_state: int = 0
    name: str = "train_test"

    def cells(self, reader: SnapshotReader, scope: Scope) -> list[CellKey]:
        """One cell per snapshot and layer; none unless train and test are both looked at."""
        return train_test_cells(self, reader, scope)

    def compute(self, reader: SnapshotReader, cell: CellKey, scope: Scope) -> list[ResultRow]:
        """The paper's figure, the size-matched one, the ceiling and the gap."""
        from closerlook.geometry.train_test import train_test_similarity

        found = train_test_similarity(
            *read_train_test(reader, cell),
            lambda X, y: label_distances(X, y, max_clusters=500).distances,
            n_draws=self.n_draws,
            random_state=self.random_state,
        )
        step, epoch, layer, _ = place(reader, cell)
        where = (step, epoch, layer, TRAIN_TEST)
        size = f"{found.n_points} points of {found.n_labels} labels in each of {found.n_draws} draws"
        note = "; ".join(filter(None, (found.reason, size)))
        values = (
            (m.MATCHED_SIMILARITY, found.matched, found.matched_low, found.matched_high, found.ceiling),
            (m.SPLIT_HALF_CEILING, found.ceiling, found.ceiling_low, found.ceiling_high, math.nan),
            (m.TRAIN_TEST_GAP, found.gap, found.gap_low, found.gap_high, 0.0),
        )
        return [
            ResultRow(
                self.name, measure, *where, value=defined(value), low=defined(low), high=defined(high),
                n=found.n_draws, control=defined(control), note=note,
            )
            for measure, value, low, high, control in values
        ]  # fmt: skip
