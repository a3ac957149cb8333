"""Tests of claims about where labels are: how far apart, which layers move, what order is kept."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from closerlook import measures as m
from closerlook.geometry.similarity import spatial_similarity
from closerlook.results.tables import layers_of
from closerlook.study import paper
from closerlook.study.cells import StudyCell, distances, label_values, last_step, matrices, moments
from closerlook.study.claim_cells import claim_cell, column_means, moments_of
from closerlook.study.intervals import NOTHING, Interval, effect, over_labels
from closerlook.study.verdicts import ClaimCell, by_sign

_ORDER_KEPT = 0.5


def distances_grow(cell: StudyCell) -> ClaimCell | None:
    """Change of the minimum distances for the tuned task."""
    return _minimum_distances(cell, claimed=1) if cell.own else None


def related_grows(cell: StudyCell) -> ClaimCell | None:
    """Change of the minimum distances after tuning on a related task."""
    return _minimum_distances(cell, claimed=1) if _relation(cell) is True else None


def unrelated_shrinks(cell: StudyCell) -> ClaimCell | None:
    """Change of the minimum distances after tuning on an unrelated task."""
    return _minimum_distances(cell, claimed=-1) if _relation(cell) is False else None


def _relation(cell: StudyCell) -> bool | None:
    return None if cell.own else paper.RELATED.get(frozenset({cell.task, cell.tuned_on}))


def _minimum_distances(cell: StudyCell, *, claimed: int) -> ClaimCell:
    values = {seed: label_values(t, m.MIN_DISTANCE, layer=cell.layer) for seed, t in cell.tables.items() if len(t)}
    changes = pd.DataFrame({seed: table["after"] - table["before"] for seed, table in values.items()})
    per_label = changes.mean(axis=1).to_numpy(dtype=float) if len(changes) else np.array([])
    result = effect(column_means(changes), lambda: over_labels(per_label))
    verdict, reason = by_sign(result, claimed=claimed)
    if result.known:
        reason = f"up for {int((per_label > 0).sum())}, down for {int((per_label < 0).sum())} labels; {reason}"
    before, after = (
        float(np.nanmean([t[k].mean() for t in values.values()])) if result.known else math.nan
        for k in ("before", "after")
    )
    told, change = "", math.nan
    if cell.as_in_paper and cell.paper_model == paper.E5_MODEL and cell.task == paper.E5_TASK:
        printed = paper.E5.get(cell.tuned_on)
        if printed:
            told, change = f"{printed.n_up} up, {printed.n_down} down, {printed.mean_change:+.2f}", printed.mean_change
    return claim_cell(cell, before, after, result, (verdict, reason), told, change)


def apart_beyond_scatter(cell: StudyCell) -> ClaimCell | None:
    """Growth of label distances over growth of the scatter within labels."""
    if not cell.own:
        return None
    found = moments_of(cell, m.GROWTH_OVER_SCATTER, split="train", probe="growth")
    only = [one.after for one in found.values()]

    def within() -> tuple[Interval, str]:
        ends = np.array([[low, high] for _, low, high in only if math.isfinite(low)])
        return (Interval(*ends.mean(axis=0)), "bootstrap over labels") if len(ends) else (NOTHING, "no interval")

    result = effect({seed: one.after[0] for seed, one in found.items()}, within)
    return claim_cell(cell, math.nan, math.nan, result, by_sign(result, null=1.0), "", math.nan)


def upper_layers_move_more(cell: StudyCell) -> ClaimCell | None:
    """Displacement of each label's centroid, upper less lower half of the blocks, over each layer's mean norm."""
    if not cell.own:
        return None
    moved = {seed: _halves(table, cell.layer) for seed, table in cell.tables.items() if len(table)}
    changes = pd.DataFrame({seed: halves["upper"] - halves["lower"] for seed, halves in moved.items()})
    per_label = changes.mean(axis=1).to_numpy(dtype=float) if len(changes) else np.array([])
    result = effect(column_means(changes), lambda: over_labels(per_label))
    lower, upper = (
        float(np.nanmean([halves[k].mean() for halves in moved.values()])) if result.known else math.nan
        for k in ("lower", "upper")
    )
    return claim_cell(cell, lower, upper, result, by_sign(result), "", math.nan)


def _halves(table: pd.DataFrame, n_layers: int) -> pd.DataFrame:
    """Mean relative displacement of each label in the lower and the upper half of the blocks; NaN if one is missing."""
    layers = [layer for layer in layers_of(table, m.CENTROID_DISPLACEMENT, "train") if layer >= 1]
    columns: dict[int, pd.Series] = {}
    for layer in layers:
        norm = moments(table, m.MEAN_DISPLACEMENT, layer=layer, split="train").after[0]
        relative = moments(table, m.RELATIVE_DISPLACEMENT, layer=layer, split="train").after[0]
        if norm > 0 and math.isfinite(relative):
            columns[layer] = label_values(table, m.CENTROID_DISPLACEMENT, layer=layer)["after"] * (relative / norm)
    frame = pd.DataFrame(columns)
    lower = [layer for layer in columns if layer <= n_layers // 2]
    upper = [layer for layer in columns if layer > n_layers // 2]
    nothing = pd.Series(np.nan, index=frame.index, dtype="float64")
    return pd.DataFrame({
        "lower": frame[lower].mean(axis=1) if lower else nothing,
        "upper": frame[upper].mean(axis=1) if upper else nothing,
    })  # fmt: skip


def keeps_order(cell: StudyCell) -> ClaimCell | None:
    """Rank correlation of label distances before and after tuning."""
    if not cell.own:
        return None
    found = {
        seed: _order(table, cell.layer) for seed, table in cell.tables.items() if len(table) and last_step(table) > 0
    }
    known = {seed: one for seed, one in found.items() if math.isfinite(one[0])}

    def within() -> tuple[Interval, str]:
        ends = np.array([one[1:] for one in known.values()])
        return Interval(*ends.mean(axis=0)), "bootstrap over labels"

    result = effect({seed: one[0] for seed, one in known.items()}, within)
    return claim_cell(cell, math.nan, math.nan, result, by_sign(result, null=_ORDER_KEPT), "", math.nan)


def _order(table: pd.DataFrame, layer: int) -> tuple[float, float, float]:
    before, after = (distances(table, layer=layer, split="train", moment=moment) for moment in ("before", "after"))
    if before.empty or after.empty:
        return math.nan, math.nan, math.nan
    first, second = matrices(before, after)
    found = spatial_similarity(first, second, "spearman", n_permutations=0)
    return found.value, found.low, found.high
