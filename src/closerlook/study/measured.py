"""What the test of a claim finds in one condition, and what all tests share."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from closerlook.results.hits import decode_hits
from closerlook.results.tables import rows_of
from closerlook.study.conditions import Condition, by_seed, last_step, means
from closerlook.study.effects import Effect, difference, over_runs
from closerlook.study.verdicts import Finding, Verdict, by_sign


@dataclass(frozen=True)
class Measured:
    """What a claim's effect is in one condition.

    Attributes:
        effect: The effect.
        before: The number before tuning; NaN where there is none.
        after: The number after tuning; NaN where there is none.
        note: What to know about it, before the reason.
        verdict: A verdict by another rule than the interval's; None for the interval's.
        doubt: Why an effect on the claimed side counts as mixed; empty when it does not.
        paper: The paper's figure, in words.
        paper_effect: The effect in the paper; NaN where it prints none.
    """

    effect: Effect
    before: float = math.nan
    after: float = math.nan
    note: str = ""
    verdict: Verdict | None = None
    doubt: str = ""
    paper: str = ""
    paper_effect: float = math.nan


def finding_of(condition: Condition, measured: Measured, *, null: float, claimed: int) -> Finding:
    """The finding: the verdict of the effect's interval, or the measured one, and why."""
    verdict, reason = by_sign(measured.effect, null=null, claimed=claimed)
    if measured.verdict is not None:
        verdict, reason = measured.verdict, ""
    if verdict == Verdict.SUPPORTED and measured.doubt:
        verdict, reason = Verdict.MIXED, f"{measured.doubt}; {reason}"
    if verdict == Verdict.NOT_TESTABLE:
        reason = _why_not(condition, reason)
    elif measured.note:
        reason = "; ".join(filter(None, (measured.note, reason)))
    return Finding(
        model=condition.model,
        task=condition.task,
        tuned_on=condition.tuned_on,
        before=measured.before,
        after=measured.after,
        effect=measured.effect,
        verdict=verdict,
        reason=reason,
        paper=measured.paper,
        paper_effect=measured.paper_effect,
    )


def _why_not(condition: Condition, reason: str) -> str:
    """Why a condition has no number: nothing probed, no snapshot after tuning, or not that measure."""
    if not condition.probed:
        return "not probed yet"
    if all(last_step(table) < 0 for table in condition.probed.values()):
        return "no snapshot after the first one is probed yet"
    return reason


def change_over_runs(condition: Condition, measure: str, probe: str, what: str) -> Measured:
    """Change of a measure of train and test of which each run stores its own interval."""
    found = by_seed(condition, measure, split="train-test", probe=probe)
    changes = {seed: one.change for seed, one in found.items()}
    within = {
        seed: difference(one.after.interval, one.before.interval, one.after.value, one.before.value)
        for seed, one in found.items()
    }
    return Measured(over_runs(changes, within, what), *means(list(found.values())))


def paired_hits(condition: Condition, measure: str, probe: str) -> np.ndarray | None:
    """What each seed won and lost on each example by tuning.

    Returns:
        (n_seeds, n_examples) share of right answers after less before; None unless every probed seed has both, on the
        same examples.
    """
    found = []
    for table in condition.probed.values():
        rows = rows_of(table, measure, probe=probe, layer=condition.layer).drop_duplicates("step", keep="last")
        notes = rows.set_index("step")["note"].reindex([0, last_step(table)])
        if notes.isna().any():
            return None
        found.append([decode_hits(note) for note in notes])
    if len({hits.examples for pair in found for hits in pair}) != 1:
        return None
    return np.array([after.shares - before.shares for before, after in found])
