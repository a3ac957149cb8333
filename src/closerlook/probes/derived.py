"""What follows from finished cells without reading vectors: similarity of label distances, distance against error.

Similarity: Zhou & Srikumar (2022), section 4.3, the Pearson correlation of label-distance vectors, with Mantel
permutations and a bootstrap over labels, since its entries share labels. Distance and error: DirectProbe's (2021)
observation that nearly all errors fall on the closest third of the pairs, with a control.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from closerlook import measures as m
from closerlook.geometry.errors import closest_pairs_error_share, distance_error_correlation
from closerlook.geometry.similarity import spatial_similarity
from closerlook.geometry.train_test import align_label_distances
from closerlook.geometry.validation import UndefinedMeasureError
from closerlook.probes.space_probe import TRAIN_TEST, digest
from closerlook.results.rows import ResultRow, defined
from closerlook.results.store import Cell, CellKey

_VERSION = 1
Place = tuple[str, int, str, int | None]
"""Probe, layer, split, step of a cell."""
Where = tuple[int, float, int, str]
"""Step, epoch, layer, split of a row."""
Plan = tuple[CellKey, Callable[[], list[ResultRow]]]
"""A cell to derive, and what computes its rows."""


@dataclass(frozen=True)
class Similarity:
    """How alike label distances are: to the first snapshot's, and train to test.

    Attributes:
        n_permutations: Mantel permutations.
        n_bootstrap: Draws of labels for the interval.
    """

    n_permutations: int = 199
    n_bootstrap: int = 200
    name: str = "similarity"

    def plan(self, cells: Mapping[Place, Cell]) -> Iterator[Plan]:
        """One cell per DirectProbe cell, and one per snapshot and layer for train against test.

        Args:
            cells: Finished cells by place. Similarity is to the first snapshot among them.
        """
        direct = {place: cell for place, cell in cells.items() if place[0] == "direct"}
        first: dict[tuple[int, str], Cell] = {}
        for (_, layer, split, _), cell in sorted(direct.items(), key=lambda item: item[0][3] or 0):
            start = first.setdefault((layer, split), cell)
            yield self._plan(start, cell, m.SIMILARITY_TO_FIRST, layer, split)
        for (_, layer, split, step), cell in direct.items():
            test = direct.get(("direct", layer, "test", step))
            if split == "train" and test is not None:
                yield self._plan(cell, test, m.TRAIN_TEST_SIMILARITY, layer, TRAIN_TEST)

    def _plan(self, first: Cell, second: Cell, measure: str, layer: int, split: str) -> Plan:
        where = (second.rows[0].step, second.rows[0].epoch, layer, split)
        return _key(self, where, first, second), partial(self._rows, first, second, measure, where)

    def _rows(self, first: Cell, second: Cell, measure: str, where: Where) -> list[ResultRow]:
        _, A, B = align_label_distances(*_by_label(first), *_by_label(second))
        rows = [self._row(measure, where, A, B, "pearson")]
        if measure == m.SIMILARITY_TO_FIRST:
            rows.append(self._row(m.RANK_SIMILARITY, where, A, B, "spearman"))
        return rows

    def _row(self, measure: str, where: Where, A: np.ndarray, B: np.ndarray, method: str) -> ResultRow:
        found = spatial_similarity(
            A, B, method=method, n_permutations=self.n_permutations, n_bootstrap=self.n_bootstrap  # type: ignore[arg-type]
        )  # fmt: skip
        p = (
            ""
            if math.isnan(found.p_value)
            else f"Mantel p = {found.p_value:.3g} over {found.n_permutations} permutations"
        )
        return ResultRow(
            self.name, measure, *where, value=defined(found.value), low=defined(found.low), high=defined(found.high),
            n=found.n_pairs, control=defined(found.null_mean), note="; ".join(filter(None, (p, found.reason))),
        )  # fmt: skip


@dataclass(frozen=True)
class DistanceAndError:
    """Do the errors of the classifier fall on labels whose hulls are close?

    Attributes:
        classifier: The probe whose confusion counts are read.
        n_permutations: Mantel permutations.
        n_bootstrap: Draws of labels for the interval.
    """

    classifier: str = "linear"
    n_permutations: int = 199
    n_bootstrap: int = 200
    name: str = "errors"

    def plan(self, cells: Mapping[Place, Cell]) -> Iterator[Plan]:
        """One cell per snapshot and layer: training distances against test errors."""
        for (probe, layer, split, step), classifier in cells.items():
            direct = cells.get(("direct", layer, "train", step))
            if probe == self.classifier and split == "test" and direct is not None:
                where = (classifier.rows[0].step, classifier.rows[0].epoch, layer, "test")
                yield _key(self, where, direct, classifier), partial(self._rows, direct, classifier, where)

    def _rows(self, direct: Cell, classifier: Cell, where: Where) -> list[ResultRow]:
        distances, classes = _by_label(direct)
        counts = _confusion(classifier, classes)
        rows = []
        found = distance_error_correlation(
            distances, counts, n_permutations=self.n_permutations, n_bootstrap=self.n_bootstrap
        )
        p = "" if math.isnan(found.p_value) else f"Mantel p = {found.p_value:.3g}"
        rows.append(
            ResultRow(
                self.name, m.DISTANCE_ERROR_CORRELATION, *where, value=defined(found.value), low=defined(found.low),
                high=defined(found.high), n=found.n_pairs, control=defined(found.null_mean),
                note="; ".join(filter(None, (p, found.reason))),
            )
        )  # fmt: skip
        try:
            share = closest_pairs_error_share(distances, counts)
        except UndefinedMeasureError as error:
            return [*rows, ResultRow(self.name, m.CLOSEST_THIRD_ERRORS, *where, note=str(error))]
        note = f"{share.n_errors} errors; control: errors spread by label frequency"
        rows.append(
            ResultRow(
                self.name, m.CLOSEST_THIRD_ERRORS, *where, value=defined(share.value), n=share.n_pairs,
                control=defined(share.control), note=note,
            )
        )  # fmt: skip
        return rows


def plan_derived(cells: Iterable[Cell]) -> list[Plan]:
    """Every derived cell of these finished ones: its key, and what computes its rows."""
    by_place = {(c.key.probe, c.key.layer, c.key.split, c.key.step): c for c in cells}
    return [plan for probe in (Similarity(), DistanceAndError()) for plan in probe.plan(by_place)]


def _key(probe: Similarity | DistanceAndError, where: Where, *inputs: Cell) -> CellKey:
    key = digest(probe, _VERSION, *(cell.key.digest for cell in inputs))
    return CellKey(probe.name, where[2], where[3], where[0], key)


def _by_label(cell: Cell) -> tuple[np.ndarray, np.ndarray]:
    """``((n_classes, n_classes) distances, (n_classes,) sorted labels)`` of a DirectProbe cell."""
    pairs = [row for row in cell.rows if row.measure == m.LABEL_DISTANCE]
    classes = np.unique([row.label for row in cell.rows if row.measure == m.MIN_DISTANCE])
    position = {label: i for i, label in enumerate(classes.tolist())}
    distances = np.full((len(classes), len(classes)), np.nan)
    np.fill_diagonal(distances, 0.0)
    for row in pairs:
        i, j = position[row.label], position[row.other]
        distances[i, j] = distances[j, i] = np.nan if row.value is None else row.value
    return distances, classes


def _confusion(cell: Cell, classes: np.ndarray) -> np.ndarray:
    """(n_classes, n_classes) counts, row = true label; labels that training never showed are left out."""
    position = {label: i for i, label in enumerate(classes.tolist())}
    counts = np.zeros((len(classes), len(classes)), dtype=np.intp)
    for row in cell.rows:
        if row.measure == m.CONFUSION and row.label in position and row.other in position:
            counts[position[row.label], position[row.other]] = int(row.value or 0)
    return counts
