"""What follows from finished cells without reading vectors: similarity of label distances, distance against error.

Similarity: Zhou & Srikumar (2022), section 4.3, the Pearson correlation of label-distance vectors, with Mantel
permutations and an interval over labels, since its entries share labels. Growth: were hulls pushed apart, plain and
over what labels grew themselves. Distance and error: DirectProbe's (2021) observation that nearly all errors fall on
the closest third of the pairs, with a control.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from closerlook import measures as m
from closerlook.geometry.distance_errors import closest_pairs_error_share, distance_error_correlation
from closerlook.geometry.growth import label_distance_growth
from closerlook.geometry.similarity import Method, align_label_distances, spatial_similarity
from closerlook.geometry.validation import UndefinedMeasureError
from closerlook.probes.space_probe import TRAIN_TEST, Where, digest, measure_row
from closerlook.results.rows import LabelPairs, Place, ResultRow, defined
from closerlook.results.store import Cell, CellKey

MOST_LABELS = 300
"""What follows from the distances of more labels than this is computed on so many of them, drawn at random."""

Cells = Mapping[Place, Cell]
"""Finished cells by place."""


@dataclass(frozen=True)
class Derived(ABC):
    """A computation on finished cells.

    Attributes:
        n_permutations: Mantel permutations.
    """

    n_permutations: int = 199
    name: ClassVar[str]

    @abstractmethod
    def plan(self, cells: Cells) -> Iterator[Plan]:
        """The cells that follow from these."""

    @abstractmethod
    def compute(self, place: Place, inputs: Sequence[Cell]) -> list[ResultRow]:
        """The rows of one of them."""

    def _plan(self, layer: int, split: str, step: int | None, *inputs: Cell) -> Plan:
        key = digest(self, 2, *(cell.key.digest for cell in inputs))
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
        direct = _with_distances(cells)
        first = _firsts(direct)
        for place, cell in direct.items():
            if (start := first.get((place.layer, place.split))) is not None:
                yield self._plan(place.layer, place.split, place.step, direct[start], cell)
        for place, cell in direct.items():
            test = direct.get(place._replace(split="test"))
            if place.split == "train" and test is not None:
                yield self._plan(place.layer, TRAIN_TEST, place.step, cell, test)

    def compute(self, place: Place, inputs: Sequence[Cell]) -> list[ResultRow]:
        """Pearson, and rank order to the first snapshot."""
        first, second = (cell.pairs[0] for cell in inputs)
        A, B = _aligned(first, second)
        at = Where(place, second.epoch)
        if place.split == TRAIN_TEST:
            return [self._row(at, m.TRAIN_TEST_SIMILARITY, A, B, "pearson")]
        return [
            self._row(at, m.SIMILARITY_TO_FIRST, A, B, "pearson"),
            self._row(at, m.RANK_SIMILARITY, A, B, "spearman"),
        ]

    def _row(self, at: Where, measure: str, A: np.ndarray, B: np.ndarray, method: Method) -> ResultRow:
        found = spatial_similarity(A, B, method, n_permutations=self.n_permutations)
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
class LabelGrowth(Derived):
    """Were the hulls of labels pushed apart, and more than labels and the whole space grew?"""

    name: ClassVar[str] = "growth"

    def plan(self, cells: Cells) -> Iterator[Plan]:
        """One cell per DirectProbe cell after the first of its layer and split; with scatters where they were measured.

        Args:
            cells: Finished cells by place. Growth is since the first snapshot among them.
        """
        direct = _with_distances(cells)
        first = _firsts(direct)
        for place, cell in direct.items():
            start = first.get((place.layer, place.split), place)
            spaces = [at._replace(probe="geometry") for at in (start, place)]
            sizes = [cells[at] for at in spaces] if all(at in cells for at in spaces) else []
            if start != place:
                yield self._plan(place.layer, place.split, place.step, direct[start], cell, *sizes)

    def compute(self, place: Place, inputs: Sequence[Cell]) -> list[ResultRow]:
        """The median ratio of label distances, plain and over scatter."""
        first, second = (cell.pairs[0] for cell in inputs[:2])
        before, after = _aligned(first, second)
        at, sizes = Where(place, second.epoch), inputs[2:]
        scatters = [_value(cell, m.LABEL_SCATTER) for cell in sizes] or [math.nan, math.nan]
        radii = [_value(cell, m.RMS_RADIUS) for cell in sizes]
        growth = radii[1] / radii[0] if radii and radii[0] > 0 else math.nan
        try:
            found = label_distance_growth(before, after, *scatters, space_growth=growth)
        except UndefinedMeasureError as error:
            return [ResultRow(*at, name, note=str(error)) for name in (m.DISTANCE_GROWTH, m.GROWTH_OVER_SCATTER)]
        return [
            measure_row(at, m.DISTANCE_GROWTH, found.plain),
            measure_row(at, m.GROWTH_OVER_SCATTER, found.over_scatter),
        ]


def _firsts(direct: Cells) -> dict[tuple[int, str], Place]:
    """By layer and split, the place of the first snapshot of all.

    Of a layer that it does not have (of models of several depths) there is none: similarity to itself would be 1.
    """
    start = min((place.step or 0 for place in direct), default=0)
    return {(place.layer, place.split): place for place in direct if (place.step or 0) == start}


def _value(cell: Cell, measure: str) -> float:
    found = [row.value for row in cell.rows(measure) if row.value is not None]
    return found[0] if found else math.nan


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
        distances, counts = _drawn(distances, _confusion(classifier, classes))
        at = Where(place, pairs.epoch)
        found = distance_error_correlation(distances, counts, n_permutations=self.n_permutations)
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
    return [plan for what in (Similarity(), LabelGrowth(), DistanceAndError()) for plan in what.plan(by_place)]


def _with_distances(cells: Cells) -> dict[Place, Cell]:
    """The DirectProbe cells that hold label distances, in the order of their steps."""
    found = {place: cell for place, cell in cells.items() if place.probe == "direct" and cell.pairs}
    return dict(sorted(found.items(), key=lambda item: item[0].step or 0))


def _aligned(first: LabelPairs, second: LabelPairs) -> list[np.ndarray]:
    """Both distance matrices over the labels that they share, see :func:`_drawn`."""
    _, *both = align_label_distances(*_by_label(first), *_by_label(second))
    return _drawn(*both)


def _by_label(pairs: LabelPairs) -> tuple[np.ndarray, np.ndarray]:
    """``((n_classes, n_classes) distances, (n_classes,) sorted labels)``."""
    return pairs.matrix(), np.array(pairs.labels)


def _drawn(*matrices: np.ndarray) -> list[np.ndarray]:
    """The matrices, of more than 300 labels those of 300 drawn at random: all pairs of 2,000 take minutes and 4 GB."""
    n = len(matrices[0])
    if n <= MOST_LABELS:
        return list(matrices)
    chosen = np.sort(np.random.default_rng(0).choice(n, MOST_LABELS, replace=False))
    return [matrix[np.ix_(chosen, chosen)] for matrix in matrices]


def _confusion(cell: Cell, classes: np.ndarray) -> np.ndarray:
    """(n_classes, n_classes) counts, row = true label; labels that training never showed are left out."""
    position = {label: i for i, label in enumerate(classes.tolist())}
    counts = np.zeros((len(classes), len(classes)), dtype=np.intp)
    for row in cell.rows(m.CONFUSION):
        if row.label in position and row.other in position:
            counts[position[row.label], position[row.other]] = int(row.value or 0)
    return counts
