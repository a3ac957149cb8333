"""What the numbers say, in sentences and in one table: before and after fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from closerlook import measures as m
from closerlook.number_text import counted, number_text
from closerlook.results.tables import (
    SUMMARY_MEASURES,
    Change,
    change_of,
    gains,
    label_series,
    layers_of,
    rows_of,
    snapshots_of,
    split_for,
)
from closerlook.study.weight_verdict import weight_verdict


@dataclass(frozen=True)
class SummaryRow:
    """One layer of the before/after table: a :class:`Change` per measure of :data:`SUMMARY_MEASURES`."""

    layer: int
    changes: dict[str, Change]


def summary_rows(table: pd.DataFrame, split: str) -> list[SummaryRow]:
    """The before/after table of one split, one row a layer."""
    layers = sorted({layer for measure in SUMMARY_MEASURES for layer in layers_of(table, measure)})
    return [
        SummaryRow(
            layer, {one: change_of(table, one, layer=layer, split=split_for(one, split)) for one in SUMMARY_MEASURES}
        )
        for layer in layers
    ]


def sentences(table: pd.DataFrame, split: str = "train", what: str = "Fine-tuning") -> list[str]:
    """What happened at the last layer, and to the weights where they were compared; computed, never assumed."""
    weights = weight_verdict(table)
    said = list(weights.sentences) if weights is not None else []
    if said and table["probe"].isin(["weights"]).all():
        return said
    return [*_of_space(table, split, what), *said]


def _of_space(table: pd.DataFrame, split: str, what: str) -> list[str]:
    """Two to four sentences."""
    layers = layers_of(table, m.MEAN_MIN_DISTANCE, split) or layers_of(table, m.ACCURACY)
    if not layers:
        return ["No distances have been measured yet."]
    if len(snapshots_of(table)) < 2:
        return ["Only one snapshot has been probed so far, so there is nothing to compare yet."]
    last = layers[-1]
    said = [
        _distances(table, last, split, what),
        _clusters(table, last, split),
        _accuracy(table, last),
        _movement(table, split),
    ]
    return [sentence for sentence in said if sentence]


def _distances(table: pd.DataFrame, layer: int, split: str, what: str) -> str:
    change = change_of(table, m.MEAN_MIN_DISTANCE, layer=layer, split=split)
    if not change.known:
        return ""
    verb, verdict, factor = "rose", "moved the labels apart", ""
    if change.after < change.before:
        verb, verdict = "fell", "pulled the labels together"
    elif change.before > 0:
        factor = f" ({change.after / change.before:.1f} times)"
    if np.isclose(change.after, change.before, rtol=0.05):
        verb, verdict, factor = "went", "left the labels about as far apart as they were", ""
    moved = gains(label_series(table, m.MIN_DISTANCE, layer=layer, split=split))
    each = f"; it grew for {(moved > 0).sum()} of {counted(len(moved), 'label')}" if len(moved) else ""
    before, after = (number_text(m.MEAN_MIN_DISTANCE, value) for value in (change.before, change.after))
    return (
        f"{what} {verdict}: the mean distance from a label to its nearest neighbour at layer {layer} "
        f"({split}) {verb} from {before} to {after}{factor}{each}."
    )


def _clusters(table: pd.DataFrame, layer: int, split: str) -> str:
    change = change_of(table, m.N_CLUSTERS, layer=layer, split=split)
    labels = change_of(table, m.N_LABELS, layer=layer, split=split)
    if not (change.known and labels.known):
        return ""
    linear_before = change.before == labels.before
    if change.after == labels.after:
        verdict = "it was linear before, and still is" if linear_before else "it was not linear before, and is now"
    else:
        verdict = "it is no longer linear" if linear_before else "it was not linear before, and is not now"
    return (
        f"DirectProbe needs {counted(change.before, 'cluster')} for {counted(labels.after, 'label')} before and "
        f"{change.after:,.0f} after: {verdict} (linear means one cluster per label)."
    )


def _accuracy(table: pd.DataFrame, layer: int) -> str:
    change = change_of(table, m.ACCURACY, layer=layer, split="test")
    if not change.known:
        return ""
    base = change_of(table, m.MAJORITY_ACCURACY, layer=layer, split="test").after
    against = f" (always answering the commonest label: {base:.3f})" if np.isfinite(base) else ""
    return (
        f"A linear classifier on the frozen vectors of layer {layer} is right on {change.before:.3f} of the test "
        f"examples before and {change.after:.3f} after{against}."
    )


def _movement(table: pd.DataFrame, split: str) -> str:
    layers = layers_of(table, m.MEAN_DISPLACEMENT, split)
    ends = {layer: change_of(table, m.MEAN_DISPLACEMENT, layer=layer, split=split).after for layer in layers}
    moved = {layer: value for layer, value in ends.items() if np.isfinite(value)}
    if len(moved) < 2:
        return ""
    most, least = max(moved, key=lambda layer: moved[layer]), min(moved, key=lambda layer: moved[layer])
    far, near = (number_text(m.MEAN_DISPLACEMENT, value) for value in (moved[most], moved[least]))
    kept = change_of(table, m.SIMILARITY_TO_FIRST, layer=most, split=split).after
    order = f"; its label distances correlate {kept:.2f} with those before" if np.isfinite(kept) else ""
    return f"Layer {most} moved most (label centroids by {far} on average{order}) and layer {least} least ({near})."


@dataclass(frozen=True)
class LabelRow:
    """One label of one layer and split.

    Attributes:
        label: Its name.
        min_distance: To the nearest other label, before and after.
        nearest: The nearest other label at the last snapshot; empty when unknown.
        displacement: How far its centroid went; NaN when unknown.
    """

    label: str
    min_distance: Change
    nearest: str
    displacement: float


def label_rows(table: pd.DataFrame, *, layer: int, split: str) -> list[LabelRow]:
    """The per-label table of one layer and split, by name."""
    near = label_series(table, m.MIN_DISTANCE, layer=layer, split=split)
    moved = label_series(table, m.CENTROID_DISPLACEMENT, layer=layer, split=split)
    nearest = _nearest(table, layer, split)
    return [
        LabelRow(
            str(label),
            Change(_end(near, label, 0), _end(near, label, -1)),
            nearest.get(str(label), ""),
            _end(moved, label, -1),
        )
        for label in sorted(set(near.columns) | set(moved.columns))
    ]


def _end(series: pd.DataFrame, label: object, place: int) -> float:
    return float(series[label].iloc[place]) if label in series.columns else float("nan")


def _nearest(table: pd.DataFrame, layer: int, split: str) -> dict[str, str]:
    pairs = rows_of(table, m.LABEL_DISTANCE, layer=layer, split=split)
    pairs = pairs[pairs["step"] == pairs["step"].max()].dropna(subset="value")
    both = pd.concat([pairs, pairs.rename(columns={"label": "other", "other": "label"})])
    closest = both.sort_values("value", kind="stable").drop_duplicates("label")
    return dict(zip(closest["label"].astype(str), closest["other"].astype(str), strict=True))
