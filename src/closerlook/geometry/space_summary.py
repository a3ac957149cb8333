"""Every measure of one space, each with its control."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial

import numpy as np
from numpy.typing import ArrayLike

from closerlook.geometry.centroids import label_means
from closerlook.geometry.collapse import (
    centroid_simplex,
    nearest_centroid_agreement,
    self_duality,
    within_between,
)
from closerlook.geometry.contradictions import vector_contradictions
from closerlook.geometry.decomposition import label_scatter
from closerlook.geometry.dimension import two_nn
from closerlook.geometry.intervals import Interval, jackknife_interval
from closerlook.geometry.label_moments import LabelMoments
from closerlook.geometry.moments import random_groups
from closerlook.geometry.neighbours import nearest_neighbours, overlap_from_neighbours, sample_rows
from closerlook.geometry.scatter import chance_fisher_ratio, davies_bouldin, silhouette
from closerlook.geometry.spectrum import (
    effective_rank_of,
    isoscore_of,
    mean_cosine,
    singular_values,
    stable_rank_of,
)
from closerlook.geometry.validation import (
    FloatArray,
    IntArray,
    UndefinedMeasureError,
    centre,
    check_labels,
    check_several_labels,
    check_space,
)
from closerlook.geometry.value import MeasureValue, Report, control_of, measured

SHUFFLED_LABELS = "shuffled labels"
GAUSSIAN = "isotropic Gaussian of the same shape"


class SpaceSummary:
    """One space with what its measures share: centred rows, neighbours, moments, one shuffle of the labels."""

    def __init__(self, X: ArrayLike, y: ArrayLike, *, max_points: int, k: int, n_groups: int, random_state: int):
        self.X = check_space(X)
        self.classes, self.codes = check_labels(y, len(self.X))
        self.max_points, self.k, self.seed = max_points, k, random_state
        rng = np.random.default_rng(random_state)
        self.shuffled: IntArray = rng.permutation(self.codes)
        self.groups = random_groups(len(self.X), n_groups, rng)
        self.queries = sample_rows(len(self.X), max_points, rng)
        self.centred: FloatArray = centre(self.X)

    @cached_property
    def gaussian(self) -> FloatArray:
        """(n_samples, n_features) standard normal numbers, the control of the spectrum."""
        return np.random.default_rng(self.seed + 1).standard_normal(self.X.shape)

    @cached_property
    def neighbours(self) -> IntArray:
        """(n_queries, k) nearest rows of each query, k cut to the points there are."""
        if len(self.X) < 2:
            raise UndefinedMeasureError("the data has 1 point, neighbours need at least 2")
        return nearest_neighbours(self.X, min(self.k, len(self.X) - 1), self.queries)

    @cached_property
    def moments(self) -> list[LabelMoments]:
        """Label moments of each jackknife group, then of all rows."""
        n = len(self.classes)
        parts = [LabelMoments.of(self.centred[rows], self.codes[rows], n) for rows in self.groups]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return [*parts, total]

    def jackknife(self, value: float, compute: Callable[[LabelMoments], float]) -> Interval:
        """Group-jackknife interval of a measure of the label moments."""
        *parts, total = self.moments
        return jackknife_interval(value, [control_of(partial(compute, total - part)) for part in parts])

    def of_labels(self) -> Report:
        """Fisher ratio, Calinski-Harabasz, CDNV, scatter: from the label moments."""
        n, n_classes = len(self.X), len(self.classes)
        check_several_labels(self.classes, n)
        ratio = self.moments[-1].fisher_ratio()
        low, high = self.jackknife(ratio, LabelMoments.fisher_ratio)
        chance = chance_fisher_ratio(n, n_classes)
        return {
            "fisher_ratio": MeasureValue(ratio, low, high, chance, SHUFFLED_LABELS, n=n),
            "calinski_harabasz": MeasureValue(ratio / chance, low / chance, high / chance, 1.0, SHUFFLED_LABELS, n=n),
        }

    def of_cdnv(self) -> Report:
        """CDNV with its interval over examples."""
        check_several_labels(self.classes, len(self.X))
        total = self.moments[-1]
        value = total.cdnv()
        low, high = self.jackknife(value, LabelMoments.cdnv)
        shuffled = LabelMoments.of(self.centred, self.shuffled, len(self.classes))
        kept = int((total.counts >= 2).sum())
        note = f"n counts labels; {len(self.classes) - kept} with one point left out"
        control = control_of(shuffled.cdnv)
        return {"cdnv": MeasureValue(value, low, high, control, SHUFFLED_LABELS, n=kept, note=note)}

    def of_scatter(self) -> Report:
        """Pooled within-label scatter; the control is the scatter around the common mean."""
        value, control = label_scatter(self.centred, self.codes).pooled, np.linalg.norm(self.centred)
        overall = float(control / np.sqrt(len(self.X)))
        return {
            "label_scatter": MeasureValue(
                value, control=overall, control_name="scatter around the common mean", n=len(self.X)
            )
        }

    def of_clusters(self) -> Report:
        """Davies-Bouldin, by scikit-learn."""
        value = davies_bouldin(self.centred, self.codes)
        control = control_of(lambda: davies_bouldin(self.centred, self.shuffled))
        return {"davies_bouldin": _shuffled(value, control, len(self.classes))}

    def of_silhouette(self) -> Report:
        """Silhouette of the query points."""
        result = silhouette(self.centred, self.codes, max_points=self.max_points, random_state=self.seed)
        note = f"{result.n_points} query points against all {len(self.X)}"
        return {
            "silhouette": MeasureValue(
                result.value, result.low, result.high, result.control, SHUFFLED_LABELS, n=result.n_points, note=note
            )
        }

    def of_label_overlap(self) -> Report:
        """Label overlap of the query points' neighbours."""
        check_several_labels(self.classes, len(self.X))
        result = overlap_from_neighbours(self.neighbours, self.queries, self.codes, self.seed)
        note = f"k = {self.neighbours.shape[1]}; {result.n_points} query points against all {len(self.X)}"
        return {
            "label_overlap": MeasureValue(
                result.value, result.low, result.high, result.chance, "random neighbours", n=result.n_points, note=note
            )
        }

    def of_collapse(self) -> Report:
        """NC1 and NC4 (the nearest-centroid rule)."""
        nc1 = within_between(self.centred, self.codes)
        other = control_of(lambda: within_between(self.centred, self.shuffled))
        return {"nc1": _shuffled(nc1, other, len(self.classes))}

    def of_nearest_centroid(self) -> Report:
        """Training accuracy of the nearest centroid; the control is its optimism."""
        value = nearest_centroid_agreement(self.centred, self.codes)
        control = nearest_centroid_agreement(self.centred, self.shuffled)
        return {"nearest_centroid_accuracy": _shuffled(value, control, len(self.X))}

    def of_simplex(self) -> Report:
        """NC2 and the generalised NC2."""
        value = centroid_simplex(self.centred, self.codes)
        n = len(self.classes)
        try:
            other = centroid_simplex(self.centred, self.shuffled)
            controls = (other.equinorm, other.equiangle, other.uniformity)
        except UndefinedMeasureError:
            controls = (np.nan, np.nan, np.nan)
        names = ("nc2_equinorm", "nc2_equiangle", "gnc2_uniformity")
        values = (value.equinorm, value.equiangle, value.uniformity)
        return {a: _shuffled(b, c, n) for a, b, c in zip(names, values, controls, strict=True)}

    def of_head(self, weights: ArrayLike, bias: ArrayLike | None) -> Report:
        """NC3 and NC4 against a linear classifier whose rows are in sorted order of the labels."""
        means, _ = label_means(self.X, self.codes, len(self.classes))
        w = np.asarray(weights, dtype=np.float64)
        duality = self_duality(w, means)
        order = np.random.default_rng(self.seed).permutation(len(means))
        answers = np.argmax(self.X @ w.T + (0.0 if bias is None else np.asarray(bias)), axis=1)
        agreement = nearest_centroid_agreement(self.X, self.codes, answers)
        chance = nearest_centroid_agreement(self.X, self.codes, np.random.default_rng(self.seed).permutation(answers))
        return {
            "nc3_self_duality": MeasureValue(
                duality, control=self_duality(w[order], means), control_name="shuffled classes", n=len(means)
            ),
            "nc4_agreement": MeasureValue(agreement, control=chance, control_name="shuffled answers", n=len(self.X)),
        }

    def of_spectrum(self) -> Report:
        """Effective rank, RankMe, stable rank, IsoScore."""
        n, d = self.X.shape
        centred, raw = singular_values(self.centred, centred=False), singular_values(self.X, centred=False)
        noise = singular_values(self.gaussian, centred=True) if n > 1 else np.ones(1)
        note = f"n points in {d} dimensions"

        def entry(name: str, compute: Callable[[FloatArray], float], values: FloatArray) -> Report:
            control = control_of(lambda: compute(noise))
            return {name: MeasureValue(compute(values), control=control, control_name=GAUSSIAN, n=n, note=note)}

        report: Report = {}
        for name, compute, values in (
            ("effective_rank", effective_rank_of, centred),
            ("rankme", effective_rank_of, raw),
            ("stable_rank", stable_rank_of, centred),
            ("isoscore", partial(isoscore_of, n_features=d), centred),
        ):
            report |= measured([name], partial(entry, name, compute, values))
        return report

    def of_cosine(self) -> Report:
        """Mean cosine, raw and after centring."""
        raw = mean_cosine(self.X)
        n = len(self.X) - raw.n_zero
        note = f"3 features make {raw.top_share:.0%} of it"
        after = control_of(lambda: mean_cosine(self.X, centred=True).value)
        report = {"mean_cosine": MeasureValue(raw.value, control=after, control_name="after centring", n=n, note=note)}

        def centred() -> Report:
            result = mean_cosine(self.X, centred=True)
            note = f"3 features make {result.top_share:.0%} of it"
            n = len(self.X) - result.n_zero
            return {
                "mean_cosine_centred": MeasureValue(
                    result.value, control=-1 / max(n - 1, 1), control_name="no common direction", n=n, note=note
                )
            }

        return report | measured(["mean_cosine_centred"], centred)

    def of_dimension(self) -> Report:
        """TwoNN; the control is a Gaussian with the same covariance, which has no curved shape."""
        result = two_nn(self.X, max_points=self.max_points, random_state=self.seed)
        scales = singular_values(self.centred, centred=False)
        same = self.gaussian[:, : len(scales)] * scales  # in its own axes: distances do not depend on them
        control = control_of(lambda: two_nn(same, max_points=self.max_points, random_state=self.seed).value)
        note = f"{result.n_duplicates} duplicates dropped; {result.n_points} query points against the rest"
        return {
            "intrinsic_dimension": MeasureValue(
                result.value,
                result.low,
                result.high,
                control,
                "Gaussian of the same covariance",
                n=result.n_points,
                note=note,
            )
        }

    def of_contradictions(self) -> Report:
        """Groups of identical vectors with different labels."""
        found = vector_contradictions(self.X, self.codes)
        note = (
            f"n points in them; at least {found.min_clusters} clusters; "
            f"accuracy at most {found.max_accuracy:.4f}; {found.n_duplicates} duplicate vectors"
        )
        return {"n_contradictions": MeasureValue(float(found.n_groups), n=found.n_points, note=note)}


