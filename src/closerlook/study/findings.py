"""What all tests of claims share: a measure before and after by seed, and the condition that results."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from closerlook.figures.select import rows_of
from closerlook.results import measures as m
from closerlook.study.conditions import Moments, Condition, last_step, moments
from closerlook.study.effects import Effect
from closerlook.study.verdicts import Finding, Verdict


def column_means(changes: pd.DataFrame) -> dict[int, float]:
    """Mean over labels by seed."""
    seeds = [int(seed) for seed in changes.columns.to_numpy()]
    return dict(zip(seeds, changes.mean(axis=0).to_numpy(dtype=float).tolist(), strict=True))


def moments_of(condition: Condition, measure: str, *, split: str, probe: str | None = None) -> dict[int, Moments]:
    """A measure of the last layer before and after, by seed that has results."""
    return {
        seed: moments(table, measure, layer=condition.layer, split=split, probe=probe)
        for seed, table in condition.tables.items()
        if len(table)
    }


def mean_moments(found: Mapping[int, Moments]) -> tuple[float, float]:
    """Mean before and after over the seeds that have both."""
    both = [(one.before[0], one.after[0]) for one in found.values() if math.isfinite(one.change)]
    if not both:
        return math.nan, math.nan
    before, after = np.mean(both, axis=0)
    return float(before), float(after)


def finding(
    condition: Condition, before: float, after: float, found: Effect, verdict: tuple[Verdict, str], told: str, change: float
) -> Finding:
    """The condition of a claim: numbers, verdict with its reason, and the paper's figure in words and as an effect."""
    label, reason = verdict
    if label == Verdict.NOT_TESTABLE:
        reason = why(condition, reason)
    return Finding(condition.model, condition.task, condition.tuned_on, before, after, found, label, reason, told, change)


def why(condition: Condition, reason: str) -> str:
    """Why a condition has no number: nothing probed, no snapshot after tuning, or not that measure."""
    if not any(len(table) for table in condition.tables.values()):
        return "not probed yet"
    if all(last_step(table) < 0 for table in condition.tables.values()):
        return "no snapshot after the first one is probed yet"
    if rows_of(pd.concat(condition.tables.values()), m.LABEL_DISTANCE, layer=condition.layer).empty and "cluster" in reason:
        return "label distances of the last layer are not measured"
    return reason
