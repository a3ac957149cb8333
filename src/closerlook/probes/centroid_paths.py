"""Where the centroid of each label goes over the snapshots (E4, E7, E8 of the paper)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from closerlook import measures as m
from closerlook.geometry.centroids import label_centroids
from closerlook.geometry.confidence import mean_interval
from closerlook.geometry.measure_value import MeasureValue
from closerlook.geometry.projection import displacement_pca, joint_pca
from closerlook.probes.space_probe import Finding, Scope, SpaceProbe, measure_row, where
from closerlook.representations.reader import SnapshotReader
from closerlook.results.rows import Place, ResultRow
from closerlook.results.store import CellKey


@dataclass(frozen=True)
class CentroidTrack:
    """Centroids of one layer and split over all snapshots whose coordinates are those of the first that has the layer.

    Attributes:
        steps: (n_snapshots,) steps.
        classes: (n_classes,) sorted labels.
        centroids: (n_snapshots, n_classes, n_features).
        random: The same of random groups of examples of the same sizes, the control of how far labels move.
        mean_norm: Mean length of the vectors of the first snapshot.
    """

    steps: tuple[int, ...]
    classes: tuple[str, ...]
    centroids: np.ndarray
    random: np.ndarray
    mean_norm: float

    @property
    def displacement(self) -> np.ndarray:
        """(n_snapshots, n_classes) distance of each centroid from its place in the first snapshot."""
        return np.linalg.norm(self.centroids - self.centroids[0], axis=2)

    @property
    def random_displacement(self) -> np.ndarray:
        """(n_snapshots, n_classes) the same of the random groups."""
        return np.linalg.norm(self.random - self.random[0], axis=2)

    @property
    def path_length(self) -> np.ndarray:
        """(n_snapshots, n_classes) length of each centroid's path up to a snapshot."""
        moves = np.linalg.norm(np.diff(self.centroids, axis=0), axis=2)
        return np.vstack([np.zeros(len(self.classes)), np.cumsum(moves, axis=0)])


def track_centroids(reader: SnapshotReader, split: str, layer: int) -> CentroidTrack:
    """Read one layer of all snapshots, one at a time, and keep the centroids."""
    y, steps = reader.labels(split), reader.alike(split, layer)
    first = np.asarray(reader.vectors(steps[0], split, layer), dtype=np.float64)
    shuffled = np.random.default_rng(0).permutation(y)
    spaces = (np.asarray(reader.vectors(step, split, layer), dtype=np.float64) for step in steps)
    found, random = zip(*((label_centroids(X, y), label_centroids(X, shuffled)) for X in spaces), strict=True)
    return CentroidTrack(
        steps=steps,
        classes=tuple(str(c) for c in found[0].classes),
        centroids=np.stack([f.centroids for f in found]),
        random=np.stack([f.centroids for f in random]),
        mean_norm=float(np.linalg.norm(first, axis=1).mean()),
    )


@dataclass(frozen=True)
class CentroidAnalysis(SpaceProbe):
    """Centroid displacement, path length and 2-D pictures; one cell per layer and split."""

    name: str = "centroids"
    version: ClassVar[int] = 2

    def cells(self, reader: SnapshotReader, scope: Scope) -> list[CellKey]:
        """One cell per layer and split, over all snapshots of the run, whatever steps were asked for."""
        return [
            CellKey(
                Place(self.name, layer, split, None),
                self.digest(*(reader.checksum(step, split, layer) for step in reader.steps if reader.has(step, layer))),
            )
            for split in scope.splits
            for layer in scope.layers
            if any(reader.has(step, layer) for step in reader.steps)
        ]

    def compute(self, reader: SnapshotReader, key: CellKey, scope: Scope) -> Sequence[Finding]:
        """Centroid rows of one layer and split."""
        _, layer, split, _ = key.place
        if not reader.has(reader.steps[0], layer):  # of a deeper model: nothing to have moved from
            return list(_missing((), reader, key))
        track = track_centroids(reader, split, layer)
        return [*_rows(track, reader, key), *_missing(track.steps, reader, key)]


def _rows(track: CentroidTrack, reader: SnapshotReader, key: CellKey) -> Iterator[ResultRow]:
    displacement, path = track.displacement, track.path_length
    random = track.random_displacement.mean(axis=1)
    for t, step in enumerate(track.steps):
        at = where(reader, key, step)
        low, high, n = mean_interval(displacement[t])
        value, control = float(displacement[t].mean()), float(random[t])
        mean = MeasureValue(value, low, high, control, "centroids of shuffled labels", n=n, note="n labels")
        yield measure_row(at, m.MEAN_DISPLACEMENT, mean)
        yield measure_row(at, m.RELATIVE_DISPLACEMENT, mean.over(track.mean_norm))
        for c, label in enumerate(track.classes):
            yield ResultRow(*at, m.CENTROID_DISPLACEMENT, label, value=float(displacement[t, c]))
            yield ResultRow(*at, m.CENTROID_PATH_LENGTH, label, value=float(path[t, c]))
    if len(track.steps) > 1:
        yield from _plane_rows(track, reader, key)


def _missing(measured: Sequence[int], reader: SnapshotReader, key: CellKey) -> Iterator[ResultRow]:
    """Rows without a value, with the reason, for the snapshots of models that the first cannot be subtracted from."""
    _, layer, split, _ = key.place
    for step in reader.steps:
        if step not in measured and reader.has(step, layer):
            reason = reader.apart(reader.steps[0], step, split, layer)
            for measure in (m.MEAN_DISPLACEMENT, m.RELATIVE_DISPLACEMENT):
                yield ResultRow(*where(reader, key, step), measure, note=reason)


def _plane_rows(track: CentroidTrack, reader: SnapshotReader, key: CellKey) -> Iterator[ResultRow]:
    paths = joint_pca(track.centroids)
    for t, step in enumerate(track.steps):
        at = where(reader, key, step)
        for label, (x, y) in zip(track.classes, paths.coordinates[t].tolist(), strict=True):
            yield ResultRow(*at, m.CENTROID_X, label, value=x)
            yield ResultRow(*at, m.CENTROID_Y, label, value=y)
    at = where(reader, key, track.steps[-1])
    yield ResultRow(*at, m.EXPLAINED_VARIANCE, value=float(paths.explained.sum()))
    change = displacement_pca(track.centroids[-1] - track.centroids[0])
    for label, (x, y) in zip(track.classes, change.coordinates.tolist(), strict=True):
        yield ResultRow(*at, m.DISPLACEMENT_X, label, value=x)
        yield ResultRow(*at, m.DISPLACEMENT_Y, label, value=y)