def _shuffled(value: float, control: float, n: int) -> MeasureValue:
    return MeasureValue(value, control=control, control_name=SHUFFLED_LABELS, n=n)


def summarise_space(space: SpaceSummary, head: tuple[ArrayLike, ArrayLike | None] | None = None) -> Report:
    """Return every measure of the space; NaN with a reason where one is undefined."""
    parts: list[tuple[tuple[str, ...], Callable[[], Report]]] = [
        (("fisher_ratio", "calinski_harabasz"), space.of_labels),
        (("cdnv",), space.of_cdnv),
        (("label_scatter",), space.of_scatter),
        (("davies_bouldin",), space.of_clusters),
        (("silhouette",), space.of_silhouette),
        (("label_overlap",), space.of_label_overlap),
        (("nc1",), space.of_collapse),
        (("nearest_centroid_accuracy",), space.of_nearest_centroid),
        (("nc2_equinorm", "nc2_equiangle", "gnc2_uniformity"), space.of_simplex),
        (("effective_rank", "rankme", "stable_rank", "isoscore"), space.of_spectrum),
        (("mean_cosine", "mean_cosine_centred"), space.of_cosine),
        (("intrinsic_dimension",), space.of_dimension),
        (("n_contradictions",), space.of_contradictions),
    ]
    if head is not None:
        parts.append((("nc3_self_duality", "nc4_agreement"), lambda: space.of_head(*head)))
    report: Report = {}
    for names, compute in parts:
        report |= measured(names, compute)
    return report
