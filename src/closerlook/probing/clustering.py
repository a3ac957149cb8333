"""DirectProbe's greedy clustering, exact: which clusters of one label may be merged without meeting another label.

Labels whose hulls meet no other hull are one cluster at once. For the rest, merges are taken in the order of plain
centroid linkage. Hulls only grow: if all clusters are disjoint after some merges, each of these was allowed, so the
first merge that is not is found by bisection. From there on each merge is checked against the clusters of the labels
it is in conflict with, with proofs in the order of their price: the direction between two anchors, separators that
were found before, witnesses of a common point that were found before, the solver.

Whether hulls meet is a question about affine coordinates. Points that are almost flat in a direction are looked at
along their principal axes, stretched to one extent: there a verdict does not depend on the way the solver took to it.
"""

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from closerlook.probing import _active_set, _axes, _linkage, _separation
from closerlook.probing.hulls import FloatArray

IntArray = NDArray[np.int64]
_NOBODY = np.empty(0, dtype=np.int64)

#: Separations below this share of the extent are left to the solver.
_CLEAR = 1e-13


@dataclass
class Counts:
    """What the clustering had to do.

    Attributes:
        exact_solves: hull pairs given to the solver.
        cheap_verdicts: hull pairs decided by a known direction or a known common point.
        refusals: merges refused (not counting the pairs that inherit a refusal).
        merges: merges done.
        hints_used: hull pairs whose solve started from a hint.
        hints_rejected: hints that did not fit the points, or led to no answer.
    """

    exact_solves: int = 0
    cheap_verdicts: int = 0
    refusals: int = 0
    merges: int = 0
    hints_used: int = 0
    hints_rejected: int = 0


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


class _Witness(NamedTuple):
    """A common point of two clusters: points, their weights, and which of them are of the other label."""

    support: IntArray
    weights: FloatArray
    side: NDArray[np.bool_]


class _Start(NamedTuple):
    """Where the solver stopped, to go on from when one of the two clusters has grown."""

    support: IntArray
    weights: FloatArray
    factor: FloatArray
    centre: FloatArray
    tau: float


_COLD = _Start(_NOBODY, np.empty(0), np.empty((0, 0)), np.empty(0), 1.0)


class _Separator(NamedTuple):
    """A direction between two clusters: ``low`` is the lowest product inside, ``high`` the highest outside.

    ``start`` is where the solver stopped if it was the solver that found it.
    """

    normal: FloatArray
    low: float
    high: float
    start: _Start = _COLD

    def mirrored(self) -> "_Separator":
        """The same, seen from the other cluster."""
        factor = self.start.factor.copy()
        if len(factor):
            factor[:, [-2, -1]] = factor[:, [-1, -2]]  # the right-hand sides of the two constraints
        return _Separator(-self.normal, -self.high, -self.low, self.start._replace(factor=factor))


def _refuse_beyond_memory(n: int) -> None:
    """Distances between all points of a label are kept while it is clustered.

    Raises:
        ValueError: They would not fit into half of this machine's memory.
    """
    needed, there = 8 * n * n, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there / 2:
        raise ValueError(
            f"a label of {n:,} points meets another one, and its clustering would keep {needed / 1e9:.0f} GB of "
            f"distances; expected at most half of the {there / 1e9:.0f} GB of this machine. Store fewer examples "
            "(snapshot.max_examples=20000, stratified by label) or fit a sample"
        )


