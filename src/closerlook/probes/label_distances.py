"""DirectProbe on every snapshot, layer and split: clusters, label distances, contradictions."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from closerlook import measures as m
from closerlook.geometry.confidence import mean_interval, shared_minimum_groups
from closerlook.geometry.contradictions import vector_contradictions
from closerlook.probes.fitted_space import FIT, FittedSpace, fit_space, fit_vectors
from closerlook.probes.space_probe import Finding, OneSpaceProbe, Scope, Where, where
from closerlook.probing import DirectProbe, Hints
from closerlook.representations.reader import SnapshotReader
from closerlook.results.rows import LabelPairs, ResultRow, defined
from closerlook.results.store import CellKey


@dataclass(frozen=True)
class LabelDistances:
    """What DirectProbe found in one labelled space.

    Attributes:
        classes: Labels present, sorted.
        n_examples: Number of examples.
        n_clusters: Number of clusters.
        n_contradictions: Groups of identical vectors that carry different labels.
        contradictions: What follows from them; empty where there are none, or the vectors are not at hand.
        distances: (n_classes, n_classes) distances between labels, NaN where undefined.
        min_distances: (n_classes,) distance to the nearest other label, NaN where undefined.
        inside_mean: (n_classes,) mean distance inside the label's clusters, NaN where none has two points.
        inside_max: (n_classes,) largest distance inside them, likewise.
        warnings: What the solver reported.
        hints: For the next snapshot of the same examples.
    """

    classes: tuple[str, ...]
    n_examples: int
    n_clusters: int
    n_contradictions: int
    distances: np.ndarray
    min_distances: np.ndarray
    inside_mean: np.ndarray
    inside_max: np.ndarray
    warnings: tuple[str, ...] = ()
    contradictions: str = ""
    hints: Hints = field(default_factory=Hints)

    @property
    def is_linear(self) -> bool:
        """Whether every label is one cluster."""
        return self.n_clusters == len(self.classes)


def label_distances(
    X: np.ndarray,
    y: np.ndarray,
    *,
    min_cluster_size: int = 1,
    max_clusters: int | None = None,
    hints: Hints | None = None,
) -> LabelDistances:
    """Run DirectProbe on one labelled space.

    Args:
        X: (n_examples, n_features) vectors.
        y: (n_examples,) labels.
        min_cluster_size: Clusters with fewer points are left out of the distances.
        max_clusters: With more clusters than this the distances are left undefined: they would be means over
            up to millions of cluster pairs, and the paper defines them for one cluster per label. None: no limit.
        hints: Of another snapshot of the same examples; they save time and change nothing.
    """
    return _measured(fit_vectors(X, y, min_cluster_size=min_cluster_size, hints=hints), max_clusters)


def _measured(space: FittedSpace, max_clusters: int | None) -> LabelDistances:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = from_probe(space.probe, max_clusters)
    note = vector_contradictions(space.X, space.y).note if found.n_contradictions else ""
    reported = tuple(dict.fromkeys([*space.reported, *(str(w.message) for w in caught)]))
    return replace(found, warnings=found.warnings + reported, contradictions=note)


def from_probe(probe: DirectProbe, max_clusters: int | None = None) -> LabelDistances:
    """What a fitted DirectProbe found.

    Args:
        probe: A fitted probe.
        max_clusters: See :func:`label_distances`.
    """
    n, n_clusters = len(probe.classes_), int(probe.n_clusters_)
    measured = max_clusters is None or n_clusters <= max(max_clusters, n)
    note = f"{n_clusters} clusters, over the limit of {max_clusters}: distances between labels left undefined"
    undefined, inside = np.full((n, n), np.nan), probe.inside_
    return LabelDistances(
        classes=tuple(str(c) for c in probe.classes_),
        n_examples=len(probe.labels_),
        n_clusters=n_clusters,
        n_contradictions=len(probe.contradictions_),
        distances=probe.label_distances_ if measured else undefined,
        min_distances=probe.min_distances_ if measured else undefined[0],
        inside_mean=inside.label_mean,
        inside_max=inside.label_max,
        warnings=() if measured else (note,),
        hints=probe.hints_,
    )


@dataclass(frozen=True)
class DirectProbeAnalysis(OneSpaceProbe):
    """DirectProbe as a probe of snapshots; one cell per snapshot, layer and split.

    Attributes:
        min_cluster_size: Clusters with fewer points are left out of the distances; 1 keeps all.
        max_clusters: With more clusters than this, distances between labels are left undefined.
    """

    min_cluster_size: int = 1
    max_clusters: int | None = 500
    name: str = "direct"
    chain: ClassVar[int] = 20  # snapshots that hand hints on
    shares: ClassVar[str] = FIT
    version: ClassVar[int] = 6  # 5: interval of the mean minimum distance, contradictions; 6: verdicts in flat spaces

    def compute(self, reader: SnapshotReader, key: CellKey, scope: Scope) -> Sequence[Finding]:
        """Label distances of one space."""
        return next(self.compute_chain(reader, [key], scope))

    def compute_chain(
        self, reader: SnapshotReader, keys: Sequence[CellKey], scope: Scope
    ) -> Iterator[Sequence[Finding]]:
        """Label distances of snapshots of one layer and split, each with hints from the one before."""
        hints: Hints | None = None
        for key in keys:
            at = where(reader, key)
            space = fit_space(reader, at.place, min_cluster_size=self.min_cluster_size, hints=hints)
            found = _measured(space, self.max_clusters)
            hints = found.hints
            yield distance_rows(found, at)


def distance_rows(found: LabelDistances, at: Where) -> list[Finding]:
    """The rows of one space's label distances, and the distances of all pairs of labels."""
    note = "; ".join(found.warnings)
    upper = found.distances[np.triu_indices(len(found.classes), 1)]
    reason = note or "no clusters left to measure, or only one label"
    rows: list[Finding] = [
        ResultRow(*at, m.N_EXAMPLES, value=found.n_examples),
        ResultRow(*at, m.N_LABELS, value=len(found.classes)),
        ResultRow(*at, m.N_CLUSTERS, value=found.n_clusters, note=note),
        ResultRow(*at, m.IS_LINEAR, value=float(found.is_linear)),
        ResultRow(*at, m.N_CONTRADICTIONS, value=found.n_contradictions, note=found.contradictions),
        _mean_minimum(at, found),
        _mean(at, m.MEAN_DISTANCE, upper),
    ]
    for measure, values, why in (
        (m.MIN_DISTANCE, found.min_distances, reason),
        (m.INSIDE_MEAN, found.inside_mean, "no cluster of two examples"),
        (m.INSIDE_MAX, found.inside_max, "no cluster of two examples"),
    ):
        for label, value in zip(found.classes, values.tolist(), strict=True):
            rows.append(ResultRow(*at, measure, label, value=defined(value), note=why if math.isnan(value) else ""))
    return [*rows, LabelPairs(*at, m.LABEL_DISTANCE, found.classes, upper, reason)]


def _mean_minimum(at: Where, found: LabelDistances) -> ResultRow:
    """The mean minimum distance; labels that are each other's nearest share one number, which the interval knows."""
    mean = _mean(at, m.MEAN_MIN_DISTANCE, found.min_distances)
    low, high, n = mean_interval(found.min_distances, shared_minimum_groups(found.distances))
    note = "; ".join(filter(None, (mean.note, f"{n} independent values" if n else "")))
    return replace(mean, low=defined(low), high=defined(high), note=note)


def _mean(at: Where, measure: str, values: np.ndarray) -> ResultRow:
    """The mean of the defined values, how many there are, and a note when some are missing."""
    known = values[np.isfinite(values)]
    missing = len(values) - len(known)
    note = f"{missing} of {len(values)} undefined" if missing or not len(values) else ""
    return ResultRow(*at, measure, value=float(known.mean()) if len(known) else None, n=len(known), note=note)
