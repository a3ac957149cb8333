"""Every measure of one labelled space, each with its control."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from closerlook.geometry.collapse import (
    centroid_simplex,
    nearest_centroid_agreement,
    self_duality,
    within_between,
)
from closerlook.geometry.confidence import mean_interval
from closerlook.geometry.dimension import two_nn
from closerlook.geometry.label_sums import LabelSums
from closerlook.geometry.labelled_space import Head, LabelledSpace
from closerlook.geometry.measure_value import MeasureValue, Report, control_of, measured
from closerlook.geometry.neighbours import label_overlap
from closerlook.geometry.scatter import chance_fisher_ratio, davies_bouldin, silhouette
from closerlook.geometry.spectrum import (
    centred_directions,
    dimension_shares,
    effective_rank,
    isoscore,
    mean_cosine,
    singular_values,
    stable_rank,
)
from closerlook.geometry.validation import (
    FloatArray,
    UndefinedMeasureError,
    centre,
    check_several_labels,
)

SHUFFLED_LABELS = "shuffled labels"
GAUSSIAN = "isotropic Gaussian of the same shape"
AT_THIS_SIZE = "interval: at this number of examples"
"""A jackknife covers the value that this many examples give, not the one that infinitely many would."""


def space_report(
    X: ArrayLike,
    y: ArrayLike,
    *,
    head: Head | None = None,
    max_points: int = 1000,
    k: int = 10,
    random_state: int = 0,
) -> Report:
    """Return every measure of one labelled space with its control.

    Args:
        X: (n_samples, n_features).
        y: (n_samples,) labels.
        head: the classifier that was tuned on this space; adds NC3 and NC4.
        max_points: query points of the measures that would grow with n_samples^2.
        k: neighbours.
        random_state: seed.

    Returns:
        By name as in :data:`closerlook.measures.MEASURES`; NaN with a reason where undefined.

    Raises:
        ValueError: if X is not finite, the lengths differ, or labels are missing.
    """
    return measures_of(LabelledSpace(X, y, max_points=max_points, k=k, random_state=random_state), head)


def measures_of(space: LabelledSpace, head: Head | None = None) -> Report:
    """Return every measure of the space; NaN with a reason where one is undefined."""
    report: Report = {}
    for names, compute in _PARTS:
        report |= measured(names, partial(compute, space))
    if head is not None:
        report |= measured(("nc3_self_duality", "nc4_agreement"), partial(_of_head, space, head))
    return report


def _of_labels(space: LabelledSpace) -> Report:
    check_several_labels(space.classes, space.n)
    ratio, chance = space.sums[-1].fisher_ratio(), chance_fisher_ratio(space.n, len(space.classes))
    low, high = space.jackknife(ratio, LabelSums.fisher_ratio)
    return {
        "fisher_ratio": MeasureValue(ratio, low, high, chance, SHUFFLED_LABELS, n=space.n),
        "calinski_harabasz": MeasureValue(
            ratio / chance, low / chance, high / chance, 1.0, SHUFFLED_LABELS, n=space.n, note=AT_THIS_SIZE
        ),
    }


def _of_cdnv(space: LabelledSpace) -> Report:
    check_several_labels(space.classes, space.n)
    total = space.sums[-1]
    value = total.cdnv()
    low, high = space.jackknife(value, LabelSums.cdnv)
    control = control_of(LabelSums.of(space.centred, space.shuffled, len(space.classes)).cdnv)
    kept = int((total.counts >= 2).sum())
    note = f"n counts labels; {len(space.classes) - kept} with one point left out; {AT_THIS_SIZE}"
    return {"cdnv": MeasureValue(value, low, high, control, SHUFFLED_LABELS, n=kept, note=note)}


def _of_size(space: LabelledSpace) -> Report:
    around = "scatter around the common mean"
    return {
        "label_scatter": MeasureValue(space.scatter, control=space.radius, control_name=around, n=space.n),
        "rms_radius": MeasureValue(space.radius, n=space.n),
    }


def _of_clusters(space: LabelledSpace) -> Report:
    check_several_labels(space.classes, space.n)
    value = davies_bouldin(space.centred, space.codes)
    control = control_of(lambda: davies_bouldin(space.centred, space.shuffled))
    return {"davies_bouldin": _beside_shuffled(value, control, len(space.classes))}


def _of_silhouette(space: LabelledSpace) -> Report:
    check_several_labels(space.classes, space.n)
    found = silhouette(space.centred, space.codes, space.shuffled, space.queries)
    return {"silhouette": _over_queries(space, found.widths, found.control, SHUFFLED_LABELS)}


def _of_label_overlap(space: LabelledSpace) -> Report:
    check_several_labels(space.classes, space.n)
    found = label_overlap(space.neighbours, space.queries, space.codes)
    value = _over_queries(space, found.shares, found.chance, "random neighbours", f"k = {space.neighbours.shape[1]}; ")
    return {"label_overlap": value}


def _of_collapse(space: LabelledSpace) -> Report:
    check_several_labels(space.classes, space.n)
    found = within_between(space.centred, space.codes)
    try:
        shuffled = within_between(space.centred, space.shuffled)._asdict()
    except UndefinedMeasureError:
        shuffled = {}
    n = len(space.classes)
    return {name: _beside_shuffled(v, shuffled.get(name, np.nan), n) for name, v in found._asdict().items()}


def _of_nearest_centroid(space: LabelledSpace) -> Report:
    """Training accuracy of the nearest centroid; the control is its optimism."""
    check_several_labels(space.classes)
    value, control = (
        nearest_centroid_agreement(space.centred, codes, codes) for codes in (space.codes, space.shuffled)
    )
    return {"nearest_centroid_accuracy": _beside_shuffled(value, control, space.n)}


def _of_simplex(space: LabelledSpace) -> Report:
    found, n = centroid_simplex(space.centred, space.codes), len(space.classes)
    try:
        shuffled = centroid_simplex(space.centred, space.shuffled)._asdict()
    except UndefinedMeasureError:
        shuffled = {}
    return {name: _beside_shuffled(v, shuffled.get(name, np.nan), n) for name, v in found._asdict().items()}


def _of_head(space: LabelledSpace, head: Head) -> Report:
    rng = np.random.default_rng(space.seed)
    order = rng.permutation(len(space.classes))
    answers = np.argmax(space.X @ head.weights.T + head.bias, axis=1)
    duality, shuffled = (self_duality(weights, space.means) for weights in (head.weights, head.weights[order]))
    agreement, chance = (
        nearest_centroid_agreement(space.centred, space.codes, given) for given in (answers, rng.permutation(answers))
    )
    return {
        "nc3_self_duality": MeasureValue(
            duality, control=shuffled, control_name="shuffled classes", n=len(space.classes)
        ),
        "nc4_agreement": MeasureValue(agreement, control=chance, control_name="shuffled answers", n=space.n),
    }


def _of_spectrum(space: LabelledSpace) -> Report:
    noise = singular_values(centre(space.gaussian)) if space.n > 1 else np.ones(1)
    uneven = partial(isoscore, n_features=space.d)
    note = f"n points in {space.d} dimensions"

    def entry(name: str, compute: Callable[[FloatArray], float], values: FloatArray) -> Report:
        control = control_of(lambda: compute(noise))
        return {name: MeasureValue(compute(values), control=control, control_name=GAUSSIAN, n=space.n, note=note)}

    report: Report = {}
    for name, compute, values in (
        ("effective_rank", effective_rank, space.spectrum),
        ("rankme", effective_rank, singular_values(space.X)),
        ("stable_rank", stable_rank, space.spectrum),
        ("isoscore", uneven, space.spectrum),
    ):
        report |= measured([name], partial(entry, name, compute, values))
    return report


def _of_dimensions(space: LabelledSpace) -> Report:
    shares = dimension_shares(space.centred)
    largest = int(shares.argmax())
    note = f"dimension {largest} of {space.d}; n points"
    control, even = 1 / space.d, "the same variance in each"
    return {
        "largest_dimension_share": MeasureValue(
            float(shares[largest]), control=control, control_name=even, n=space.n, note=note
        )
    }


def _of_cosine(space: LabelledSpace) -> Report:
    raw = mean_cosine(space.X)
    after = control_of(lambda: mean_cosine(centred_directions(space.X)).value)
    note = f"3 features make {raw.top_share:.0%} of it"
    return {
        "mean_cosine": MeasureValue(raw.value, control=after, control_name="after centring", n=raw.n_points, note=note)
    }


def _of_centred_cosine(space: LabelledSpace) -> Report:
    found = mean_cosine(centred_directions(space.X))
    n, note = found.n_points, f"3 features make {found.top_share:.0%} of it"
    return {
        "mean_cosine_centred": MeasureValue(
            found.value, control=-1 / (n - 1), control_name="no common direction", n=n, note=note
        )
    }


def _of_dimension(space: LabelledSpace) -> Report:
    """TwoNN; the control is a Gaussian with the same covariance, which has no curved shape."""
    options = {"max_points": space.max_points, "random_state": space.seed}
    found, scales = two_nn(space.X, **options), space.spectrum
    same = space.gaussian[:, : len(scales)] * scales  # in its own axes: distances do not depend on them
    control, name = control_of(lambda: two_nn(same, **options).value), "Gaussian of the same covariance"
    note = f"{found.n_duplicates} duplicates dropped; {found.n_points} query points against the rest"
    value = MeasureValue(found.value, found.low, found.high, control, name, n=found.n_points, note=note)
    return {"intrinsic_dimension": value}


def _beside_shuffled(value: float, control: float, n: int) -> MeasureValue:
    return MeasureValue(value, control=control, control_name=SHUFFLED_LABELS, n=n)


def _over_queries(
    space: LabelledSpace, values: FloatArray, control: float, control_name: str, how: str = ""
) -> MeasureValue:
    """The mean over query points."""
    low, high, n = mean_interval(values, random_state=space.seed)
    note = f"{how}{n} query points against all {space.n}; {AT_THIS_SIZE}"
    return MeasureValue(float(values.mean()), low, high, control, control_name, n=n, note=note)


_PARTS: tuple[tuple[tuple[str, ...], Callable[[LabelledSpace], Report]], ...] = (
    (("fisher_ratio", "calinski_harabasz"), _of_labels),
    (("cdnv",), _of_cdnv),
    (("label_scatter", "rms_radius"), _of_size),
    (("davies_bouldin",), _of_clusters),
    (("silhouette",), _of_silhouette),
    (("label_overlap",), _of_label_overlap),
    (("nc1", "nc1_pooled"), _of_collapse),
    (("nearest_centroid_accuracy",), _of_nearest_centroid),
    (
        ("nc2_equinorm", "nc2_equinorm_sample", "nc2_equiangle", "nc2_max_angle", "gnc2_uniformity"),
        _of_simplex,
    ),
    (("effective_rank", "rankme", "stable_rank", "isoscore"), _of_spectrum),
    (("largest_dimension_share",), _of_dimensions),
    (("mean_cosine",), _of_cosine),
    (("mean_cosine_centred",), _of_centred_cosine),
    (("intrinsic_dimension",), _of_dimension),
)
"""The names that each function gives values to."""