@dataclass
class _Label:
    """Linkage of the clusters of one label; row numbers are positions in `names`."""

    names: IntArray
    centroid: FloatArray
    size: FloatArray
    scale: float

    def __post_init__(self) -> None:
        n = len(self.names)
        _refuse_beyond_memory(n)
        square = (self.centroid**2).sum(axis=1)
        self._kept = self.centroid @ self.centroid.T
        self._kept *= -2
        self._kept += square
        self._kept += square[:, None]
        np.fill_diagonal(self._kept, np.inf)
        self._near, self._far = np.full(n, -1, dtype=np.int64), np.full(n, np.inf)
        _linkage.look_all(self.centroid, self._kept, self.scale, self._near, self._far)

    def head(self) -> tuple[float, int, int] | None:
        row = _linkage.best_pair(self._near, self._far, self.scale)
        return None if row < 0 else (float(self._far[row]), int(row), int(self._near[row]))

    def merge(self, i: int, j: int) -> None:
        _linkage.merge(self.centroid, self.size, self._kept, self.scale, self._near, self._far, i, j)

    def refuse(self, i: int, j: int) -> None:
        _linkage.refuse(self.centroid, self._kept, self.scale, self._near, self._far, i, j)

    def run(self) -> Iterator[tuple[float, int, int]]:
        """All heads to come if nothing is refused."""
        pairs, squares = np.empty((len(self.names), 2), dtype=np.int64), np.empty(len(self.names))
        n = _linkage.run(self.centroid, self.size, self._kept, self.scale, self._near, self._far, pairs, squares)
        return zip(squares[:n].tolist(), *pairs[:n].T.tolist(), strict=True)


def _closest(labels: list[_Label], heads: list[tuple[float, int, int] | None]) -> int | None:
    """Position of the label with the closest pair; among ties that of the smallest members."""
    order = sorted((int(labels[t].names[head[1]]), t, head[0]) for t, head in enumerate(heads) if head is not None)
    at, limit = None, np.inf
    for _, t, square in order:
        if square < limit:
            at, limit = t, square - _linkage.tie_slack(square, labels[t].scale)
    return at


