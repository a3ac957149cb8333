"""Readings of every example by classifiers that did not see it: at each snapshot and layer, for suspected label errors.

A wrong label is contradicted by whatever reads its example: by the classifiers of most layers, before tuning and after.
A hard example is contradicted by some. The mean over readings is what ``show=suspects`` ranks by.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from closerlook import measures as m
from closerlook.probes.space_probe import Finding, Scope, SpaceProbe, Where, where
from closerlook.probing.held_out import Readings, read_held_out
from closerlook.representations.reader import SnapshotReader
from closerlook.results.packed import examples_digest
from closerlook.results.readings import packed_readings
from closerlook.results.rows import Place, ResultRow
from closerlook.results.store import CellKey


@dataclass(frozen=True)
class SuspectAnalysis(SpaceProbe):
    """Out-of-fold readings of the training examples, and of test examples by the same classifiers; a cell per space.

    Attributes:
        n_folds: Folds, stratified by label.
        Cs: Inverse L2 weights to choose from.
    """

    n_folds: int = 5
    Cs: tuple[float, ...] = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
    name: str = "suspects"
    version: ClassVar[int] = 1

    def cells(self, reader: SnapshotReader, scope: Scope) -> list[CellKey]:
        """One cell per snapshot and layer above the embeddings, where train is looked at."""
        if "train" not in scope.splits:
            return []
        return [
            CellKey(
                Place(self.name, layer, "train", step),
                self.digest(*(reader.checksum(step, split, layer) for split in _splits(scope))),
            )
            for layer in scope.layers
            for step in scope.steps
            if layer > 0
        ]

    def compute(self, reader: SnapshotReader, key: CellKey, scope: Scope) -> Sequence[Finding]:
        """Readings of one space."""
        at = where(reader, key)
        _, layer, _, step = at.place
        spaces = [(reader.vectors(step or 0, split, layer), reader.labels(split)) for split in _splits(scope)]
        counts = np.unique(spaces[0][1], return_counts=True)[1]
        if len(counts) < 2 or counts.max() < 2:
            why = "one label only" if len(counts) < 2 else "no label has two examples"
            return [ResultRow(*at, m.MISREAD_SHARE, note=f"{why}: nothing can be held out")]
        found = read_held_out(*spaces[0], *(spaces[1] if len(spaces) > 1 else ()), Cs=self.Cs, n_folds=self.n_folds)
        return [
            row
            for split, readings in zip(_splits(scope), found, strict=False)
            if readings is not None
            for row in reading_rows(at.of(split), m.HELD_OUT_READING, readings, reader)
        ]


def _splits(scope: Scope) -> list[str]:
    return ["train", *(["test"] if "test" in scope.splits else [])]


def reading_rows(at: Where, measure: str, found: Readings, reader: SnapshotReader) -> Iterator[ResultRow]:
    """The share of misread examples, and the readings one by one.

    Args:
        at: Where.
        measure: Name of the readings.
        found: Them.
        reader: The run's snapshots.
    """
    known = found.log_odds[np.isfinite(found.log_odds)]
    if measure == m.HELD_OUT_READING:
        share = float((known < 0).mean()) if len(known) else None
        note = found.setting if len(known) else "no example's label is known to a classifier that did not see it"
        yield ResultRow(*at, m.MISREAD_SHARE, value=share, n=len(known), note=note)
    examples = examples_digest(reader.examples(at.place.split)["example_id"].tolist())
    yield ResultRow(
        *at, measure, n=len(found.own), note=packed_readings(found.own, found.other, found.best_other, examples)
    )
