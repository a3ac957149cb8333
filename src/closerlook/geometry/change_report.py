"""Every measure of the change from one space to another with the same rows, each with its control."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property, partial

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import pdist, squareform

from closerlook.geometry.centroids import direction_spread, label_means, own_displacement
from closerlook.geometry.confidence import jackknife_interval, mean_interval
from closerlook.geometry.decomposition import ChangeShares, change_shares
from closerlook.geometry.dissimilarity import RSAResult, rsa
from closerlook.geometry.growth import label_distance_growth
from closerlook.geometry.labelled_space import Head, LabelledSpace
from closerlook.geometry.measure_value import MeasureValue, Report, measured
from closerlook.geometry.neighbours import nearest_neighbours, shared_neighbours
from closerlook.geometry.paired_sums import PairedSums
from closerlook.geometry.similarity import spatial_similarity
from closerlook.geometry.space_report import AT_THIS_SIZE, measures_of
from closerlook.geometry.validation import UndefinedMeasureError, check_space
from closerlook.measures import MEASURES

SHUFFLED_ROWS = "shuffled examples"


def geometry_report(
    X_before: ArrayLike,
    X_after: ArrayLike,
    y: ArrayLike,
    *,
    head: Head | None = None,
    max_points: int = 1000,
    k: int = 10,
    n_permutations: int = 999,
    n_bootstrap: int = 1000,
    random_state: int = 0,
    apart: str = "",
) -> Report:
    """Return every measure of the change between two spaces, and of the space after, with controls.

    Args:
        X_before: (n_samples, n_features).
        X_after: (n_samples, n_features), the same rows. Other widths are allowed; what has to subtract the
            spaces is NaN then.
        y: (n_samples,) labels.
        head: the classifier that was tuned on the space after; adds NC3 and NC4.
        max_points: query points of the measures that would grow with n_samples^2.
        k: neighbours.
        n_permutations: of the Mantel test.
        n_bootstrap: draws of labels.
        random_state: seed.
        apart: why the spaces have no coordinates in common, where they have none: what has to subtract them is NaN.

    Returns:
        By name as in :data:`closerlook.measures.MEASURES`; NaN with a reason where undefined.

    Raises:
        ValueError: if the rows differ in number, values are not finite, or labels are missing.
    """
    rows = [len(check_space(X)) for X in (X_before, X_after)]
    if rows[0] != rows[1]:
        raise ValueError(
            f"X_before has {rows[0]} rows and X_after {rows[1]}, expected the same examples in the same order"
        )
    before, after = (
        LabelledSpace(X, y, max_points=max_points, k=k, random_state=random_state) for X in (X_before, X_after)
    )
    return _Change(before, after, n_permutations, n_bootstrap, apart).report() | measures_of(after, head)


class _Change:
    """The measures of a pair of spaces; each method returns some of them."""

    def __init__(
        self, before: LabelledSpace, after: LabelledSpace, n_permutations: int, n_bootstrap: int, apart: str = ""
    ):
        self.before, self.after, self.seed = before, after, after.seed
        self.n_permutations, self.n_bootstrap = n_permutations, n_bootstrap
        self.apart = apart
        if before.d != after.d:
            self.apart = f"the spaces have {before.d} and {after.d} features; only spaces of one width subtract"

    def report(self) -> Report:
        parts: tuple[tuple[tuple[str, ...], Callable[[], Report]], ...] = (
            (("centroid_similarity",), self.centroid_similarity),
            (("own_displacement", "direction_spread", "n_directions"), self.displacement),
            (("linear_cka",), partial(self.of_sums, ["linear_cka"], PairedSums.linear_cka)),
            (("debiased_cka",), partial(self.of_sums, ["debiased_cka"], PairedSums.debiased_cka)),
            (("procrustes_distance",), partial(self.of_sums, ["procrustes_distance"], PairedSums.procrustes_angle)),
            (ChangeShares._fields, self.shares),
            (("space_growth",), self.space_growth),
            (("centroid_growth", "centroid_growth_over_scatter"), self.growth),
            (("rsa",), partial(self.rsa, "rsa")),
            (("rsa_centred",), partial(self.rsa, "rsa_centred")),
            (("knn_overlap",), self.knn),
        )
        report: Report = {}
        for names, compute in parts:
            report |= measured(names, compute)
        return report

    def centroid_similarity(self) -> Report:
        """The paper's similarity, of distances between centroids: cheap, and defined where hulls meet."""
        first, second = (squareform(pdist(space.means)) for space in (self.before, self.after))
        r = spatial_similarity(first, second, n_permutations=self.n_permutations, random_state=self.seed)
        if np.isnan(r.value):
            raise UndefinedMeasureError(r.reason)
        note = "; ".join(filter(None, (f"n pairs of {r.n_labels} labels", r.reason)))
        value = MeasureValue(r.value, r.low, r.high, r.null_mean, "permuted labels", r.p_value, r.n_pairs, note)
        return {"centroid_similarity": value}

    def displacement(self) -> Report:
        """How far centroids moved against each other, and in how many directions."""
        before, after, n = self.before, self.after, len(self.after.classes)
        if self.apart:
            raise UndefinedMeasureError(self.apart)
        own, random = (own_displacement(before.X, after.X, codes, n) for codes in (before.codes, before.shuffled))
        low, high, _ = mean_interval(own, random_state=self.seed)
        report: Report = {
            "own_displacement": MeasureValue(
                float(own.mean()), low, high, float(random.mean()), "centroids of shuffled labels", n=n, note="n labels"
            )
        }
        return report | measured(("direction_spread", "n_directions"), self.directions)

    def directions(self) -> Report:
        found = direction_spread(label_means(self.after.X - self.before.X, self.after.codes, len(self.after.classes)))
        n, name, note = found.n_moved, "orthogonal directions of one length", "n labels that moved"
        spread = MeasureValue(found.spread, control=1 - 1 / np.sqrt(n), control_name=name, n=n, note=note)
        number = MeasureValue(found.n_directions, control=float(n), control_name=name, n=n, note=note)
        return {"direction_spread": spread, "n_directions": number}

    def shares(self) -> Report:
        """The split of the change into translation, rotation, scale and rest."""
        if self.apart:
            raise UndefinedMeasureError(self.apart)
        if np.array_equal(self.before.X, self.after.X):
            raise UndefinedMeasureError("the two spaces are equal, so there is no change to split")
        shift = self.after.X.mean(axis=0) - self.before.X.mean(axis=0)
        return self.of_sums(ChangeShares._fields, partial(change_shares, shift=shift))

    def of_sums(self, names: Sequence[str], compute: Callable[[PairedSums], float | tuple[float, ...]]) -> Report:
        """Values of one function of the sums, each with its jackknife interval and shuffled control."""
        sums = self.sums
        values = np.atleast_1d(compute(sums[0]))
        rest = np.full((len(sums) - 1, len(names)), np.nan)
        for one, row in zip(sums[1:], rest, strict=True):
            with suppress(UndefinedMeasureError):  # its NaN says so; the value itself stands
                row[:] = compute(one)
        report: Report = {}
        for name, value, control, left in zip(names, values.tolist(), rest[0].tolist(), rest[1:].T, strict=True):
            # Next to the end of its range (a share of 0) the jackknife is symmetric all the same: cut it there.
            low, high = np.clip(jackknife_interval(value, left), MEASURES[name].low, MEASURES[name].high).tolist()
            note = AT_THIS_SIZE if MEASURES[name].same_n else ""
            report[name] = MeasureValue(value, low, high, control, SHUFFLED_ROWS, n=self.after.n, note=note)
        return report

    @cached_property
    def sums(self) -> list[PairedSums]:
        """Sums of all rows, with the rows of one space shuffled, and without each jackknife group."""
        x, y = self.before.centred, self.after.centred
        parts = [PairedSums.of(x[rows], y[rows]) for rows in self.before.groups]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        order = np.random.default_rng(self.seed).permutation(len(x))
        return [total, PairedSums.of(x, y[order]), *(total - part for part in parts if len(parts) > 2)]

    def space_growth(self) -> Report:
        """By what factor the whole space grew: the ratio of its radii."""
        if self.before.radius == 0:
            raise UndefinedMeasureError("all points before are the same, so no factor is defined")
        value = self.after.radius / self.before.radius
        return {"space_growth": MeasureValue(value, control=1.0, control_name="no change", n=self.after.n)}

    def growth(self) -> Report:
        """Median ratio of the distances between centroids, plain and over the within-label scatter."""
        before, after = self.before, self.after
        first, second = (squareform(pdist(space.means)) for space in (before, after))
        found = label_distance_growth(
            first,
            second,
            before.scatter,
            after.scatter,
            space_growth=after.radius / before.radius if before.radius else np.nan,
            n_bootstrap=self.n_bootstrap,
            random_state=self.seed,
        )
        return {"centroid_growth": found.plain, "centroid_growth_over_scatter": found.over_scatter}

    def rsa(self, name: str) -> Report:
        """RSA on the stimuli drawn, of the spaces as they are or centred."""
        spaces = (self.before, self.after)
        X, Y = (space.centred if name == "rsa_centred" else space.X for space in spaces)
        r: RSAResult = rsa(X, Y, max_points=self.after.max_points, random_state=self.seed)
        note = f"{r.n_points} of {self.after.n} points drawn"
        return {name: MeasureValue(r.value, r.low, r.high, r.control, SHUFFLED_ROWS, n=r.n_points, note=note)}

    def knn(self) -> Report:
        """Overlap of the query points' neighbours."""
        queries, n = self.after.queries, self.after.n
        k = self.after.neighbours.shape[1]
        shares = shared_neighbours(nearest_neighbours(self.before.X, k, queries), self.after.neighbours)
        low, high, _ = mean_interval(shares, random_state=self.seed)
        note = f"k = {k}; {len(queries)} query points against all {n}; {AT_THIS_SIZE}"
        value = MeasureValue(
            float(shares.mean()), low, high, k / (n - 1), "random neighbours", n=len(queries), note=note
        )
        return {"knn_overlap": value}
