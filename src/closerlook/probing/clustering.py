"""DirectProbe's greedy clustering, exact: which clusters of one label may be merged without meeting another label.

Labels whose hulls meet no other hull are one cluster at once. For the rest, merges are taken in the order of plain
centroid linkage, and each is checked against the clusters of the labels it is in conflict with, with proofs in the
order of their price: the direction between two anchors, separators that were found before, witnesses of a common
point that were found before, the solver.
"""

from collections import deque
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from closerlook.probing import _active_set, _axes, _linkage, _separation
from closerlook.probing.hulls import FloatArray

IntArray = NDArray[np.int64]
_NOBODY = np.empty(0, dtype=np.int64)


@dataclass
class Counts:
    """What the clustering had to do.

    Attributes:
        exact_solves: hull pairs given to the solver.
        cheap_verdicts: hull pairs decided by a known direction or a known common point.
        refusals: merges refused (not counting the pairs that inherit a refusal).
        merges: merges done one by one.
    """

    exact_solves: int = 0
    cheap_verdicts: int = 0
    refusals: int = 0
    merges: int = 0


@dataclass(frozen=True, eq=False)
class Refusal:
    """Why two clusters of one label were not merged: a common point with a cluster of another label.

    Attributes:
        merged: indices of the examples of the two clusters.
        rival: indices of the examples of the cluster that they would meet.
        support: indices of the examples whose convex combinations coincide.
        weights: their weights; those of `merged` and those of `rival` sum to 1 each.
    """

    merged: IntArray
    rival: IntArray
    support: IntArray
    weights: FloatArray

    def of(self, rows: IntArray) -> "Refusal":
        """Translate positions within `rows` to the examples that they stand for."""
        return Refusal(rows[self.merged], rows[self.rival], rows[self.support], self.weights)


class _Start(NamedTuple):
    """Where the solver stopped, to go on from when one of the two clusters has grown."""

    support: IntArray
    weights: FloatArray
    factor: FloatArray
    centre: FloatArray
    tau: float


_COLD = _Start(_NOBODY, np.empty(0), np.empty((0, 0)), np.empty(0), 1.0)


@dataclass
class _Separator:
    """A direction between two clusters, and where the solver stopped if it was the solver that found it."""

    normal: FloatArray
    start: _Start = _COLD

    def mirrored(self) -> "_Separator":
        """The same, seen from the other cluster."""
        factor = self.start.factor.copy()
        if len(factor):
            factor[:, [-2, -1]] = factor[:, [-1, -2]]  # the right-hand sides of the two constraints
        return _Separator(-self.normal, self.start._replace(factor=factor))


@dataclass
class _Label:
    """Linkage of the clusters of one label; row numbers are positions in `points`."""

    points: IntArray
    centroid: FloatArray
    size: FloatArray
    active: NDArray[np.bool_]
    refused: NDArray[np.bool_]
    near: IntArray
    far: FloatArray

    @classmethod
    def of(cls, X: FloatArray, points: IntArray, scale: float) -> "_Label":
        n = len(points)
        label = cls(
            points,
            X[points],
            np.ones(n),
            np.ones(n, dtype=np.bool_),
            np.zeros((0, 0), dtype=np.bool_),
            np.full(n, -1, dtype=np.int64),
            np.full(n, np.inf),
        )
        _linkage.look_all(*label.state[:1], *label.state[2:4], scale, label.near, label.far)
        return label

    @property
    def state(self) -> tuple[FloatArray, FloatArray, NDArray[np.bool_], NDArray[np.bool_]]:
        return self.centroid, self.size, self.active, self.refused

    def head(self, scale: float) -> tuple[float, int, int] | None:
        row = _linkage.best_pair(self.active, self.near, self.far, scale)
        return None if row < 0 else (float(self.far[row]), int(row), int(self.near[row]))

    def merge(self, i: int, j: int, scale: float) -> None:
        _linkage.merge(*self.state, scale, self.near, self.far, i, j)

    def refuse(self, i: int, j: int, scale: float) -> None:
        if not len(self.refused):
            self.refused = np.zeros((len(self.points),) * 2, dtype=np.bool_)
        _linkage.refuse(self.centroid, self.active, self.refused, scale, self.near, self.far, i, j)


