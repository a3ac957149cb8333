"""How far each example moved over the snapshots, and what the tuned head made of it at each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from closerlook import measures as m
from closerlook.geometry.centroids import label_centroids
from closerlook.geometry.neighbours import nearest_neighbours, sample_rows, shared_neighbours
from closerlook.probes.space_probe import Finding, Scope, SpaceProbe, where
from closerlook.probes.suspects import reading_rows
from closerlook.probing.held_out import Readings
from closerlook.representations.format import TunedHead
from closerlook.representations.reader import SnapshotReader
from closerlook.results.packed import examples_digest, pack
from closerlook.results.rows import ResultRow
from closerlook.results.store import CellKey, Place


class Movement(NamedTuple):
    """What became of each example between the first and the last snapshot.

    Attributes:
        displacement: (n,) distance between its first and its last place.
        own_displacement: (n,) the same without the shift of its label's centroid.
        own_path: (n,) length of its way from snapshot to snapshot, without that shift.
        kept_neighbours: (n,) share of its nearest neighbours that it kept; NaN where it was not looked at.
    """

    displacement: np.ndarray
    own_displacement: np.ndarray
    own_path: np.ndarray
    kept_neighbours: np.ndarray


@dataclass(frozen=True)
class MovementAnalysis(SpaceProbe):
    """Movement of single examples; one cell per layer and split, over all snapshots.

    Attributes:
        k: Neighbours.
        max_points: Examples whose neighbours are looked for, drawn at random; they are looked for among all.
        random_state: Seed of the draw.
    """

    k: int = 10
    max_points: int = 5000
    random_state: int = 0
    name: str = "movement"
    version: ClassVar[int] = 1

    def cells(self, reader: SnapshotReader, scope: Scope) -> list[CellKey]:
        """One cell per layer and split, over all snapshots of the run, whatever steps were asked for."""
        return [
            CellKey(
                Place(self.name, layer, split, None),
                self.digest(*(reader.checksum(step, split, layer) for step in reader.steps)),
            )
            for split in scope.splits
            for layer in scope.layers
        ]

    def compute(self, reader: SnapshotReader, key: CellKey, scope: Scope) -> Sequence[Finding]:
        """Movement at one layer and split, and the tuned head's readings where it reads that layer."""
        return [*self._moved(reader, key), *_head_rows(reader, key)]

    def _moved(self, reader: SnapshotReader, key: CellKey) -> Iterator[ResultRow]:
        _, layer, split, _ = key.place
        at, y = where(reader, key, reader.steps[-1]), reader.labels(split)
        if len(reader.steps) < 2:
            yield ResultRow(*at, m.OWN_EXAMPLE_DISPLACEMENT, note="one snapshot: nothing has moved yet")
            return
        spaces = (np.asarray(reader.vectors(s, split, layer), dtype=np.float64) for s in reader.steps)
        found = follow(spaces, y, k=self.k, max_points=self.max_points, random_state=self.random_state)
        kept = found.kept_neighbours[np.isfinite(found.kept_neighbours)]
        yield ResultRow(
            *at,
            m.OWN_EXAMPLE_DISPLACEMENT,
            value=float(found.own_displacement.mean()),
            n=len(y),
            control=float(found.displacement.mean()),
            note="control: with the shift of each example's label",
        )
        examples = examples_digest(reader.examples(split)["example_id"].tolist())
        arrays = {name: values.astype(np.float32) for name, values in found._asdict().items()}
        note = pack(arrays, examples)
        yield ResultRow(*at, m.EXAMPLE_MOVEMENT, value=float(kept.mean()) if len(kept) else None, n=len(y), note=note)


def follow(
    spaces: Iterator[np.ndarray], y: np.ndarray, *, k: int = 10, max_points: int = 5000, random_state: int = 0
) -> Movement:
    """Follow examples through snapshots, holding two spaces at a time.

    Args:
        spaces: (n, n_features) vectors of the same examples, snapshot by snapshot; at least two.
        y: (n,) labels.
        k: Neighbours; at most n - 1 are taken.
        max_points: Examples whose neighbours are looked for.
        random_state: Seed of their draw.
    """
    first = next(spaces)
    rows, k = sample_rows(len(y), max_points, random_state), min(k, len(y) - 1)
    home, neighbours = _own(first, y), nearest_neighbours(first, k, rows) if k else None
    before, path, space = home, np.zeros(len(y)), first
    for space in spaces:
        own = _own(space, y)
        path += np.linalg.norm(own - before, axis=1)
        before = own
    kept = np.full(len(y), np.nan)
    if neighbours is not None:
        kept[rows] = shared_neighbours(neighbours, nearest_neighbours(space, k, rows))
    displacement, own = (np.linalg.norm(change, axis=1) for change in (space - first, before - home))
    return Movement(displacement, own, path, kept)


def _own(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The examples as seen from their label's centroid."""
    found = label_centroids(X, y)
    return X - found.centroids[np.searchsorted(found.classes, y)]


def _head_rows(reader: SnapshotReader, key: CellKey) -> Iterator[ResultRow]:
    """Readings of the head that was tuned with the encoder, at the snapshots that hold one."""
    _, layer, split, _ = key.place
    for step in reader.steps:
        head = reader.head(step)
        if head is not None and head.layer == layer:
            readings = head_readings(head, reader.vectors(step, split, layer), reader.labels(split))
            yield from reading_rows(where(reader, key, step), m.HEAD_READING, readings, reader)


def head_readings(head: TunedHead, X: np.ndarray, y: np.ndarray) -> Readings:
    """What a tuned linear head makes of examples, by the softmax of its scores.

    Args:
        head: The head; its order of labels does not matter.
        X: (n, n_features) vectors of the layer that it reads.
        y: (n,) labels; those that it does not know have no reading.
    """
    order = np.argsort(head.classes)
    scores = np.asarray(X, dtype=np.float64) @ head.weights[order].T + head.bias[order]
    scores -= scores.max(axis=1, keepdims=True)
    probabilities = np.exp(scores)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    classes = [str(name) for name in head.classes[order]]
    position = {name: at for at, name in enumerate(classes)}
    codes = np.array([position.get(str(label), -1) for label in y], dtype=np.int64)
    return Readings.of(probabilities, codes, classes, "tuned head")
