"""What all tests of claims share: a measure before and after by seed, and the cell that results."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from closerlook import measures as m
from closerlook.results.tables import rows_of
from closerlook.study.cells import Moments, StudyCell, last_step, moments
from closerlook.study.intervals import Effect
from closerlook.study.verdicts import ClaimCell, Verdict


def column_means(changes: pd.DataFrame) -> dict[int, float]:
    """Mean over labels by seed."""
    seeds = [int(seed) for seed in changes.columns.to_numpy()]
    return dict(zip(seeds, changes.mean(axis=0).to_numpy(dtype=float).tolist(), strict=True))


def moments_of(cell: StudyCell, measure: str, *, split: str, probe: str | None = None) -> dict[int, Moments]:
    """A measure of the last layer before and after, by seed that has results."""
    return {
        seed: moments(table, measure, layer=cell.layer, split=split, probe=probe)
        for seed, table in cell.tables.items()
        if len(table)
    }


def mean_moments(found: Mapping[int, Moments]) -> tuple[float, float]:
    """Mean before and after over the seeds that have both."""
    both = [(one.before[0], one.after[0]) for one in found.values() if math.isfinite(one.change)]
    if not both:
        return math.nan, math.nan
    before, after = np.mean(both, axis=0)
    return float(before), float(after)


def claim_cell(
    cell: StudyCell, before: float, after: float, found: Effect, verdict: tuple[Verdict, str], told: str, change: float
) -> ClaimCell:
    """The cell of a claim: numbers, verdict with its reason, and the paper's figure in words and as an effect."""
    label, reason = verdict
    if label == Verdict.NOT_TESTABLE:
        reason = why(cell, reason)
    return ClaimCell(cell.model, cell.task, cell.tuned_on, before, after, found, label, reason, told, change)


def why(cell: StudyCell, reason: str) -> str:
    """Why a cell has no number: nothing probed, no snapshot after tuning, or not that measure."""
    if not any(len(table) for table in cell.tables.values()):
        return "not probed yet"
    if all(last_step(table) < 0 for table in cell.tables.values()):
        return "no snapshot after the first one is probed yet"
    if rows_of(pd.concat(cell.tables.values()), m.LABEL_DISTANCE, layer=cell.layer).empty and "cluster" in reason:
        return "label distances of the last layer are not measured"
    return reason
