"""Where the centroid of each label goes over the snapshots (E4, E7, E8 of the paper)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from closerlook import measures as m
from closerlook.geometry.centroids import LabelCentroids, label_centroids
from closerlook.geometry.projection import displacement_pca, joint_pca
from closerlook.probes.space_probe import Scope, per_path_cells
from closerlook.representations.reader import SnapshotReader
from closerlook.results.rows import ResultRow
from closerlook.results.store import CellKey

_VERSION = 1


@dataclass(frozen=True)
class CentroidTrack:
    """Centroids of one layer and split over all snapshots.

    Attributes:
        steps: (n_snapshots,) steps.
        classes: (n_classes,) sorted labels.
        centroids: (n_snapshots, n_classes, n_features).
        mean_norm: Mean length of the vectors of the first snapshot.
    """

    steps: tuple[int, ...]
    classes: tuple[str, ...]
    centroids: np.ndarray
    mean_norm: float

    @property
    def displacement(self) -> np.ndarray:
        """(n_snapshots, n_classes) distance of each centroid from its place in the first snapshot."""
        return np.linalg.norm(self.centroids - self.centroids[0], axis=2)

    @property
    def path_length(self) -> np.ndarray:
        """(n_snapshots, n_classes) length of the way gone so far."""
        moves = np.linalg.norm(np.diff(self.centroids, axis=0), axis=2)
        return np.vstack([np.zeros(len(self.classes)), np.cumsum(moves, axis=0)])


def track_centroids(reader: SnapshotReader, steps: tuple[int, ...], split: str, layer: int) -> CentroidTrack:
    """Read one layer of all snapshots, one at a time, and keep the centroids.

    Args:
        reader: The run's snapshots.
        steps: Snapshots to read, ascending.
        split: The split.
        layer: The layer.
    """
    y = reader.labels(split)
    found: list[LabelCentroids] = []
    mean_norm = 0.0
    for step in steps:
        X = np.asarray(reader.vectors(step, split, layer), dtype=np.float64)
        if not found:
            mean_norm = float(np.linalg.norm(X, axis=1).mean())
        found.append(label_centroids(X, y))
    classes = tuple(str(c) for c in found[0].classes)
    return CentroidTrack(steps, classes, np.stack([f.centroids for f in found]), mean_norm)


@dataclass(frozen=True)
class CentroidAnalysis:
    """Centroid displacement, path length and 2-D pictures; one cell per layer and split."""

    name: str = "centroids"

    def cells(self, reader: SnapshotReader, scope: Scope) -> list[CellKey]:
        """One cell per layer and split, over all snapshots of the run, whatever steps were asked for."""
        return per_path_cells(self, _VERSION, reader, Scope(reader.steps, scope.layers, scope.splits))

    def compute(self, reader: SnapshotReader, cell: CellKey, scope: Scope) -> list[ResultRow]:
        """Centroid rows of one layer and split."""
        track = track_centroids(reader, reader.steps, cell.split, cell.layer)
        return list(_rows(track, reader, cell))


def _rows(track: CentroidTrack, reader: SnapshotReader, cell: CellKey) -> Iterator[ResultRow]:
    displacement, path = track.displacement, track.path_length
    for t, step in enumerate(track.steps):
        where = (step, reader.epoch(step), cell.layer, cell.split)
        mean = float(displacement[t].mean())
        yield ResultRow(cell.probe, m.MEAN_DISPLACEMENT, *where, value=mean)
        yield ResultRow(cell.probe, m.RELATIVE_DISPLACEMENT, *where, value=mean / track.mean_norm)
        for c, label in enumerate(track.classes):
            yield ResultRow(cell.probe, m.CENTROID_DISPLACEMENT, *where, label, value=float(displacement[t, c]))
            yield ResultRow(cell.probe, m.CENTROID_PATH_LENGTH, *where, label, value=float(path[t, c]))
    if len(track.steps) > 1:
        yield from _plane_rows(track, reader, cell)


def _plane_rows(track: CentroidTrack, reader: SnapshotReader, cell: CellKey) -> Iterator[ResultRow]:
    paths = joint_pca(track.centroids)
    change = displacement_pca(track.centroids[-1] - track.centroids[0])
    last = track.steps[-1]
    for t, step in enumerate(track.steps):
        where = (step, reader.epoch(step), cell.layer, cell.split)
        for c, label in enumerate(track.classes):
            x, y = paths.coordinates[t, c]
            yield ResultRow(cell.probe, m.CENTROID_X, *where, label, value=float(x))
            yield ResultRow(cell.probe, m.CENTROID_Y, *where, label, value=float(y))
    where = (last, reader.epoch(last), cell.layer, cell.split)
    share = float(paths.explained_variance_ratio.sum())
    yield ResultRow(cell.probe, m.EXPLAINED_VARIANCE, *where, value=share)
    for c, label in enumerate(track.classes):
        x, y = change.coordinates[c]
        yield ResultRow(cell.probe, m.DISPLACEMENT_X, *where, label, value=float(x))
        yield ResultRow(cell.probe, m.DISPLACEMENT_Y, *where, label, value=float(y))
