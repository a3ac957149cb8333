"""Tests of claims about probes: accuracy, linearity, train against test, memorisation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from closerlook import measures as m
from closerlook.geometry.confidence import percentile_interval
from closerlook.geometry.correlation import correlate_rows, take_pairs
from closerlook.study import paper
from closerlook.study.cells import Moments, StudyCell, distances, matrices
from closerlook.study.claim_cells import claim_cell, mean_moments, moments_of
from closerlook.study.intervals import NOTHING, Effect, Interval, Within, effect, of_accuracies, of_difference
from closerlook.study.verdicts import ClaimCell, Verdict, by_sign

_N_BOOTSTRAP = 2000
_MIN_CELLS = 5
_NEARLY = 0.9
_PER_CONTRADICTION = 2
"""Clusters that a group of identical vectors with different labels may cost: each copy can stand alone."""


def accuracy_rises(cell: StudyCell) -> ClaimCell | None:
    """Accuracy after less before tuning."""
    if not cell.own:
        return None
    found = moments_of(cell, m.ACCURACY, split="test", probe=cell.classifier or None)
    before, after = mean_moments(found)
    n = max((one.n for one in found.values()), default=0)
    result = effect({seed: one.change for seed, one in found.items()}, lambda: of_accuracies(before, after, n))
    printed = paper.E1.get((cell.paper_model, cell.task)) if cell.as_in_paper else None
    told = f"{printed.before.accuracy:.4f} → {printed.after.accuracy:.4f}" if printed else ""
    change = printed.after.accuracy - printed.before.accuracy if printed else math.nan
    verdict, reason = by_sign(result)
    if result.known:
        reason = f"{cell.classifier} probe; {reason}"
    return claim_cell(cell, before, after, result, (verdict, reason), told, change)


def becomes_linear(cell: StudyCell) -> ClaimCell | None:
    """Clusters beyond one per label, and beyond what contradictions cost."""
    if not cell.own:
        return None
    clusters, labels, groups = (
        moments_of(cell, name, split="train") for name in (m.N_CLUSTERS, m.N_LABELS, m.N_CONTRADICTIONS)
    )
    excess = {seed: one.after[0] - labels[seed].after[0] for seed, one in clusters.items()}
    at_first = {seed: one.before[0] - labels[seed].before[0] for seed, one in clusters.items()}
    allowed = {seed: _PER_CONTRADICTION * float(np.nan_to_num(one.after[0])) for seed, one in groups.items()}
    before, after = mean_moments(clusters)
    result = effect(excess, lambda: (NOTHING, "a count"))
    verdict, reason = _linear_verdict(excess, at_first, allowed, groups)
    printed = paper.E1.get((cell.paper_model, cell.task)) if cell.as_in_paper else None
    told = f"{printed.before.clusters:,} → {printed.after.clusters:,}" if printed else ""
    return claim_cell(cell, before, after, result, (verdict, reason), told, math.nan)


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


def train_test_falls(cell: StudyCell) -> ClaimCell | None:
    """Train-test similarity after less before."""
    if not cell.own:
        return None
    found = moments_of(cell, m.TRAIN_TEST_SIMILARITY, split="train-test")
    before, after = mean_moments(found)
    result = effect({seed: one.change for seed, one in found.items()}, _similarity_interval(cell))
    printed = paper.E1.get((cell.paper_model, cell.task)) if cell.as_in_paper else None
    told, change = "", math.nan
    if printed and printed.after.similarity is not None:
        first = printed.before.similarity
        told = f"{'-' if first is None else f'{first:.2f}'} → {printed.after.similarity:.2f}"
        change = math.nan if first is None else printed.after.similarity - first
    return claim_cell(cell, before, after, result, by_sign(result, claimed=-1), told, change)


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
    """Size-matched train-test similarity, after less before; a fall that two halves of the train set share is none."""
    if not cell.own:
        return None
    found = moments_of(cell, m.MATCHED_SIMILARITY, split="train-test", probe="train_test")
    before, after = mean_moments(found)
    first = next(iter(found.values()), None)

    def within() -> tuple[Interval, str]:
        if first is None:
            return NOTHING, "no interval"
        return of_difference(first.after, first.before, "from the spread over draws of one run")

    result = effect({seed: one.change for seed, one in found.items()}, within)
    return claim_cell(cell, before, after, result, _beside_ceiling(cell, by_sign(result, claimed=-1)), "", math.nan)


def _beside_ceiling(cell: StudyCell, verdict: tuple[Verdict, str]) -> tuple[Verdict, str]:
    """The verdict, beside how alike two halves of the train set are: mixed if no more alike than train and test."""
    label, reason = verdict
    ceilings = mean_moments(moments_of(cell, m.SPLIT_HALF_CEILING, split="train-test", probe="train_test"))
    gap = mean_moments(moments_of(cell, m.TRAIN_TEST_GAP, split="train-test", probe="train_test"))[1]
    if not all(map(math.isfinite, (*ceilings, gap))):
        return verdict
    reason += f"; two halves of the train set: {ceilings[0]:.2f} → {ceilings[1]:.2f}"
    if label == Verdict.SUPPORTED and gap <= 0:
        return Verdict.MIXED, f"falls, but train and test are no less alike than two halves of the train set: {reason}"
    return label, reason


def memorises(cell: StudyCell) -> ClaimCell | None:
    """Seen less unseen accuracy, after less before tuning."""
    if not cell.own:
        return None
    found = moments_of(cell, "memorisation_gap", split="train-test", probe="memorisation")
    before, after = mean_moments(found)
    first = next(iter(found.values()), None)

    def within() -> tuple[Interval, str]:
        if first is None:
            return NOTHING, "no interval"
        return of_difference(first.after, first.before, f"from Newcombe's intervals over {first.n} seen examples")

    result = effect({seed: one.change for seed, one in found.items()}, within)
    return claim_cell(cell, before, after, result, by_sign(result), "", math.nan)


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
