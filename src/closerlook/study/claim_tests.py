"""How each claim is tested in one cell: read before and after, take the effect of each seed, give the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from closerlook.figures.select import layers_of, rows_of
from closerlook.geometry.correlation import correlate_rows, take_pairs
from closerlook.geometry.intervals import percentile_interval
from closerlook.geometry.similarity import spatial_similarity
from closerlook.results import measures as m
from closerlook.study import paper
from closerlook.study.cells import Moments, StudyCell, distances, label_values, last_step, matrices, moments
from closerlook.study.intervals import (
    NOTHING,
    Effect,
    Interval,
    Within,
    effect,
    of_accuracies,
    of_difference,
    over_labels,
)
from closerlook.study.verdicts import ClaimCell, Verdict, by_sign

_N_BOOTSTRAP = 2000
_MIN_CELLS = 5
_ORDER_KEPT = 0.5
_NEARLY = 0.9
_PER_CONTRADICTION = 2
"""Clusters that a group of identical vectors with different labels may cost: each copy can stand alone."""


def accuracy_rises(cell: StudyCell) -> ClaimCell | None:
    """Accuracy after less before tuning."""
    if not cell.own:
        return None
    found = _moments(cell, m.ACCURACY, split="test", probe=cell.classifier or None)
    before, after = _means(found)
    n = max((one.n for one in found.values()), default=0)
    result = effect({seed: one.change for seed, one in found.items()}, lambda: of_accuracies(before, after, n))
    printed = paper.E1.get((cell.paper_model, cell.task)) if cell.as_in_paper else None
    told = f"{printed.before.accuracy:.4f} → {printed.after.accuracy:.4f}" if printed else ""
    change = printed.after.accuracy - printed.before.accuracy if printed else math.nan
    verdict, reason = by_sign(result)
    if result.known:
        reason = f"{cell.classifier} probe; {reason}"
    return _cell(cell, before, after, result, (verdict, reason), told, change)


def becomes_linear(cell: StudyCell) -> ClaimCell | None:
    """Clusters beyond one per label, and beyond what contradictions cost."""
    if not cell.own:
        return None
    clusters, labels, groups = (
        _moments(cell, name, split="train") for name in (m.N_CLUSTERS, m.N_LABELS, m.N_CONTRADICTIONS)
    )
    excess = {seed: one.after[0] - labels[seed].after[0] for seed, one in clusters.items()}
    at_first = {seed: one.before[0] - labels[seed].before[0] for seed, one in clusters.items()}
    allowed = {seed: _PER_CONTRADICTION * float(np.nan_to_num(one.after[0])) for seed, one in groups.items()}
    before, after = _means(clusters)
    result = effect(excess, lambda: (NOTHING, "a count"))
    verdict, reason = _linear_verdict(excess, at_first, allowed, groups)
    printed = paper.E1.get((cell.paper_model, cell.task)) if cell.as_in_paper else None
    told = f"{printed.before.clusters:,} → {printed.after.clusters:,}" if printed else ""
    return _cell(cell, before, after, result, (verdict, reason), told, math.nan)


def _linear_verdict(
    excess: Mapping[int, float],
    at_first: Mapping[int, float],
    allowed: Mapping[int, float],
    groups: Mapping[int, Moments],
) -> tuple[Verdict, str]:
    known = [seed for seed, value in excess.items() if math.isfinite(value)]
    if not known:
        return Verdict.NOT_TESTABLE, "number of clusters not measured"
    if all(excess[seed] <= allowed[seed] for seed in known):
        k = int(max(groups[seed].after[0] for seed in known))
        if all(excess[seed] == 0 for seed in known):
            was = all(at_first[seed] == 0 for seed in known)
            return Verdict.SUPPORTED, "linear, as it was before tuning" if was else "linear"
        return Verdict.SUPPORTED, f"linear apart from {k} contradiction{'s' if k != 1 else ''}"
    shares = [1 - excess[seed] / at_first[seed] if at_first[seed] > 0 else -math.inf for seed in known]
    worst = max(excess[seed] for seed in known)
    if min(shares) >= _NEARLY:
        return Verdict.MIXED, f"nearly: {worst:,.0f} clusters beyond one per label are left"
    return Verdict.NOT_SUPPORTED, f"{worst:,.0f} clusters beyond one per label are left"


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
    result = effect(_column_means(changes), lambda: over_labels(per_label))
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
    return _cell(cell, before, after, result, (verdict, reason), told, change)


def apart_beyond_scatter(cell: StudyCell) -> ClaimCell | None:
    """Growth of label distances over growth of the scatter within labels."""
    if not cell.own:
        return None
    found = _moments(cell, "distance_growth_over_scatter", split="train", probe="geometry")
    only = [one.after for one in found.values()]

    def within() -> tuple[Interval, str]:
        ends = np.array([[low, high] for _, low, high in only if math.isfinite(low)])
        return (Interval(*ends.mean(axis=0)), "bootstrap over labels") if len(ends) else (NOTHING, "no interval")

    result = effect({seed: one.after[0] for seed, one in found.items()}, within)
    return _cell(cell, math.nan, math.nan, result, by_sign(result, null=1.0), "", math.nan)


def train_test_falls(cell: StudyCell) -> ClaimCell | None:
    """Train-test similarity after less before."""
    if not cell.own:
        return None
    found = _moments(cell, m.TRAIN_TEST_SIMILARITY, split="train-test")
    before, after = _means(found)
    result = effect({seed: one.change for seed, one in found.items()}, _similarity_interval(cell))
    printed = paper.E1.get((cell.paper_model, cell.task)) if cell.as_in_paper else None
    told, change = "", math.nan
    if printed and printed.after.similarity is not None:
        first = printed.before.similarity
        told = f"{'-' if first is None else f'{first:.2f}'} → {printed.after.similarity:.2f}"
        change = math.nan if first is None else printed.after.similarity - first
    return _cell(cell, before, after, result, by_sign(result, claimed=-1), told, change)


def _similarity_interval(cell: StudyCell) -> Within:
    """Bootstrap over labels of the change of the train-test similarity: the same labels at both moments."""

    def within() -> tuple[Interval, str]:
        for table in cell.tables.values():
            vectors = [
                distances(table, layer=cell.layer, split=split, moment=moment)
                for moment in ("before", "after")
                for split in ("train", "test")
            ]
            if all(len(vector) for vector in vectors):
                break
        else:
            return NOTHING, "no interval"
        found = [matrix.copy() for matrix in matrices(*vectors)]
        n = len(found[0])
        for matrix in found:
            np.fill_diagonal(matrix, np.nan)  # a label drawn twice has no distance to itself
        draws = np.random.default_rng(0).integers(n, size=(_N_BOOTSTRAP, n))
        pairs = [take_pairs(matrix, draws) for matrix in found]
        changes = correlate_rows(pairs[2], pairs[3]) - correlate_rows(pairs[0], pairs[1])
        return percentile_interval(changes), f"bootstrap over {n} labels of one run"

    return within


def train_test_falls_matched(cell: StudyCell) -> ClaimCell | None:
    """The gap between the split-half ceiling and the size-matched similarity, after less before."""
    if not cell.own:
        return None
    found = _moments(cell, m.TRAIN_TEST_GAP, split="train-test", probe="train_test")
    before, after = _means(found)
    first = next(iter(found.values()), None)

    def within() -> tuple[Interval, str]:
        if first is None:
            return NOTHING, "no interval"
        return of_difference(first.after, first.before, "from the spread over draws of one run")

    result = effect({seed: one.change for seed, one in found.items()}, within)
    return _cell(cell, before, after, result, by_sign(result), "", math.nan)


def upper_layers_move_more(cell: StudyCell) -> ClaimCell | None:
    """Displacement of each label's centroid, upper less lower half of the blocks, over each layer's mean norm."""
    if not cell.own:
        return None
    moved = {seed: _halves(table, cell.layer) for seed, table in cell.tables.items() if len(table)}
    changes = pd.DataFrame({seed: halves["upper"] - halves["lower"] for seed, halves in moved.items()})
    per_label = changes.mean(axis=1).to_numpy(dtype=float) if len(changes) else np.array([])
    result = effect(_column_means(changes), lambda: over_labels(per_label))
    lower, upper = (
        float(np.nanmean([halves[k].mean() for halves in moved.values()])) if result.known else math.nan
        for k in ("lower", "upper")
    )
    return _cell(cell, lower, upper, result, by_sign(result), "", math.nan)


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
    return _cell(cell, math.nan, math.nan, result, by_sign(result, null=_ORDER_KEPT), "", math.nan)


def _order(table: pd.DataFrame, layer: int) -> tuple[float, float, float]:
    before, after = (distances(table, layer=layer, split="train", moment=moment) for moment in ("before", "after"))
    if before.empty or after.empty:
        return math.nan, math.nan, math.nan
    found = spatial_similarity(*matrices(before, after), method="spearman", n_permutations=0, n_bootstrap=500)
    return found.value, found.low, found.high


def memorises(cell: StudyCell) -> ClaimCell | None:
    """Seen less unseen accuracy, after less before tuning."""
    if not cell.own:
        return None
    found = _moments(cell, "memorisation_gap", split="train-test", probe="memorisation")
    before, after = _means(found)
    first = next(iter(found.values()), None)

    def within() -> tuple[Interval, str]:
        if first is None:
            return NOTHING, "no interval"
        return of_difference(first.after, first.before, f"from Newcombe's intervals over {first.n} seen examples")

    result = effect({seed: one.change for seed, one in found.items()}, within)
    return _cell(cell, before, after, result, by_sign(result), "", math.nan)


def exception_diverges(cells: Sequence[StudyCell]) -> ClaimCell:
    """Over cells: does accuracy gain less where train and test are less alike after tuning?"""
    points = []
    for cell in cells:
        rises, falls = accuracy_rises(cell), train_test_falls(cell)
        if rises and falls and rises.effect.known and math.isfinite(falls.after):
            points.append((rises.effect.value, falls.after))
    many = "all models", "all tasks", "all tasks"
    if len(points) < _MIN_CELLS:
        reason = f"{len(points)} cells with both numbers, at least {_MIN_CELLS} needed"
        nothing = Effect(math.nan, basis=reason)
        return ClaimCell(*many, math.nan, math.nan, nothing, Verdict.NOT_TESTABLE, reason)
    gains, alike = np.array(points).T
    value = float(correlate_rows(gains[None], alike[None], "spearman")[0])
    draws = np.random.default_rng(0).integers(len(points), size=(_N_BOOTSTRAP, len(points)))
    low, high = percentile_interval(correlate_rows(gains[draws], alike[draws], "spearman"))
    found = Effect(value, low, high, f"bootstrap over {len(points)} cells")
    return ClaimCell(*many, math.nan, math.nan, found, *by_sign(found))


def _column_means(changes: pd.DataFrame) -> dict[int, float]:
    """Mean over labels by seed."""
    seeds = [int(seed) for seed in changes.columns.to_numpy()]
    return dict(zip(seeds, changes.mean(axis=0).to_numpy(dtype=float).tolist(), strict=True))


def _moments(cell: StudyCell, measure: str, *, split: str, probe: str | None = None) -> dict[int, Moments]:
    """A measure of the last layer before and after, by seed that has results."""
    return {
        seed: moments(table, measure, layer=cell.layer, split=split, probe=probe)
        for seed, table in cell.tables.items()
        if len(table)
    }


def _means(found: Mapping[int, Moments]) -> tuple[float, float]:
    """Mean before and after over the seeds that have both."""
    both = [(one.before[0], one.after[0]) for one in found.values() if math.isfinite(one.change)]
    if not both:
        return math.nan, math.nan
    before, after = np.mean(both, axis=0)
    return float(before), float(after)


def _cell(
    cell: StudyCell, before: float, after: float, found: Effect, verdict: tuple[Verdict, str], told: str, change: float
) -> ClaimCell:
    label, reason = verdict
    if label == Verdict.NOT_TESTABLE:
        reason = _why(cell, reason)
    return ClaimCell(cell.model, cell.task, cell.tuned_on, before, after, found, label, reason, told, change)


def _why(cell: StudyCell, reason: str) -> str:
    """Why a cell has no number: nothing probed, no snapshot after tuning, or not that measure."""
    if not any(len(table) for table in cell.tables.values()):
        return "not probed yet"
    if all(last_step(table) < 0 for table in cell.tables.values()):
        return "no snapshot after the first one is probed yet"
    if rows_of(pd.concat(cell.tables.values()), m.LABEL_DISTANCE, layer=cell.layer).empty and "cluster" in reason:
        return "label distances of the last layer are not measured"
    return reason
