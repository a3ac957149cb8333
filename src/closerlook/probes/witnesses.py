"""Which examples hold labels apart, and which are where labels meet: the supports of DirectProbe's certificates.

The closest points of two hulls are weighted means of a few examples, their *witnesses*. Take one of them away and the
labels move further apart; take any other example away and nothing changes. Where hulls meet, the witnesses are the
examples whose weighted means coincide. DirectProbe has found them when it has proved a distance: nothing is solved
again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from closerlook import measures as m
from closerlook.probes.fitted_space import FIT, fit_space
from closerlook.probes.space_probe import Finding, OneSpaceProbe, Scope, Where, where
from closerlook.probing import DirectProbe, Hints
from closerlook.probing.clustering import Refusal
from closerlook.probing.hints import Support
from closerlook.representations.reader import SnapshotReader
from closerlook.results.packed import examples_digest, pack
from closerlook.results.rows import ResultRow
from closerlook.results.store import CellKey
from closerlook.results.witnesses import KeptApart, PairWitnesses

_MOST_MEMBERS = 20


@dataclass(frozen=True)
class WitnessAnalysis(OneSpaceProbe):
    """Witnesses as a probe of snapshots; one cell per snapshot, layer and split.

    Attributes:
        max_pairs: Pairs of labels that are kept: all labels' nearest partners first, then the closest pairs.
        max_witnesses: Examples a label that are kept of a pair that is nobody's nearest, the heaviest first.
        max_clusters: Extra clusters whose reason is kept, the largest first.
    """

    max_pairs: int = 200
    max_witnesses: int = 16
    max_clusters: int = 200
    name: str = "witnesses"
    chain: ClassVar[int] = 20
    shares: ClassVar[str] = FIT
    version: ClassVar[int] = 1

    def compute(self, reader: SnapshotReader, key: CellKey, scope: Scope) -> Sequence[Finding]:
        """Witnesses of one space."""
        return next(self.compute_chain(reader, [key], scope))

    def compute_chain(
        self, reader: SnapshotReader, keys: Sequence[CellKey], scope: Scope
    ) -> Iterator[Sequence[Finding]]:
        """Witnesses of snapshots of one layer and split, each fit with hints from the one before."""
        hints: Hints | None = None
        for key in keys:
            at = where(reader, key)
            probe, _, X, y = fit_space(reader, at.place, min_cluster_size=1, hints=hints)
            hints = probe.hints_
            examples = reader.examples(at.place.split)
            space = Space(X, y, examples_digest(examples["example_id"].tolist()))
            yield list(self._rows(at, space, probe))

    def _rows(self, at: Where, space: Space, probe: DirectProbe) -> Iterator[ResultRow]:
        pairs = find_witnesses(space, probe)
        if not pairs:
            yield ResultRow(*at, m.WITNESS_SHARE, note="only one label: nothing holds it apart")
            return
        flagged = np.zeros(len(space.y), dtype=bool)
        for pair in pairs:
            if pair.nearest_of:
                flagged[pair.rows] = True
            for label in pair.nearest_of:
                yield ResultRow(
                    *at, m.N_WITNESSES, label, value=pair.n_all[label != pair.label], note=_partner(pair, label)
                )
        yield ResultRow(*at, m.WITNESS_SHARE, value=float(flagged.mean()), n=int(flagged.sum()))
        kept = sorted(pairs, key=lambda pair: (not pair.nearest_of, pair.distance))[: self.max_pairs]
        for pair in kept:
            stored = pair if pair.nearest_of else heaviest(pair, self.max_witnesses)
            yield ResultRow(
                *at, m.WITNESSES, pair.label, pair.other, value=pair.distance, n=sum(pair.n_all), note=stored.packed()
            )
        yield ResultRow(*at, m.WITNESS_LOAD, n=len(pairs), note=_loads(pairs, space, probe))
        for one in kept_apart(space, probe)[: self.max_clusters]:
            yield ResultRow(*at, m.KEPT_APART, one.label, one.other, value=one.size, note=one.packed())


class Space(NamedTuple):
    """A labelled space.

    Attributes:
        X: (n_examples, n_features) vectors.
        y: (n_examples,) labels.
        examples: Digest of the examples.
    """

    X: np.ndarray
    y: np.ndarray
    examples: str


def find_witnesses(space: Space, probe: DirectProbe) -> list[PairWitnesses]:
    """The witnesses of all pairs of labels, whole labels whatever their clusters.

    With so many labels that the proofs did not fit into memory, of all labels' nearest partners only.

    Args:
        space: The space.
        probe: DirectProbe, fitted on it.
    """
    distances = _label_distances(space.y, probe)
    nearest = _nearest(distances)
    found = probe.hints_.labels or tuple(_solve_again(space, nearest))
    return [_pair(space, support, distances, nearest) for support in found]


def _label_distances(y: np.ndarray, probe: DirectProbe) -> dict[tuple[str, str], float]:
    """Distance of the hulls of every two labels, by their sorted names."""
    names, first = np.unique(y, return_index=True)
    order = names[np.argsort(first)]
    certificates = probe.label_certificates_
    keys = ((str(order[i]), str(order[j])) for i, j in certificates)
    return {(min(key), max(key)): value for key, value in zip(keys, certificates.distances.tolist(), strict=True)}


def _nearest(distances: dict[tuple[str, str], float]) -> dict[str, str]:
    """Each label's nearest one; of equally near ones the first by name."""
    best: dict[str, tuple[float, str]] = {}
    for (a, b), distance in distances.items():
        for label, other in ((a, b), (b, a)):
            if not np.isnan(distance):
                best[label] = min(best.get(label, (np.inf, "")), (distance, other))
    return {label: other for label, (_, other) in best.items()}


