"""Where every example is in two pictures of a layer, snapshot by snapshot, and how far to trust each picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import ClassVar

import numpy as np
from sklearn.metrics import pairwise_distances

from closerlook import measures as m
from closerlook.data.stratified import stratified_subset
from closerlook.geometry.centroids import label_centroids
from closerlook.geometry.confidence import mean_interval
from closerlook.geometry.measure_value import MeasureValue
from closerlook.geometry.neighbours import nearest_neighbours, sample_rows, shared_neighbours
from closerlook.geometry.planes import Plane, principal_plane, scatter_of
from closerlook.probes.space_probe import TRAIN_TEST, Finding, Scope, SpaceProbe, Where, measure_row, where
from closerlook.representations.format import TunedHead
from closerlook.representations.reader import SnapshotReader
from closerlook.results.cell_arrays import CellArrays
from closerlook.results.rows import Place, ResultRow
from closerlook.results.store import CellKey

PICTURES = ("joint", "own")
"""One plane for all snapshots of a layer; a plane for each snapshot, turned to fit the one before."""

NOT_MEASURED = 255
"""Where an example is not in the sample whose neighbours were counted."""

NO_LABEL = 65535
"""Where there is no head to predict a label, or no other label."""

_BLOCK = 4096
_N_BOOTSTRAP = 200
_VARIANCE = {"joint": m.JOINT_PLANE_VARIANCE, "own": m.OWN_PLANE_VARIANCE}
_NEIGHBOURS = {"joint": m.JOINT_PLANE_NEIGHBOURS, "own": m.OWN_PLANE_NEIGHBOURS}


@dataclass(frozen=True)
class FilmAnalysis(SpaceProbe):
    """Both pictures of all examples of a layer; one cell a layer, over all splits and an even choice of the snapshots.

    The arrays of a cell: ``steps`` (T,); ``k``; ``labels`` (n_labels,) the names that codes stand for; ``shares`` (2,)
    of the joint plane's axes; and by split, n drawn examples of it:

    - ``<split>.rows`` (n,) positions in the split;
    - ``<split>.joint``, ``<split>.own`` (T, n, 2) float32 coordinates in the unit of the space;
    - ``<split>.kept.joint``, ``<split>.kept.own`` (T, n) uint8 neighbours kept of k; :data:`NOT_MEASURED`;
    - ``<split>.nearest`` (T, n) uint16 code of the other label whose centroid is nearest; :data:`NO_LABEL`;
    - ``<split>.other``, ``<split>.self`` (T, n) float32 distance to that centroid, and to the own label's;
    - ``<split>.predicted`` (T, n) uint16 code of the tuned head's answer, at the layer that it reads.

    Attributes:
        max_positions: Most examples x snapshots x layers; beyond it fewer examples are drawn, stratified by label.
        max_snapshots: Most snapshots, evenly chosen, the first and the last among them.
        n_queries: Examples a split whose neighbours are compared, drawn at random; None = all. The examples that they
            may be neighbours of are always all of the split.
        k: Neighbours; at most 254.
        random_state: Seed of both draws.
    """

    max_positions: int = 1_500_000
    max_snapshots: int = 30
    n_queries: int | None = 500
    k: int = 10
    random_state: int = 0
    name: str = "film"
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if self.max_positions < 1 or self.max_snapshots < 2 or not 1 <= self.k < NOT_MEASURED:
            raise ValueError(
                f"probe.film: got max_positions={self.max_positions}, max_snapshots={self.max_snapshots}, k={self.k}; "
                f"expected at least 1, at least 2, and 1 to {NOT_MEASURED - 1}"
            )

    def cells(self, reader: SnapshotReader, scope: Scope) -> list[CellKey]:
        """One cell a layer, over all snapshots and splits of the run, whatever was asked for."""
        steps = self.steps(reader)  # of models that were not made one from another, one picture of all says nothing
        shown = [n for n in scope.layers if all(set(steps) <= set(reader.alike(split, n)) for split in reader.splits)]
        places = [Place(self.name, layer, TRAIN_TEST, None) for layer in shown]
        return [CellKey(place, self._digest(reader, place.layer)) for place in places]

    def _digest(self, reader: SnapshotReader, layer: int) -> str:
        vectors = [reader.checksum(step, split, layer) for step in self.steps(reader) for split in reader.splits]
        heads = [reader.manifests[step].head for step in self.steps(reader)]
        return self.digest(*vectors, *heads, str(len(reader.layers)))

    def steps(self, reader: SnapshotReader) -> tuple[int, ...]:
        """The snapshots that are shown."""
        steps = reader.steps
        chosen = np.linspace(0, len(steps) - 1, min(len(steps), self.max_snapshots)).round().astype(int)
        return tuple(steps[i] for i in chosen)

    def compute(self, reader: SnapshotReader, key: CellKey, scope: Scope) -> Sequence[Finding]:
        """The pictures of one layer; two passes over its snapshots, one space in memory at a time."""
        layer, steps = key.place.layer, self.steps(reader)
        joint, own = _planes(reader, layer, steps)
        labels = _labels(reader, steps)
        arrays = {"steps": np.array(steps), "k": np.array(self.k), "labels": labels, "shares": joint.shares}
        rows: list[ResultRow] = []
        for split in reader.splits:
            drawn = self._drawn(reader, split, len(steps))
            queries = drawn[sample_rows(len(drawn), self.n_queries or len(drawn), self.random_state)]
            found = []
            for step, plane in zip(steps, own, strict=True):
                X, y = reader.vectors(step, split, layer), np.searchsorted(labels, reader.labels(split))
                pictures = {"joint": joint.coordinates(X), "own": plane.coordinates(X)}
                k = min(self.k, len(X) - 1)
                kept = _neighbours_kept(X, pictures, queries, k)
                rows += _rows(where(reader, key, step).of(split), X, pictures, kept, k)
                told = _coordinates(pictures) | _counts(kept, len(X), queries, k) | _nearest(X, y)
                told["predicted"] = _predicted(X, reader.head(step), layer, labels)
                found.append({name: array[drawn] for name, array in told.items()})
            arrays[f"{split}.rows"] = drawn
            arrays |= {f"{split}.{name}": np.stack([one[name] for one in found]) for name in found[0]}
        return [*rows, CellArrays(arrays)]

    def _drawn(self, reader: SnapshotReader, split: str, n_steps: int) -> np.ndarray:
        """Positions of the examples that are shown: each split has its share of what the page can carry."""
        y = reader.labels(split)
        n = sum(len(reader.labels(one)) for one in reader.splits)
        room = self.max_positions // (n_steps * len(reader.layers))
        return stratified_subset(y.tolist(), max(room * len(y) // n, 1), self.random_state)


def _labels(reader: SnapshotReader, steps: Sequence[int]) -> np.ndarray:
    """The labels of the examples and of the heads, sorted."""
    heads = [head for head in map(reader.head, steps) if head is not None]
    named = [*(reader.labels(split) for split in reader.splits), *(head.classes.astype(str) for head in heads)]
    return np.unique(np.concatenate(named))


def _planes(reader: SnapshotReader, layer: int, steps: Sequence[int]) -> tuple[Plane, list[Plane]]:
    """The plane of all snapshots together, and that of each, turned to fit the one before; of all splits alike."""
    scatters, own = None, []
    before: np.ndarray | None = None
    for step in steps:
        spaces = [reader.vectors(step, split, layer) for split in reader.splits]
        scatter = reduce(add, map(scatter_of, spaces))
        scatters = scatter if scatters is None else scatters + scatter
        plane = principal_plane(scatter)
        if before is not None:
            plane = plane.turned(np.concatenate([plane.coordinates(X) for X in spaces]), before)
        before = np.concatenate([plane.coordinates(X) for X in spaces])
        own.append(plane)
    if scatters is None:
        raise ValueError("there is no snapshot, expected at least one")
    return principal_plane(scatters), own


def _neighbours_kept(
    X: np.ndarray, pictures: Mapping[str, np.ndarray], queries: np.ndarray, k: int
) -> dict[str, np.ndarray]:
    """By picture, (n_queries,) share of the k nearest examples of the space that are among the k nearest in it."""
    if k < 1:
        return {name: np.full(len(queries), np.nan) for name in pictures}
    near = nearest_neighbours(X, k, queries)
    return {name: shared_neighbours(near, nearest_neighbours(xy, k, queries)) for name, xy in pictures.items()}


def _rows(
    at: Where, X: np.ndarray, pictures: Mapping[str, np.ndarray], kept: Mapping[str, np.ndarray], k: int
) -> Iterator[ResultRow]:
    """What each picture shows of a split at a snapshot."""
    total = float(np.var(X, axis=0, dtype=np.float64).sum())
    for name, xy in pictures.items():
        if total <= 0 or k < 1:
            for measure in (_VARIANCE[name], _NEIGHBOURS[name]):
                yield measure_row(at, measure, MeasureValue(np.nan, reason="all vectors are equal"))
            continue
        share = float(xy.var(axis=0).sum()) / total
        yield measure_row(at, _VARIANCE[name], MeasureValue(share, n=len(X), note="n examples"))
        low, high, n = mean_interval(kept[name], n_bootstrap=_N_BOOTSTRAP)
        mean, chance = float(kept[name].mean()), k / (len(X) - 1)
        found = MeasureValue(mean, low, high, chance, "random neighbours", n=n, note=f"k = {k}")
        yield measure_row(at, _NEIGHBOURS[name], found)


def _coordinates(pictures: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: xy.astype(np.float32) for name, xy in pictures.items()}


def _counts(kept: Mapping[str, np.ndarray], n: int, queries: np.ndarray, k: int) -> dict[str, np.ndarray]:
    """(n,) neighbours kept of each example that is in the sample."""
    counts = {f"kept.{name}": np.full(n, NOT_MEASURED, dtype=np.uint8) for name in kept}
    for name, shares in kept.items():
        known = np.isfinite(shares)
        counts[f"kept.{name}"][queries[known]] = np.rint(shares[known] * k)
    return counts


def _nearest(X: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """The nearest centroid of another label, and the distances to it and to the own one."""
    found = label_centroids(X, y)
    own = np.searchsorted(found.classes, y)
    parts = []
    for start in range(0, len(X), _BLOCK):
        distances = pairwise_distances(np.asarray(X[start : start + _BLOCK], dtype=np.float64), found.centroids)
        rows, mine = np.arange(len(distances)), own[start : start + _BLOCK]
        to_own = distances[rows, mine].copy()
        distances[rows, mine] = np.inf
        parts.append((distances.argmin(axis=1), distances.min(axis=1), to_own))
    nearest, least, to_own = (np.concatenate(part) for part in zip(*parts, strict=True))
    code = np.where(np.isfinite(least), found.classes[nearest], NO_LABEL).astype(np.uint16)
    return {"nearest": code, "other": least.astype(np.float32), "self": to_own.astype(np.float32)}


def _predicted(X: np.ndarray, head: TunedHead | None, layer: int, labels: np.ndarray) -> np.ndarray:
    """(n_samples,) code of the tuned head's answer; :data:`NO_LABEL` where it reads another layer."""
    if head is None or head.layer != layer:
        return np.full(len(X), NO_LABEL, dtype=np.uint16)
    answers = head.classes[(X @ head.weights.T + head.bias).argmax(axis=1)].astype(str)
    return np.where(np.isin(answers, labels), np.searchsorted(labels, answers), NO_LABEL).astype(np.uint16)