@dataclass
class GreedyClustering:
    """Greedy merging of the clusters of labels that are in conflict with each other.

    Args:
        X: (n, d) float64 points of these labels only, centred.
        y: (n,) label codes 0..n_labels-1.
        conflict: (n_labels, n_labels) symmetric, whether the hulls of two labels meet.
        frozen: (n,) points that coincide with a point of another label: they never merge.
    """

    X: FloatArray
    y: IntArray
    conflict: NDArray[np.bool_]
    frozen: NDArray[np.bool_]
    counts: Counts = field(default_factory=Counts)
    refusals: list[Refusal] = field(default_factory=list)

    def __post_init__(self) -> None:
        n = len(self.X)
        self._scale = float(np.sqrt((self.X**2).sum(axis=1).max()))
        self._margin = _separation.CLEAR * self._scale**2
        self._cluster_of = np.arange(n)
        self._members = {i: np.array([i]) for i in range(n)}
        self._anchor = self.X.copy()
        self._own = (self.X**2).sum(axis=1)
        self._position = np.zeros(n, dtype=np.int64)
        self._rival = self.conflict[:, self.y]
        self._separators: dict[int, dict[int, _Separator]] = {}
        self._witnesses: dict[int, deque[Refusal]] = {}  # by the code of the label that was refused

    @cached_property
    def _principal_axes(self) -> _axes.PrincipalAxes:
        """Axes of all points; most clusterings never need them."""
        return _axes.PrincipalAxes.of(self.X)

    def run(self) -> IntArray:
        """Merge until nothing can be merged; return (n,) the smallest member of each point's cluster."""
        labels = [
            _Label.of(self.X, np.flatnonzero((self.y == code) & ~self.frozen), self._scale)
            for code in range(len(self.conflict))
            if np.any((self.y == code) & ~self.frozen)
        ]
        heads = [label.head(self._scale) for label in labels]
        while (at := self._closest(labels, heads)) is not None:
            label, head = labels[at], heads[at]
            assert head is not None  # noqa: S101  (for the type checker: _closest skips empty heads)
            _, i, j = head
            if self._try_merge(label, i, j):
                label.merge(i, j, self._scale)
                self.counts.merges += 1
            else:
                label.refuse(i, j, self._scale)
                self.counts.refusals += 1
            heads[at] = label.head(self._scale)
        return self._cluster_of

    def _closest(self, labels: list[_Label], heads: list[tuple[float, int, int] | None]) -> int | None:
        """Position of the label with the closest pair; among ties that of the smallest members."""
        order = sorted((int(labels[t].points[head[1]]), t, head[0]) for t, head in enumerate(heads) if head is not None)
        at, limit = None, np.inf
        for _, t, square in order:
            if square < limit:
                at, limit = t, square - _linkage.tie_slack(square, self._scale)
        return at

    def _try_merge(self, label: _Label, i: int, j: int) -> bool:
        """Merge two clusters of a label unless the merged hull meets one of another label."""
        a, b = int(label.points[i]), int(label.points[j])
        big, small = (a, b) if len(self._members[a]) >= len(self._members[b]) else (b, a)
        merged = np.concatenate([self._members[big], self._members[small]])
        centroid = label.centroid[i] + (label.centroid[j] - label.centroid[i]) * (
            label.size[j] / (label.size[i] + label.size[j])
        )
        separators = self._separate(big, small, merged, centroid)
        if separators is None:
            return False
        self._commit(a, b, big, merged, separators)
        return True

    def _separate(self, big: int, small: int, merged: IntArray, centroid: FloatArray) -> dict[int, _Separator] | None:
        """Separators of the merged cluster where anchors are not enough; None if it meets a cluster."""
        code = self.y[big]
        known = self._separators.get(big, {})
        failed = _separation.not_separated(
            self.X, self._cluster_of, self._rival[code], self._anchor, self._own,
            self._anchor[big], self._members[small], self._margin,
        )  # fmt: skip
        self.counts.cheap_verdicts += len(self._members) - len(failed)
        separators: dict[int, _Separator] = {}
        open_pairs = []
        for rival in sorted({*failed.tolist(), *known}):
            separator = self._cheap(big, small, rival, merged, centroid)
            if separator is None:
                open_pairs.append(rival)
            else:
                separators[rival] = separator
        if open_pairs and self._witnessed(int(code), merged):
            return None
        for rival in sorted(open_pairs, key=lambda r: (-len(self._members[r]), r)):
            found = self._solve(big, small, rival, merged)
            if found is None:
                return None
            separators[rival] = found
        return separators

    def _cheap(self, big: int, small: int, rival: int, merged: IntArray, centroid: FloatArray) -> _Separator | None:
        """A separator that is at hand, checked on all points."""
        others = self._members[rival]
        for part, points in ((big, self._members[small]), (small, self._members[big])):
            separator = self._separators.get(part, {}).get(rival)
            if separator is not None and self._separates(separator.normal, points, others):
                self.counts.cheap_verdicts += 1
                return separator
        direction = centroid - self.X[others].mean(axis=0)
        if self._separates(direction, merged, others):
            self.counts.cheap_verdicts += 1
            return _Separator(direction)
        return None

    def _separates(self, normal: FloatArray, inside: IntArray, outside: IntArray) -> bool:
        margin = _separation.CLEAR * self._scale * float(np.linalg.norm(normal))
        return bool(_separation.separates(self.X, normal, inside, outside, margin))

    def _witnessed(self, code: int, merged: IntArray) -> bool:
        """Whether a common point that was found before lies in this hull and in one cluster's."""
        for witness in self._witnesses.get(code, ()):
            side = self.y[witness.support] == code
            rivals = self._cluster_of[witness.support[~side]]
            if (rivals == rivals[0]).all() and np.isin(witness.support[side], merged).all():
                self.counts.cheap_verdicts += 1
                rival = self._members[int(rivals[0])]
                self.refusals.append(Refusal(merged, rival, witness.support, witness.weights))
                return True
        return False

    def _solve(self, big: int, small: int, rival: int, merged: IntArray) -> _Separator | None:
        """Ask the solver, starting from what it knew about the larger part; None if the hulls meet."""
        others = self._members[rival]
        separator = self._separators.get(big, {}).get(rival)
        start = _COLD if separator is None else separator.start
        both = np.concatenate([merged, others])
        verdict, support, weights, normal, steps, *stop = self._decide(merged, others, both, start)
        if verdict == _active_set.UNDECIDED:
            verdict, _, _, support, weights, normal, steps = _axes.look_again(
                self._principal_axes, merged, others, support, weights, 1e-6, 0.0
            )
            stop[0] = _COLD.factor
        if verdict == _active_set.UNDECIDED:
            msg = (
                f"Could not decide whether the hulls of {len(merged)} and {len(others)} points meet ({steps} steps): "
                "refusing to guess. Scale the features to one range, or remove near-duplicate points."
            )
            raise ArithmeticError(msg)
        if verdict == _active_set.MEET:
            refusal = Refusal(merged, others, both[support], weights)
            self.refusals.append(refusal)
            self._witnesses.setdefault(int(self.y[big]), deque(maxlen=16)).appendleft(refusal)
            return None
        return _Separator(normal / np.linalg.norm(normal), _Start(both[support], weights, *stop))

    def _decide(self, merged: IntArray, others: IntArray, both: IntArray, start: _Start) -> tuple[Any, ...]:
        self.counts.exact_solves += 1
        self._position[both] = np.arange(len(both))
        warm = self._position[start.support]
        centre = start.centre if len(warm) else self.X[0]
        verdict, support, weights, shortest, *rest = _active_set.decide_pair(
            self.X, merged, others, warm, start.weights, start.factor, centre, start.tau
        )
        return verdict, support, weights, shortest, *rest

    def _commit(self, a: int, b: int, big: int, merged: IntArray, separators: dict[int, _Separator]) -> None:
        """Replace clusters a < b by their union, which keeps the anchor of the larger one."""
        gone = self._members.pop(b)
        self._members[a] = merged
        self._cluster_of[gone] = a
        self._anchor[a] = self._anchor[big]
        small_points = merged[len(merged) - min(len(gone), len(merged) - len(gone)) :]
        _separation.set_anchor(self.X, small_points, self._anchor[a], self._own)
        for old in (a, b):
            for rival in self._separators.pop(old, {}):
                self._separators[rival].pop(old, None)
        if separators:
            self._separators[a] = separators
        for rival, separator in separators.items():
            self._separators.setdefault(rival, {})[a] = separator.mirrored()
