"""A claim, its verdict, and the rules that lead from intervals to verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from closerlook.study.effects import Effect

SIGN_RULE = (
    "A condition supports the claim when its 95 % interval lies wholly on the claimed side of {null}, speaks against it "
    "when it lies wholly on the other side, and is undecided otherwise."
)


class Verdict(StrEnum):
    """What the measurements say about a claim."""

    SUPPORTED = "supported"
    NOT_SUPPORTED = "not supported"
    MIXED = "mixed"
    NOT_TESTABLE = "not testable"


@dataclass(frozen=True)
class Finding:
    """A claim in one condition of the study.

    Attributes:
        model: The model.
        task: The task that was probed.
        tuned_on: The task that was tuned on.
        before: The number before tuning; NaN where there is none.
        after: The number after tuning; NaN where there is none.
        effect: The effect that the claim is about, with its interval.
        verdict: What it says.
        reason: Why, in words.
        paper: The paper's figure for this condition, in words; empty where the setting is not the paper's.
        paper_effect: The same effect from the paper's figures; NaN where it prints none.
    """

    model: str
    task: str
    tuned_on: str
    before: float
    after: float
    effect: Effect
    verdict: Verdict
    reason: str = ""
    paper: str = ""
    paper_effect: float = math.nan


@dataclass(frozen=True)
class Claim:
    """A claim of the paper and what this study's runs say about it.

    Attributes:
        key: A short name, stable.
        statement: The claim.
        effect: What is measured, with its unit.
        rule: How a condition's verdict is reached.
        paper: What the paper reports.
        conditions: The claim in each condition.
        verdict: Over all conditions.
        reason: Why, in words; says what to run where nothing could be tested.
    """

    key: str
    statement: str
    effect: str
    rule: str
    paper: str
    conditions: tuple[Finding, ...]
    verdict: Verdict
    reason: str

    @property
    def tested(self) -> tuple[Finding, ...]:
        """Conditions with a verdict of their own."""
        return tuple(condition for condition in self.conditions if condition.verdict != Verdict.NOT_TESTABLE)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a missing number is None."""
        return dict(_plain(asdict(self)))


def by_sign(found: Effect, *, null: float = 0.0, claimed: int = 1) -> tuple[Verdict, str]:
    """The verdict of an interval on one side of ``null``.

    Args:
        found: The effect.
        null: The value that means no effect.
        claimed: +1 when the claim is an effect above ``null``, -1 when below.
    """
    if not found.known:
        return Verdict.NOT_TESTABLE, found.basis
    if not found.has_interval:
        return Verdict.MIXED, f"undecided: {found.basis}"
    low, high = sorted((claimed * (found.low - null), claimed * (found.high - null)))
    if low > 0:
        return Verdict.SUPPORTED, found.basis
    if high < 0:
        return Verdict.NOT_SUPPORTED, found.basis
    return Verdict.MIXED, f"undecided: the interval holds {null:g} ({found.basis})"


def overall(conditions: Iterable[Finding], advice: str) -> tuple[Verdict, str]:
    """The verdict over conditions: supported when every tested condition supports, not supported when none does and one opposes.

    Args:
        conditions: All conditions.
        advice: What to run when nothing could be tested.
    """
    conditions = list(conditions)
    counts = {verdict: sum(condition.verdict == verdict for condition in conditions) for verdict in Verdict}
    tested = len(conditions) - counts[Verdict.NOT_TESTABLE]
    if not tested:
        reasons = {condition.reason for condition in conditions if condition.reason}
        return Verdict.NOT_TESTABLE, "; ".join(filter(None, [*sorted(reasons)[:2], advice]))
    said = f"{counts[Verdict.SUPPORTED]} of {tested} conditions support it"
    if counts[Verdict.NOT_SUPPORTED]:
        said += f", {counts[Verdict.NOT_SUPPORTED]} speak against it"
    if counts[Verdict.MIXED]:
        said += f", {counts[Verdict.MIXED]} undecided"
    if counts[Verdict.NOT_TESTABLE]:
        said += f"; {counts[Verdict.NOT_TESTABLE]} not testable"
    if counts[Verdict.SUPPORTED] == tested:
        return Verdict.SUPPORTED, said
    if not counts[Verdict.SUPPORTED] and counts[Verdict.NOT_SUPPORTED]:
        return Verdict.NOT_SUPPORTED, said
    return Verdict.MIXED, said


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Verdict) else value
