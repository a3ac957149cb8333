"""Where the centroid of each label goes over the snapshots (E4, E7, E8 of the paper)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from closerlook import measures as m
from closerlook.geometry.centroids import label_centroids
from closerlook.geometry.projection import displacement_pca, joint_pca
from closerlook.probes.space_probe import Finding, Scope, SpaceProbe, where
from closerlook.representations.reader import SnapshotReader
from closerlook.results.rows import Place, ResultRow
from closerlook.results.store import CellKey


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
        """(n_snapshots, n_classes) length of each centroid's path up to a snapshot."""
        moves = np.linalg.norm(np.diff(self.centroids, axis=0), axis=2)
        return np.vstack([np.zeros(len(self.classes)), np.cumsum(moves, axis=0)])


def track_centroids(reader: SnapshotReader, split: str, layer: int) -> CentroidTrack:
    """Read one layer of all snapshots, one at a time, and keep the centroids."""
    y = reader.labels(split)
    first = np.asarray(reader.vectors(reader.steps[0], split, layer), dtype=np.float64)
    spaces = (np.asarray(reader.vectors(step, split, layer), dtype=np.float64) for step in reader.steps)
    found = [label_centroids(X, y) for X in spaces]
    return CentroidTrack(
        steps=reader.steps,
        classes=tuple(str(c) for c in found[0].classes),
        centroids=np.stack([f.centroids for f in found]),
        mean_norm=float(np.linalg.norm(first, axis=1).mean()),
    )


@dataclass(frozen=True)
class CentroidAnalysis(SpaceProbe):
    """Centroid displacement, path length and 2-D pictures; one cell per layer and split."""

    name: str = "centroids"

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
        """Centroid rows of one layer and split."""
        track = track_centroids(reader, key.place.split, key.place.layer)
        return list(_rows(track, reader, key))


def _rows(track: CentroidTrack, reader: SnapshotReader, key: CellKey) -> Iterator[ResultRow]:
    displacement, path = track.displacement, track.path_length
    for t, step in enumerate(track.steps):
        at = where(reader, key, step)
        mean = float(displacement[t].mean())
        yield ResultRow(*at, m.MEAN_DISPLACEMENT, value=mean)
        yield ResultRow(*at, m.RELATIVE_DISPLACEMENT, value=mean / track.mean_norm)
        for c, label in enumerate(track.classes):
            yield ResultRow(*at, m.CENTROID_DISPLACEMENT, label, value=float(displacement[t, c]))
            yield ResultRow(*at, m.CENTROID_PATH_LENGTH, label, value=float(path[t, c]))
    if len(track.steps) > 1:
        yield from _plane_rows(track, reader, key)


def _plane_rows(track: CentroidTrack, reader: SnapshotReader, key: CellKey) -> Iterator[ResultRow]:
    paths = joint_pca(track.centroids)
    for t, step in enumerate(track.steps):
        at = where(reader, key, step)
        for label, (x, y) in zip(track.classes, paths.coordinates[t].tolist(), strict=True):
            yield ResultRow(*at, m.CENTROID_X, label, value=x)
            yield ResultRow(*at, m.CENTROID_Y, label, value=y)
    at = where(reader, key, track.steps[-1])
    yield ResultRow(*at, m.EXPLAINED_VARIANCE, value=float(paths.explained_variance_ratio.sum()))
    change = displacement_pca(track.centroids[-1] - track.centroids[0])
    for label, (x, y) in zip(track.classes, change.coordinates.tolist(), strict=True):
        yield ResultRow(*at, m.DISPLACEMENT_X, label, value=x)
        yield ResultRow(*at, m.DISPLACEMENT_Y, label, value=y)