class _State:
    """The clusters after the first merges of plain linkage, and separators of those that anchors do not separate."""

    def __init__(self, merges: IntArray, n_points: int) -> None:
        self.roots = np.arange(n_points)
        self.roots[merges[:, 1]] = merges[:, 0]
        while (self.roots != (further := self.roots[self.roots])).any():
            self.roots = further
        self.n_merges = len(merges)
        order = np.argsort(self.roots, kind="stable")
        self.names, start = np.unique(self.roots[order], return_index=True)
        self.members = np.split(order, start[1:])
        self.separators: dict[tuple[int, int], _Separator] = {}

    def known(self, a: int, b: int, others: "list[_State]") -> "_Separator | None":
        """What other states know about the clusters named a and b, the larger hulls first."""
        for state in sorted(others, key=lambda state: -state.n_merges):
            if state.n_merges >= self.n_merges:
                found = state.separators.get((int(state.roots[a]), int(state.roots[b])))
            else:
                parts = [s for (c, e), s in state.separators.items() if (self.roots[c], self.roots[e]) == (a, b)]
                found = parts[-1] if parts else None
            if found is not None:
                return found
        return None


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
        self._scale = float(np.sqrt((self.X**2).sum(axis=1).max()))
        self._points, self._factor = self.X, np.ones(self.X.shape[1])
        if _axes.is_flat(self.X):
            self._points, back = self._principal_axes.stretched(0.0)
            self._factor = np.linalg.norm(back, axis=0)
        self._extent = float(np.sqrt((self._points**2).sum(axis=1).max()))
        self._position = np.zeros(len(self.X), dtype=np.int64)
        self._suspects: tuple[IntArray, ...] = ()  # the last two clusters that were found to meet
        self._witnesses: dict[int, deque[_Witness]] = {}  # by the code of the label that was refused

    @cached_property
    def _principal_axes(self) -> _axes.PrincipalAxes:
        """Axes of all points; most clusterings never need them."""
        return _axes.PrincipalAxes.of(self.X)

    def run(self) -> IntArray:
        """Merge until nothing can be merged; return (n,) the smallest member of each point's cluster."""
        codes = [code for code in range(len(self.conflict)) if np.any((self.y == code) & ~self.frozen)]
        rows = [np.flatnonzero((self.y == code) & ~self.frozen) for code in codes]
        merges = self._plain_order(rows)
        state = self._proved(merges)
        self.counts.merges += state.n_merges
        self._adopt(state)
        labels = [self._label(part, merges[: state.n_merges]) for part in rows]
        heads = [label.head() for label in labels]
        while (at := _closest(labels, heads)) is not None:
            label, head = labels[at], heads[at]
            assert head is not None  # noqa: S101  (for the type checker: _closest skips empty heads)
            _, i, j = head
            if self._try_merge(*np.searchsorted(self._names, label.names[[i, j]]).tolist()):
                label.merge(i, j)
                self.counts.merges += 1
            else:
                label.refuse(i, j)
                self.counts.refusals += 1
            heads[at] = label.head()
        roots = np.empty(len(self.X), dtype=np.int64)
        for name, members in zip(self._names, self._members, strict=True):
            roots[members] = name
        return roots

    def _plain_order(self, rows: list[IntArray]) -> IntArray:
        """Merges (n_merges, 2) of all labels if none were refused, by smallest members."""
        labels = [_Label(part, self.X[part], np.ones(len(part)), self._scale) for part in rows]
        runs = [label.run() for label in labels]
        heads = [next(run, None) for run in runs]
        merges = []
        while (at := _closest(labels, heads)) is not None:
            head = heads[at]
            assert head is not None  # noqa: S101  (for the type checker)
            merges.append(labels[at].names[[head[1], head[2]]])
            heads[at] = next(runs[at], None)
        return np.array(merges, dtype=np.int64).reshape(-1, 2)

    def _label(self, rows: IntArray, merges: IntArray) -> _Label:
        """Linkage of one label after some merges; centroids go the way that linkage takes them."""
        centroid, size = self.X[rows], np.ones(len(rows))
        kept = np.ones(len(rows), dtype=np.bool_)
        for i, j in np.searchsorted(rows, merges[np.isin(merges[:, 0], rows)]):
            size[i] += size[j]
            centroid[i] += (centroid[j] - centroid[i]) * (size[j] / size[i])
            kept[j] = False
        return _Label(rows[kept], centroid[kept], size[kept], self._scale)

    def _proved(self, merges: IntArray) -> _State:
        """The last state of plain linkage in which all clusters are disjoint from those they may meet."""
        good, bad, failed = _State(merges[:0], len(self.X)), len(merges) + 1, list[_State]()
        while good.n_merges + 1 < bad:
            at = len(merges) if bad > len(merges) else (good.n_merges + bad) // 2
            state = _State(merges[:at], len(self.X))
            if self._is_apart(state, [good, *failed]):
                good = state
            else:
                failed.append(state)
                bad = at
        return good

    def _is_apart(self, state: _State, others: list[_State]) -> bool:
        """Whether all clusters of labels in conflict are disjoint; keeps the separators that it took."""
        if self._suspects and not self._pair_is_apart(state, *self._suspect_pair(state), others):
            return False  # for the price of one pair
        codes = self.y[state.names]
        rivals = np.triu(self.conflict[codes][:, codes], 1)
        open_pairs = np.argwhere(rivals & ~self._anchors(state.members).all_apart())
        self.counts.cheap_verdicts += int(rivals.sum()) - len(open_pairs)
        sizes = np.array([len(rows) for rows in state.members])
        order = np.argsort(-sizes[open_pairs].sum(axis=1), kind="stable")
        return all(self._pair_is_apart(state, c, e, others) for c, e in open_pairs[order].tolist())

    def _suspect_pair(self, state: _State) -> tuple[int, int]:
        """The clusters that most of two clusters belong to that met after more merges."""
        sides = (np.searchsorted(state.names, state.roots[rows]) for rows in self._suspects)
        c, e = sorted(int(np.bincount(side).argmax()) for side in sides)
        return c, e

    def _pair_is_apart(self, state: _State, c: int, e: int, others: list[_State]) -> bool:
        a, b, name = state.members[c], state.members[e], (int(state.names[c]), int(state.names[e]))
        if name in state.separators:
            return True
        known = state.known(*name, others)
        found: _Separator | Refusal | None = None if known is None else self._separator(known.normal, a, b)
        if isinstance(found, _Separator) and known is not None:
            self.counts.cheap_verdicts += 1
            found = found._replace(start=known.start)
        else:
            found = self._solve(a, b, known)
        if isinstance(found, Refusal):
            self._suspects = (a, b)
            return False
        state.separators[name] = found
        return True

    def _anchors(self, members: list[IntArray]) -> _separation.Anchors:
        seen = _active_set.ROUNDING * self._scale * float(self._factor.max())
        return _separation.Anchors(self._points, members, 2 * self._extent * max(_CLEAR * self._extent, seen))

    def _adopt(self, state: _State) -> None:
        """Go on from a state, one merge at a time; clusters are numbered as in it from here on."""
        self._names, self._members = state.names, state.members
        self._cluster_of = np.searchsorted(state.names, state.roots)
        self._codes = self.y[state.names]
        self._alive = np.ones(len(state.names), dtype=np.bool_)
        self._standing = self._anchors(state.members)
        self._separators: dict[int, dict[int, _Separator]] = {}
        for (a, b), separator in state.separators.items():
            c, e = np.searchsorted(state.names, [a, b]).tolist()
            self._separators.setdefault(c, {})[e] = separator
            self._separators.setdefault(e, {})[c] = separator.mirrored()

    def _try_merge(self, a: int, b: int) -> bool:
        """Merge two clusters of a label unless the merged hull meets one of another label."""
        big, small = (a, b) if len(self._members[a]) >= len(self._members[b]) else (b, a)
        merged = np.concatenate([self._members[big], self._members[small]])
        separators = self._separate(big, small, merged)
        if separators is None:
            return False
        self._commit(a, b, big, merged, separators)
        return True

    def _separate(self, big: int, small: int, merged: IntArray) -> dict[int, _Separator] | None:
        """Separators of the merged cluster where anchors are not enough; None if it meets a cluster."""
        rivals = np.flatnonzero(self.conflict[self._codes[big]][self._codes] & self._alive)
        apart = self._standing.apart_with(big, self._members[small])[rivals]
        self.counts.cheap_verdicts += int(apart.sum())
        separators: dict[int, _Separator] = {}
        open_pairs = []
        for rival in rivals[~apart].tolist():
            separator = self._cheap(big, small, rival, merged)
            if separator is None:
                open_pairs.append(rival)
            else:
                self.counts.cheap_verdicts += 1
                separators[rival] = separator
        if open_pairs and self._is_witnessed(big, small, merged):
            return None
        for rival in sorted(open_pairs, key=lambda r: (-len(self._members[r]), r)):
            found = self._solve(merged, self._members[rival], self._separators.get(big, {}).get(rival))
            if isinstance(found, Refusal):
                self.refusals.append(found)
                return None
            separators[rival] = found
        return separators

    def _cheap(self, big: int, small: int, rival: int, merged: IntArray) -> _Separator | None:
        """A separator that is at hand; one that was known before is checked on the points that are new to it."""
        for part, newcomers in ((big, small), (small, big)):
            separator = self._separators.get(part, {}).get(rival)
            if separator is not None:
                low = _separation.lowest(self._points, self._members[newcomers], separator.normal)
                separator = separator._replace(low=min(low, separator.low))
                if self._is_clear(separator):
                    return separator
        others = self._members[rival]
        return self._separator(_separation.between_means(self._points, merged, others), merged, others)

    def _separator(self, normal: FloatArray, inside: IntArray, outside: IntArray) -> _Separator | None:
        """This direction if it separates the two sets."""
        low, high = _separation.lowest(self._points, inside, normal), _separation.highest(self._points, outside, normal)
        found = _Separator(normal, low, high)
        return found if self._is_clear(found) else None

    def _is_clear(self, separator: _Separator) -> bool:
        """Whether a direction separates beyond rounding, along these coordinates and in the given ones."""
        length, seen = _separation.lengths(separator.normal, self._factor)
        clear = max(_CLEAR * self._extent * length, _active_set.ROUNDING * self._scale * seen)
        return bool(separator.low - separator.high > clear)

    def _is_witnessed(self, big: int, small: int, merged: IntArray) -> bool:
        """Whether a common point that was found before lies in this hull and in one cluster's."""
        for witness in self._witnesses.get(int(self._codes[big]), ()):
            clusters = self._cluster_of[witness.support]
            rivals = clusters[witness.side]
            if (rivals == rivals[0]).all() and ((clusters == big) | (clusters == small) | witness.side).all():
                self.counts.cheap_verdicts += 1
                rival = self._members[int(rivals[0])]
                self.refusals.append(Refusal(merged, rival, witness.support, witness.weights))
                return True
        return False

    def _solve(self, merged: IntArray, others: IntArray, known: _Separator | None) -> _Separator | Refusal:
        """Ask the solver, starting from what it knew about parts of the clusters."""
        both = np.concatenate([merged, others])
        start = self._start(both, known)
        self.counts.exact_solves += 1
        verdict, _, lower, support, weights, normal, steps, *stop = _active_set.nearest_points(
            self._points, merged, others, 1e-6, 0.0, -1, *start
        )
        length = float(np.linalg.norm(normal))
        seen = lower * length > _active_set.ROUNDING * self._scale * float(np.linalg.norm(normal * self._factor))
        if verdict == _active_set.UNDECIDED or (verdict == _active_set.DISJOINT and not seen):
            verdict, support, weights, normal = self._look_again(merged, others, support, weights, steps)
            length, stop[0] = float(np.linalg.norm(normal)), _COLD.factor
        if verdict == _active_set.MEET:
            refusal, code = Refusal(merged, others, both[support], weights), int(self.y[merged[0]])
            witness = _Witness(both[support], weights, self.y[both[support]] != code)
            self._witnesses.setdefault(code, deque(maxlen=16)).appendleft(witness)
            return refusal
        normal = normal / length
        low, high = _separation.lowest(self._points, merged, normal), _separation.highest(self._points, others, normal)
        return _Separator(normal, low, high, _Start(both[support], weights, *stop))

    def _start(self, both: IntArray, known: _Separator | None) -> _Start:
        """Where the solver stopped on parts of the sets, if all of its support is in them."""
        if known is None or not len(known.start.support):
            return _COLD._replace(centre=self._points[0])
        self._position[both] = np.arange(len(both))
        at = self._position[known.start.support]
        if (at >= len(both)).any() or (both[at] != known.start.support).any():
            return _COLD._replace(centre=self._points[0])
        return known.start._replace(support=at)

    def _look_again(
        self, merged: IntArray, others: IntArray, support: IntArray, weights: FloatArray, steps: int
    ) -> tuple[int, IntArray, FloatArray, FloatArray]:
        """Verdict, support, weights and normal where this solver has none."""
        axes = self._principal_axes
        verdict, _, _, support, weights, normal, more, _ = _axes.look_again(
            axes, merged, others, support, weights, 1e-6, 0.0
        )
        if verdict == _active_set.UNDECIDED:
            verdict, _, _, support, weights, normal, more = _active_set.solve_pair(
                self.X, merged, others, 1e-6, 0.0, -1
            )
        if verdict == _active_set.UNDECIDED:
            msg = (
                f"Could not decide whether the hulls of {len(merged)} and {len(others)} points meet ({steps + more} "
                "steps): refusing to guess. Scale the features to one range, or remove near-duplicate points."
            )
            raise ArithmeticError(msg)
        if self._points is not self.X:  # a normal of these coordinates
            normal = (normal @ axes.directions) * axes.extent
        return verdict, support, weights, normal

    def _commit(self, a: int, b: int, big: int, merged: IntArray, separators: dict[int, _Separator]) -> None:
        """Replace clusters a < b by their union."""
        small_points = self._members[b if big == a else a]
        self._members[a], self._members[b] = merged, _NOBODY
        self._alive[b] = False
        self._cluster_of[merged] = a
        self._standing.merge(a, big, small_points, self._members)
        for old in (a, b):
            for rival in self._separators.pop(old, {}):
                self._separators[rival].pop(old, None)
        if separators:
            self._separators[a] = separators
        for rival, separator in separators.items():
            self._separators.setdefault(rival, {})[a] = separator.mirrored()
