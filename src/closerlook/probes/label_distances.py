"""DirectProbe on every snapshot, layer and split: clusters, label distances, contradictions."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from closerlook import measures as m
from closerlook.probes.space_probe import Scope, per_space_cells
from closerlook.representations.reader import SnapshotReader
from closerlook.results.rows import ResultRow, defined
from closerlook.results.store import CellKey

if TYPE_CHECKING:
    from closerlook.probing import DirectProbe

_VERSION = 3  # 3: hulls that stall are decided along their principal axes


@dataclass(frozen=True)
class LabelDistances:
    """What DirectProbe found in one labelled space.

    Attributes:
        classes: Labels present, sorted.
        n_examples: Number of examples.
        n_clusters: Number of clusters.
        n_contradictions: Groups of identical vectors that carry different labels.
        distances: (n_classes, n_classes) distances between labels, NaN where undefined.
        min_distances: (n_classes,) distance to the nearest other label, NaN where undefined.
        warnings: What the solver reported.
    """

    classes: tuple[str, ...]
    n_examples: int
    n_clusters: int
    n_contradictions: int
    distances: np.ndarray
    min_distances: np.ndarray
    warnings: tuple[str, ...] = ()

    @property
    def is_linear(self) -> bool:
        """Whether every label is one cluster."""
        return self.n_clusters == len(self.classes)


def label_distances(
    X: np.ndarray, y: np.ndarray, *, min_cluster_size: int = 1, max_clusters: int | None = None
) -> LabelDistances:
    """Run DirectProbe on one labelled space.

    Args:
        X: (n_examples, n_features) vectors.
        y: (n_examples,) labels.
        min_cluster_size: Clusters with fewer points are left out of the distances.
        max_clusters: With more clusters than this the distances are left undefined: they would be means over
            up to millions of cluster pairs, and the paper defines them for one cluster per label. None: no limit.
    """
    from closerlook.probing import DirectProbe

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        probe = DirectProbe(min_cluster_size=min_cluster_size, n_jobs=1).fit(X, y)
        found = from_probe(probe, len(y), max_clusters)
    return replace(found, warnings=found.warnings + tuple(dict.fromkeys(str(w.message) for w in caught)))


def from_probe(probe: DirectProbe, n_examples: int, max_clusters: int | None = None) -> LabelDistances:
    """What a fitted DirectProbe found.

    Args:
        probe: A fitted probe.
        n_examples: Number of examples it was fitted on.
        max_clusters: See :func:`label_distances`.
    """
    n, n_clusters = len(probe.classes_), int(probe.n_clusters_)
    measured = max_clusters is None or n_clusters <= max(max_clusters, n)
    note = f"{n_clusters} clusters, over the limit of {max_clusters}: distances between labels left undefined"
    undefined = np.full((n, n), np.nan)
    return LabelDistances(
        classes=tuple(str(c) for c in probe.classes_),
        n_examples=n_examples,
        n_clusters=n_clusters,
        n_contradictions=len(probe.contradictions_),
        distances=probe.label_distances_ if measured else undefined,
        min_distances=probe.min_distances_ if measured else undefined[0],
        warnings=() if measured else (note,),
    )


@dataclass(frozen=True)
class DirectProbeAnalysis:
    """DirectProbe as a probe of snapshots; one cell per snapshot, layer and split.

    Attributes:
        min_cluster_size: Clusters with fewer points are left out of the distances; 1 keeps all.
        max_clusters: With more clusters than this, distances between labels are left undefined.
    """

    min_cluster_size: int = 1
    max_clusters: int | None = 500
    name: str = "direct"

    def cells(self, reader: SnapshotReader, scope: Scope) -> list[CellKey]:
        """One cell per snapshot, layer and split."""
        return per_space_cells(self, _VERSION, reader, scope)

    def compute(self, reader: SnapshotReader, cell: CellKey, scope: Scope) -> list[ResultRow]:
        """Label distances of one space."""
        step = _step(cell)
        X, y = reader.vectors(step, cell.split, cell.layer), reader.labels(cell.split)
        found = label_distances(X, y, min_cluster_size=self.min_cluster_size, max_clusters=self.max_clusters)
        return distance_rows(found, cell.probe, step, reader.epoch(step), cell.layer, cell.split)


def distance_rows(
    found: LabelDistances, probe: str, step: int, epoch: float, layer: int, split: str
) -> list[ResultRow]:
    """The tidy rows of one space's label distances."""

    def row(measure: str, value: float | None, label: str = "", other: str = "", note: str = "") -> ResultRow:
        return ResultRow(probe, measure, step, epoch, layer, split, label, other, value, note=note)

    note = "; ".join(found.warnings)
    minimum, every = found.min_distances, found.distances[np.triu_indices(len(found.classes), 1)]
    rows = [
        row(m.N_EXAMPLES, found.n_examples),
        row(m.N_LABELS, len(found.classes)),
        row(m.N_CLUSTERS, found.n_clusters, note=note),
        row(m.IS_LINEAR, float(found.is_linear)),
        row(m.N_CONTRADICTIONS, found.n_contradictions),
        _mean(row(m.MEAN_MIN_DISTANCE, None), minimum),
        _mean(row(m.MEAN_DISTANCE, None), every),
    ]
    for label, value in zip(found.classes, minimum, strict=True):
        rows.append(row(m.MIN_DISTANCE, defined(value), label, note=_reason(value, note)))
    for (i, a), (j, b) in combinations(enumerate(found.classes), 2):
        value = found.distances[i, j]
        rows.append(row(m.LABEL_DISTANCE, defined(value), a, b, note=_reason(value, note)))
    return rows


def _mean(row: ResultRow, values: np.ndarray) -> ResultRow:
    """``row`` with the mean of the defined values, how many there are, and a note when some are missing."""
    known = values[np.isfinite(values)]
    missing = len(values) - len(known)
    note = f"{missing} of {len(values)} undefined" if missing or not len(values) else ""
    return replace(row, value=float(known.mean()) if len(known) else None, n=len(known), note=note)


def _reason(value: float, note: str) -> str:
    return (note or "no clusters left to measure, or only one label") if math.isnan(value) else ""


def _step(cell: CellKey) -> int:
    if cell.step is None:
        raise ValueError(f"cell {cell} needs a step")
    return cell.step
