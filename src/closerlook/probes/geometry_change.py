"""Every measure of a space and of its change since the first snapshot, each with its control."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from closerlook import measures as m
from closerlook.geometry.change_report import geometry_report
from closerlook.geometry.labelled_space import Head
from closerlook.geometry.space_report import space_report
from closerlook.geometry.train_test_draws import OverDraws, train_test_similarity
from closerlook.probes.classifier import read_train_test
from closerlook.probes.label_distances import label_distances
from closerlook.probes.space_probe import TRAIN_TEST, Finding, OneSpaceProbe, Scope, TrainTestProbe, measure_row, where
from closerlook.representations.format import TunedHead
from closerlook.representations.reader import SnapshotReader
from closerlook.results.rows import ResultRow, defined
from closerlook.results.store import CellKey


@dataclass(frozen=True)
class GeometryAnalysis(OneSpaceProbe):
    """CKA, RSA, Procrustes, kNN and label overlap, neural collapse, spectrum, ...: see ``closerlook.geometry``.

    NC3 and NC4 are of the tuned head, at the layer that it reads, where the snapshot holds one.

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
    version: ClassVar[int] = 3

    def _inputs(self, reader: SnapshotReader, step: int, split: str, layer: int, scope: Scope) -> tuple[str, ...]:
        first = scope.steps[0]
        return reader.checksum(step, split, layer), *(
            [reader.checksum(first, split, layer)] if reader.has(first, layer) else []
        )

    def compute(self, reader: SnapshotReader, key: CellKey, scope: Scope) -> Sequence[Finding]:
        """Measures of one space, and of its change unless it is the first."""
        at = where(reader, key)
        _, layer, split, step = at.place
        X, y = reader.vectors(step or 0, split, layer), reader.labels(split)
        head = _head_of(reader.head(step or 0), layer, y)
        first = scope.steps[0]
        if step == first or not reader.has(first, layer):
            report = space_report(X, y, head=head, max_points=self.max_points, k=self.k, random_state=self.random_state)
        else:
            report = geometry_report(
                reader.vectors(first, split, layer),
                X,
                y,
                head=head,
                max_points=self.max_points,
                k=self.k,
                n_permutations=self.n_permutations,
                n_bootstrap=self.n_bootstrap,
                random_state=self.random_state,
                apart=reader.apart(first, step or 0, split, layer),
            )
        return [measure_row(at, measure, found) for measure, found in report.items()]


def _head_of(stored: TunedHead | None, layer: int, y: np.ndarray) -> Head | None:
    """The tuned head, if it reads this layer and knows these labels; its rows in sorted order of the labels."""
    labels = np.unique(y)
    if stored is None or stored.layer != layer or not np.isin(labels, stored.classes).all():
        return None
    order = np.argsort(stored.classes)
    rows = order[np.searchsorted(stored.classes[order], labels)]
    return Head(stored.weights[rows].astype(np.float64), stored.bias[rows].astype(np.float64))


@dataclass(frozen=True)
class TrainTestAnalysis(TrainTestProbe):
    """Train-test similarity of label distances at equal sizes, beside the split-half ceiling.

    Attributes:
        n_draws: Draws of equally many points per label.
        random_state: Seed of the draws.
    """

    n_draws: int = 5
    random_state: int = 0
    name: str = "train_test"
    version: ClassVar[int] = 3

    def compute(self, reader: SnapshotReader, key: CellKey, scope: Scope) -> Sequence[Finding]:
        """The size-matched similarity, its ceiling and the gap."""
        found = train_test_similarity(
            *read_train_test(reader, key),
            lambda X, y: label_distances(X, y, max_clusters=500).distances,
            n_draws=self.n_draws,
            random_state=self.random_state,
        )
        at = where(reader, key).of(TRAIN_TEST)
        size = f"{found.n_points} points of {found.n_labels} labels in each of {found.n_draws} draws"
        note = "; ".join(filter(None, (found.reason, size, "interval: where a further draw lies")))

        def row(measure: str, over: OverDraws, control: float) -> ResultRow:
            return ResultRow(
                *at,
                measure,
                value=defined(over.value),
                low=defined(over.low),
                high=defined(over.high),
                n=found.n_draws,
                control=defined(control),
                note=note,
            )

        return [
            row(m.MATCHED_SIMILARITY, found.matched, found.ceiling.value),
            row(m.SPLIT_HALF_CEILING, found.ceiling, math.nan),
            row(m.TRAIN_TEST_GAP, found.gap, 0.0),
        ]
