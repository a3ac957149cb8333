"""What follows from finished cells without reading vectors: similarity of label distances, distance against error.

Similarity: Zhou & Srikumar (2022), section 4.3, the Pearson correlation of label-distance vectors, with Mantel
permutations and a bootstrap over labels, since its entries share labels. Distance and error: DirectProbe's (2021)
observation that nearly all errors fall on the closest third of the pairs, with a control.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from closerlook import measures as m
from closerlook.geometry.errors import closest_pairs_error_share, distance_error_correlation
from closerlook.geometry.similarity import Method, spatial_similarity
from closerlook.geometry.train_test import align_label_distances
from closerlook.geometry.validation import UndefinedMeasureError
from closerlook.probes.space_probe import TRAIN_TEST, Where, digest
from closerlook.results.rows import LabelPairs, Place, ResultRow, defined
from closerlook.results.store import Cell, CellKey

Cells = Mapping[Place, Cell]
"""Finished cells by place."""


@dataclass(frozen=True)
class Derived(ABC):
    """A computation on finished cells.

    Attributes:
        n_permutations: Mantel permutations.
        n_bootstrap: Draws of labels for the interval.
    """

    n_permutations: int = 199
    n_bootstrap: int = 200
    name: ClassVar[str]

    @abstractmethod
    def plan(self, cells: Cells) -> Iterator[Plan]:
        """The cells that follow from these."""

    @abstractmethod
    def compute(self, place: Place, inputs: Sequence[Cell]) -> list[ResultRow]:
        """The rows of one of them."""

    def _plan(self, layer: int, split: str, step: int | None, *inputs: Cell) -> Plan:
        key = digest(self, 1, *(cell.key.digest for cell in inputs))
        return Plan(self, CellKey(Place(self.name, layer, split, step), key), inputs)


@dataclass(frozen=True)
class Plan:
    """A cell to derive.

    Attributes:
        what: What computes it.
        key: Its key.
        inputs: The cells that it follows from.
    """

    what: Derived
    key: CellKey
    inputs: tuple[Cell, ...]

    def compute(self) -> list[ResultRow]:
        """Its rows."""
        return self.what.compute(self.key.place, self.inputs)


@dataclass(frozen=True)
class Similarity(Derived):
    """How alike label distances are: to the first snapshot's, and train to test."""

    name: ClassVar[str] = "similarity"

    def plan(self, cells: Cells) -> Iterator[Plan]:
        """One cell per DirectProbe cell, and one per snapshot and layer for train against test.

        Args:
            cells: Finished cells by place. Similarity is to the first snapshot among them.
        """
        direct = {place: cell for place, cell in cells.items() if place.probe == "direct" and cell.pairs}
        first: dict[tuple[int, str], Cell] = {}
        for (_, layer, split, step), cell in sorted(direct.items(), key=lambda item: item[0].step or 0):
            yield self._plan(layer, split, step, first.setdefault((layer, split), cell), cell)
        for place, cell in direct.items():
            test = direct.get(place._replace(split="test"))
            if place.split == "train" and test is not None:
                yield self._plan(place.layer, TRAIN_TEST, place.step, cell, test)

    def compute(self, place: Place, inputs: Sequence[Cell]) -> list[ResultRow]:
        """Pearson, and rank order to the first snapshot."""
        first, second = (cell.pairs[0] for cell in inputs)
        _, A, B = align_label_distances(*_by_label(first), *_by_label(second))
        at = Where(place, second.epoch)
        if place.split == TRAIN_TEST:
            return [self._row(at, m.TRAIN_TEST_SIMILARITY, A, B, "pearson")]
        return [
            self._row(at, m.SIMILARITY_TO_FIRST, A, B, "pearson"),
            self._row(at, m.RANK_SIMILARITY, A, B, "spearman"),
        ]

    def _row(self, at: Where, measure: str, A: np.ndarray, B: np.ndarray, method: Method) -> ResultRow:
        found = spatial_similarity(
            A, B, method=method, n_permutations=self.n_permutations, n_bootstrap=self.n_bootstrap
        )
        p = f"Mantel p = {found.p_value:.3g} over {found.n_permutations} permutations"
        return ResultRow(
            *at,
            measure,
            value=defined(found.value),
            low=defined(found.low),
            high=defined(found.high),
            n=found.n_pairs,
            control=defined(found.null_mean),
            note="; ".join(filter(None, ("" if math.isnan(found.p_value) else p, found.reason))),
        )


@dataclass(frozen=True)
class DistanceAndError(Derived):
    """Do the errors of the linear classifier fall on labels whose hulls are close?"""

    classifier: str = "linear"
    name: ClassVar[str] = "errors"

    def plan(self, cells: Cells) -> Iterator[Plan]:
        """One cell per snapshot and layer: training distances against test errors."""
        for place, classifier in cells.items():
            direct = cells.get(place._replace(probe="direct", split="train"))
            if place.probe == self.classifier and place.split == "test" and direct is not None and direct.pairs:
                yield self._plan(place.layer, "test", place.step, direct, classifier)

    def compute(self, place: Place, inputs: Sequence[Cell]) -> list[ResultRow]:
        """Their rank correlation, and the share of the errors on the closest third of the pairs."""
        direct, classifier = inputs
        pairs = direct.pairs[0]
        distances, classes = _by_label(pairs)
        counts = _confusion(classifier, classes)
        at = Where(place, pairs.epoch)
        found = distance_error_correlation(
            distances, counts, n_permutations=self.n_permutations, n_bootstrap=self.n_bootstrap
        )
        p = "" if math.isnan(found.p_value) else f"Mantel p = {found.p_value:.3g}"
        correlation = ResultRow(
            *at,
            m.DISTANCE_ERROR_CORRELATION,
            value=defined(found.value),
            low=defined(found.low),
            high=defined(found.high),
            n=found.n_pairs,
            control=defined(found.null_mean),
            note="; ".join(filter(None, (p, found.reason))),
        )
        return [correlation, _closest_third(at, distances, counts)]


def _closest_third(at: Where, distances: np.ndarray, counts: np.ndarray) -> ResultRow:
    try:
        share = closest_pairs_error_share(distances, counts)
    except UndefinedMeasureError as error:
        return ResultRow(*at, m.CLOSEST_THIRD_ERRORS, note=str(error))
    return ResultRow(
        *at,
        m.CLOSEST_THIRD_ERRORS,
        value=defined(share.value),
        n=share.n_pairs,
        control=defined(share.control),
        note=f"{share.n_errors} errors; control: errors spread by label frequency",
    )


def plan_derived(cells: Iterable[Cell]) -> list[Plan]:
    """Every cell that follows from these finished ones."""
    by_place = {cell.key.place: cell for cell in cells}
    return [plan for what in (Similarity(), DistanceAndError()) for plan in what.plan(by_place)]


def _by_label(pairs: LabelPairs) -> tuple[np.ndarray, np.ndarray]:
    """``((n_classes, n_classes) distances, (n_classes,) sorted labels)``."""
    return pairs.matrix(), np.array(pairs.labels)


def _confusion(cell: Cell, classes: np.ndarray) -> np.ndarray:
    """(n_classes, n_classes) counts, row = true label; labels that training never showed are left out."""
    position = {label: i for i, label in enumerate(classes.tolist())}
    counts = np.zeros((len(classes), len(classes)), dtype=np.intp)
    for row in cell.rows(m.CONFUSION):
        if row.label in position and row.other in position:
            counts[position[row.label], position[row.other]] = int(row.value or 0)
    return counts
