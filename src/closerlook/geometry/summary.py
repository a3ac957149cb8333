"""The entry points: every measure of a space, and of the change from one space to another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property, partial

import numpy as np
from numpy.typing import ArrayLike

from closerlook.geometry.alignment import rsa, shape_angle
from closerlook.geometry.centroids import centroid_displacement, direction_spread, label_means
from closerlook.geometry.correlation import take_pairs
from closerlook.geometry.decomposition import label_scatter, split_change
from closerlook.geometry.intervals import Interval, bootstrap_interval, jackknife_interval, percentile_interval
from closerlook.geometry.label_moments import squared_distances
from closerlook.geometry.moments import PairedMoments, grouped_moments
from closerlook.geometry.neighbours import nearest_neighbours, shared_neighbours
from closerlook.geometry.similarity import spatial_similarity
from closerlook.geometry.space_summary import SpaceSummary, summarise_space
from closerlook.geometry.validation import FloatArray, UndefinedMeasureError, check_distances, check_pair
from closerlook.geometry.value import MeasureValue, Report, control_of, measured
from closerlook.measures import MEASURES

__all__ = ["MeasureValue", "geometry_report", "space_report"]

SHUFFLED_ROWS = "shuffled examples"
SHARES = ("translation_share", "rotation_share", "scale_share", "rest_share", "scale_factor")
ALIGNED = ("linear_cka", "debiased_cka", "procrustes_distance")


def space_report(
    X: ArrayLike,
    y: ArrayLike,
    *,
    head: tuple[ArrayLike, ArrayLike | None] | None = None,
    max_points: int = 1000,
    k: int = 10,
    n_groups: int = 10,
    random_state: int = 0,
) -> dict[str, MeasureValue]:
    """Return every measure of one labelled space with its control.

    Args:
        X: (n_samples, n_features).
        y: (n_samples,) labels.
        head: (weights (n_classes, n_features), bias (n_classes,) or None) of a linear classifier whose rows
            are in sorted order of the labels of y; adds NC3 and NC4.
        max_points: query points of the measures that would grow with n_samples^2.
        k: neighbours.
        n_groups: groups of the jackknife intervals.
        random_state: seed.

    Returns:
        By name as in :data:`closerlook.measures.MEASURES`; NaN with a reason where undefined.

    Raises:
        ValueError: if X is not finite, the lengths differ, or labels are missing.
    """
    space = SpaceSummary(X, y, max_points=max_points, k=k, n_groups=n_groups, random_state=random_state)
    return summarise_space(space, head)


def geometry_report(
    X_before: ArrayLike,
    X_after: ArrayLike,
    y: ArrayLike,
    *,
    distances_before: ArrayLike | None = None,
    distances_after: ArrayLike | None = None,
    include_space: bool = True,
    max_points: int = 1000,
    k: int = 10,
    n_groups: int = 10,
    n_permutations: int = 999,
    n_bootstrap: int = 1000,
    random_state: int = 0,
) -> dict[str, MeasureValue]:
    """Return every measure of the change between two spaces, and of the space after, with controls.

    Args:
        X_before: (n_samples, n_features).
        X_after: (n_samples, n_features), the same rows. Other widths are allowed; what has to subtract the
            spaces is NaN then.
        y: (n_samples,) labels.
        distances_before: (n_classes, n_classes) label distances (DirectProbe's) before, in sorted order of the
            labels; with ``distances_after`` adds the paper's similarity and makes growth that of these.
        distances_after: the same after.
        include_space: add the measures of X_after alone.
        max_points: query points of the measures that would grow with n_samples^2.
        k: neighbours.
        n_groups: groups of the jackknife intervals.
        n_permutations: of the Mantel tests.
        n_bootstrap: draws of labels.
        random_state: seed.

    Returns:
        By name as in :data:`closerlook.measures.MEASURES`; NaN with a reason where undefined.

    Raises:
        ValueError: if the rows differ in number, values are not finite, labels are missing, or the distances
            do not fit the labels.
    """
    check_pair(X_before, X_after, min_points=1)
    options = {"max_points": max_points, "k": k, "n_groups": n_groups, "random_state": random_state}
    before, after = SpaceSummary(X_before, y, **options), SpaceSummary(X_after, y, **options)
    hulls = _hull_distances(distances_before, distances_after, len(after.classes))
    change = _Change(before, after, hulls, n_permutations, n_bootstrap)
    report = change.report()
    return report | summarise_space(after) if include_space else report


def _hull_distances(
    before: ArrayLike | None, after: ArrayLike | None, n_classes: int
) -> tuple[FloatArray, FloatArray] | None:
    if (before is None) != (after is None):
        raise ValueError("got label distances of one space, expected those of both or of neither")
    if before is None or after is None:
        return None
    first, second = check_distances(before, "distances_before"), check_distances(after, "distances_after")
    if len(first) != n_classes or len(second) != n_classes:
        raise ValueError(f"distances are over {len(first)} and {len(second)} labels, expected {n_classes}")
    return first, second


class _Change:
    """The measures of a pair of spaces; each method returns some of them."""

    def __init__(
        self,
        before: SpaceSummary,
        after: SpaceSummary,
        hulls: tuple[FloatArray, FloatArray] | None,
        n_permutations: int,
        n_bootstrap: int,
    ):
        self.before, self.after, self.hulls, self.seed = before, after, hulls, after.seed
        self.draws = {"n_permutations": n_permutations, "n_bootstrap": n_bootstrap, "random_state": self.seed}
        self.centroids = [label_means(s.centred, s.codes, len(s.classes))[0] for s in (before, after)]

    def report(self) -> Report:
        parts: list[tuple[tuple[str, ...], Callable[[], Report]]] = [
            (("centroid_similarity",), self.centroid_similarity),
            (("mean_centroid_displacement", "relative_displacement", "own_displacement"), self.displacement),
            (("direction_spread", "n_directions"), self.directions),
            (ALIGNED, self.aligned),
            (SHARES, self.shares),
            (("distance_growth", "distance_growth_over_scatter"), self.growth),
            (("rsa",), self.rsa),
            (("knn_overlap",), self.knn),
        ]
        if self.hulls is not None:
            parts.insert(0, (("similarity_to_first", "rank_similarity_to_first"), self.similarity))
        report: Report = {}
        for names, compute in parts:
            report |= measured(names, compute)
        return report

    def similarity(self) -> Report:
        """The paper's spatial similarity and its rank order, of the distances given."""
        assert self.hulls is not None  # noqa: S101 - report() asks only then
        names = ("similarity_to_first", "rank_similarity_to_first")
        report: Report = {}
        for name, method in zip(names, ("pearson", "spearman"), strict=True):
            report[name] = self._mantel(*self.hulls, method)
        return report

    def centroid_similarity(self) -> Report:
        """The same correlation of distances between centroids: cheap, and defined where hulls meet."""
        first, second = (np.sqrt(squared_distances(c)) for c in self.centroids)
        return {"centroid_similarity": self._mantel(first, second, "pearson")}

    def _mantel(self, first: FloatArray, second: FloatArray, method: str) -> MeasureValue:
        r = spatial_similarity(first, second, method=method, **self.draws)  # type: ignore[arg-type]
        defined = not np.isnan(r.value)
        note = f"n pairs of {r.n_labels} labels; {r.method}" + (f"; {r.reason}" if defined and r.reason else "")
        return MeasureValue(
            r.value, r.low, r.high, r.null_mean, "permuted labels", r.p_value, r.n_pairs, note,
            "" if defined else r.reason,
        )  # fmt: skip

    def displacement(self) -> Report:
        """How far centroids moved; the control is random groups of examples of the same sizes."""
        before, after = self.before, self.after
        moved = centroid_displacement(before.X, after.X, before.codes)
        random = centroid_displacement(before.X, after.X, before.shuffled)
        name, n = "centroids of shuffled labels", len(moved.norms)

        def entry(values: FloatArray, control: FloatArray) -> MeasureValue:
            low, high = bootstrap_interval(values, random_state=self.seed)
            mean = float(control.mean())
            return MeasureValue(float(values.mean()), low, high, mean, name, n=n, note="mean over n labels")

        return {
            "mean_centroid_displacement": entry(moved.norms, random.norms),
            "relative_displacement": entry(moved.relative, random.relative),
            "own_displacement": entry(moved.own, random.own),
        }

    def directions(self) -> Report:
        """In how many directions the labels moved."""
        vectors = centroid_displacement(self.before.X, self.after.X, self.before.codes).vectors
        result = direction_spread(vectors)
        n, name = result.n_moved, "orthogonal directions of one length"
        return {
            "direction_spread": MeasureValue(
                result.spread, control=1 - 1 / np.sqrt(n), control_name=name, n=n, note="n labels that moved"
            ),
            "n_directions": MeasureValue(
                result.n_directions, control=float(n), control_name=name, n=n, note="n labels that moved"
            ),
        }

    def aligned(self) -> Report:
        """CKA, debiased CKA, Procrustes distance, with shuffled examples as the control."""
        measures = (PairedMoments.linear_cka, PairedMoments.debiased_cka, _angle)
        report: Report = {}
        for name, compute in zip(ALIGNED, measures, strict=True):
            report |= measured([name], partial(self._of_moments, [name], compute))
        return report

    def shares(self) -> Report:
        """The split of the change into translation, rotation, scale and rest."""
        if self.before.X.shape != self.after.X.shape:
            raise UndefinedMeasureError("the spaces have different widths, so their change cannot be split")
        if np.array_equal(self.before.X, self.after.X):
            raise UndefinedMeasureError("the two spaces are equal, so there is no change to split")
        shift = self.after.X.mean(axis=0) - self.before.X.mean(axis=0)
        return self._of_moments(SHARES, partial(_split, shift=shift))

    def _of_moments(
        self, names: Sequence[str], compute: Callable[[PairedMoments], float | tuple[float, ...]]
    ) -> Report:
        """Values of one function of the moments, each with its jackknife interval and shuffled control."""
        total, without, shuffled = self._moments
        values, n = np.atleast_1d(compute(total)), int(total.n)
        controls, left = (np.full((k, len(names)), np.nan) for k in (1, len(without)))
        for moments, row in zip([shuffled, *without], [*controls, *left], strict=True):
            with suppress(UndefinedMeasureError):  # its NaN says so; the value itself stands
                row[:] = compute(moments)
        report: Report = {}
        for i, name in enumerate(names):
            # Next to the end of its range (a share of 0) the jackknife is symmetric all the same: cut it there.
            ends = MEASURES[name].low, MEASURES[name].high
            low, high = np.clip(jackknife_interval(float(values[i]), left[:, i]), *ends)
            report[name] = MeasureValue(
                float(values[i]), float(low), float(high), float(controls[0, i]), SHUFFLED_ROWS, n=n
            )
        return report

    @cached_property
    def _moments(self) -> tuple[PairedMoments, list[PairedMoments], PairedMoments]:
        """Moments of all rows, without each jackknife group, and with the rows of one space shuffled."""
        x, y = self.before.centred, self.after.centred
        parts = grouped_moments(x, y, self.before.groups)
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        order = np.random.default_rng(self.seed).permutation(len(x))
        without = [total - part for part in parts] if len(parts) > 2 else []
        return total, without, PairedMoments.of(x, y[order])

    def growth(self) -> Report:
        """Median ratio of label distances after / before, plain and over the within-label scatter."""
        if self.hulls is None:
            first, second = (np.sqrt(squared_distances(c)) for c in self.centroids)
            of = "between centroids"
        else:
            first, second, of = *self.hulls, "given"
        upper = np.triu_indices(len(first), 1)
        a, b = first[upper], second[upper]
        kept = np.isfinite(a) & np.isfinite(b) & (a > 0)
        if not kept.any():
            raise UndefinedMeasureError("no pair of labels has a distance above 0 before and one after")
        value = float(np.median(b[kept] / a[kept]))
        low, high = self._growth_interval(first, second)
        n, note = int(kept.sum()), f"n pairs of labels; distances {of}"
        scale = control_of(lambda: _scale_factor(self._moments[0]))
        plain = MeasureValue(
            value, low, high, control=scale, control_name="factor by which the whole space grew", n=n, note=note
        )
        scatters = [label_scatter(s.centred, s.codes).pooled for s in (self.before, self.after)]
        if min(scatters) == 0:
            relative = MeasureValue(np.nan, reason="the within-label scatter of a space is zero")
        else:
            per = scatters[0] / scatters[1]  # the scatters are sums over all points: their own error is small
            relative = MeasureValue(
                value * per, low * per, high * per, control=1.0, control_name="no change", n=n, note=note
            )
        return {"distance_growth": plain, "distance_growth_over_scatter": relative}

    def _growth_interval(self, first: FloatArray, second: FloatArray) -> Interval:
        """Bootstrap over labels of the median ratio; a label drawn twice has no distance to itself."""
        if self.draws["n_bootstrap"] < 1 or len(first) < 3:
            return Interval(np.nan, np.nan)
        usable = np.isfinite(first) & np.isfinite(second) & (first > 0) & ~np.eye(len(first), dtype=bool)
        ratio = np.divide(second, first, out=np.full_like(first, np.nan), where=usable)
        rng = np.random.default_rng(self.seed)
        draws = rng.integers(len(first), size=(self.draws["n_bootstrap"], len(first)))
        values = np.sort(take_pairs(ratio, draws), axis=1)  # NaN last
        n = np.isfinite(values).sum(axis=1)
        rows = np.flatnonzero(n)
        middle = [values[rows, (n[rows] - 1) // 2], values[rows, n[rows] // 2]]
        return percentile_interval(np.mean(middle, axis=0)) if len(rows) else Interval(np.nan, np.nan)

    def rsa(self) -> Report:
        """RSA on the stimuli drawn."""
        r = rsa(self.before.X, self.after.X, max_points=self.after.max_points, random_state=self.seed)
        note = f"{r.n_points} of {len(self.after.X)} points drawn"
        return {"rsa": MeasureValue(r.value, r.low, r.high, r.control, SHUFFLED_ROWS, n=r.n_points, note=note)}

    def knn(self) -> Report:
        """Overlap of the query points' neighbours."""
        queries, n = self.after.queries, len(self.after.X)
        k = self.after.neighbours.shape[1]
        first = nearest_neighbours(self.before.X, k, queries)
        shares = shared_neighbours(first, self.after.neighbours)
        low, high = bootstrap_interval(shares, random_state=self.seed)
        note = f"k = {k}; {len(queries)} query points against all {n}"
        return {
            "knn_overlap": MeasureValue(
                float(shares.mean()), low, high, k / (n - 1), "random neighbours", n=len(queries), note=note
            )
        }


def _angle(moments: PairedMoments) -> float:
    xx, yy, _ = moments.centred()
    return shape_angle(moments.nuclear_norm, float(np.trace(xx)), float(np.trace(yy)))


def _split(moments: PairedMoments, shift: FloatArray) -> tuple[float, ...]:
    """Shares and factor in the order of SHARES."""
    xx, yy, xy = moments.centred()
    step = shift + (moments.sy - moments.sx) / moments.n  # the means of these rows, not of all
    change = split_change(
        float(step @ step) * moments.n, float(np.trace(xx)), float(np.trace(yy)), float(np.trace(xy)),
        moments.nuclear_norm, int(moments.n),
    )  # fmt: skip
    return change.translation, change.rotation, change.scale, change.rest, change.scale_factor


def _scale_factor(moments: PairedMoments) -> float:
    size = float(np.trace(moments.centred()[0]))
    if size <= 0:
        raise UndefinedMeasureError("all points before are the same, so no factor is defined")
    return moments.nuclear_norm / size