def _solve_again(space: Space, nearest: dict[str, str]) -> Iterator[Support]:
    """The supports of nearest pairs, where they were not kept: each is solved by itself."""
    for a, b in sorted({(min(pair), max(pair)) for pair in nearest.items()}):
        rows = np.flatnonzero((space.y == a) | (space.y == b))
        for support in DirectProbe(n_jobs=1).fit(space.X[rows], space.y[rows]).hints_.labels:
            yield support._replace(rows=rows[support.rows])


def _pair(
    space: Space, support: Support, distances: dict[tuple[str, str], float], nearest: dict[str, str]
) -> PairWitnesses:
    sides = [str(space.y[support.rows[side][0]]) for side in (support.first, ~support.first)]
    first = support.first if sides[0] < sides[1] else ~support.first
    a, b = sorted(sides)
    rows, weights, counts = [], [], []
    for side in (first, ~first):
        order = np.argsort(-support.weights[side], kind="stable")
        rows.append(support.rows[side][order])
        weights.append(support.weights[side][order] / support.weights[side].sum())
        counts.append(int(side.sum()))
    return PairWitnesses(
        label=a,
        other=b,
        distance=distances[a, b],
        rows=np.concatenate(rows),
        weights=np.concatenate(weights),
        first=np.arange(sum(counts)) < counts[0],
        n_all=(counts[0], counts[1]),
        nearest_of=tuple(name for name, other in ((a, b), (b, a)) if nearest.get(name) == other),
        examples=space.examples,
    )


def heaviest(pair: PairWitnesses, n: int) -> PairWitnesses:
    """The same with at most ``n`` examples of each label."""
    kept = np.concatenate([np.flatnonzero(pair.first)[:n], np.flatnonzero(~pair.first)[:n]])
    return PairWitnesses(
        label=pair.label,
        other=pair.other,
        distance=pair.distance,
        rows=pair.rows[kept],
        weights=pair.weights[kept],
        first=pair.first[kept],
        n_all=pair.n_all,
        nearest_of=pair.nearest_of,
        examples=pair.examples,
    )


def _partner(pair: PairWitnesses, label: str) -> str:
    other = pair.other if label == pair.label else pair.label
    verb = "meets" if pair.meets else "against"
    return f"{verb} {other}, of which {pair.n_all[other != pair.label]} examples take part"


def _loads(pairs: Sequence[PairWitnesses], space: Space, probe: DirectProbe) -> str:
    """By example: in how many pairs of its label it is a witness, its weights there added up, and its extra cluster.

    The extra cluster is 0 in a label's largest cluster, else the number of examples in it, 255 at most.
    """
    against, load = np.zeros(len(space.y), dtype=np.uint16), np.zeros(len(space.y))
    for pair in pairs:
        against[pair.rows] += 1
        load[pair.rows] += pair.weights
    sizes = np.bincount(probe.labels_)
    extra = np.where(_in_largest(probe), 0, np.minimum(sizes[probe.labels_], 255)).astype(np.uint8)
    return pack({"against": against, "load": load.astype(np.float32), "extra": extra}, space.examples)


def _in_largest(probe: DirectProbe) -> np.ndarray:
    return np.isin(probe.labels_, list(_largest(probe).values()))


def _largest(probe: DirectProbe) -> dict[str, int]:
    """Each label's largest cluster; of equally large ones the first."""
    sizes = np.bincount(probe.labels_)
    order = np.argsort(-sizes, kind="stable")[::-1]
    return {str(probe.cluster_labels_[k]): int(k) for k in order}  # later ones win: the largest


def kept_apart(space: Space, probe: DirectProbe) -> list[KeptApart]:
    """Why each extra cluster of a label is apart from the label's largest one, the largest extra clusters first.

    The proof is the refusal of a merge of parts of the two: the hull of all of both meets the other label all the more.
    An example whose vector another label has too is never merged.

    Args:
        space: The space.
        probe: DirectProbe, fitted on it.
    """
    if probe.is_linear_:
        return []
    largest, best = _largest(probe), dict[int, tuple[tuple[bool, int], Refusal]]()
    for refusal in probe.refusals_:
        clusters = np.unique(probe.labels_[refusal.merged])
        main = largest[str(probe.cluster_labels_[clusters[0]])]
        for extra in clusters[clusters != main].tolist():
            grade = (len(clusters) != 2 or main not in clusters, len(refusal.support))
            if extra not in best or grade < best[extra][0]:
                best[extra] = grade, refusal
    for rows in probe.contradictions_:
        for row in rows:
            twin = rows[space.y[rows] != space.y[row]][:1]
            extra = int(probe.labels_[row])
            if extra not in best and extra not in largest.values():
                best[extra] = (True, 2), Refusal(np.array([row]), twin, np.r_[row, twin], np.ones(2))
    found = [_refused(space, probe, extra, refusal) for extra, (_, refusal) in best.items()]
    return sorted(found, key=lambda one: (-one.size, one.label))


def _refused(space: Space, probe: DirectProbe, cluster: int, refusal: Refusal) -> KeptApart:
    members = np.flatnonzero(probe.labels_ == cluster)
    label = str(probe.cluster_labels_[cluster])
    own = space.y[refusal.support] == label
    rival = refusal.support[~own]
    return KeptApart(
        label=label,
        other=str(space.y[rival[0]]),
        size=len(members),
        members=members[:_MOST_MEMBERS],
        own=refusal.support[own],
        own_weights=refusal.weights[own],
        foreign=rival,
        foreign_weights=refusal.weights[~own],
        examples=space.examples,
    )
