"""A claim, its verdict, and the rules that lead from intervals to verdicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from closerlook.study.across_conditions import Combined
from closerlook.study.effects import Effect

LEVEL = 0.05


class Verdict(StrEnum):
    """What the measurements say about a claim."""

    SUPPORTED = "supported"
    NOT_SUPPORTED = "not supported"
    MIXED = "mixed"
    UNDECIDED = "undecided"
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


PAPER, METHODS = "paper", "methods"
"""Families of claims: the paper's, and those about ways of tuning."""

CLAIM_TITLES = {PAPER: "The paper's claims", METHODS: "Claims about ways of tuning"}
"""Headings, by family."""


@dataclass(frozen=True)
class Claim:
    """A claim and what this study's runs say about it.

    Attributes:
        key: A short name, stable.
        statement: The claim.
        effect: What is measured, with its unit.
        rule: How a condition's verdict is reached.
        paper: What the paper reports.
        findings: The claim in each condition.
        verdict: Over all conditions.
        reason: Why, in words; says what to run where nothing could be tested.
        combined: The estimate over conditions; None where there is none.
        p_value: Of "no effect", over conditions, corrected for the number of claims (Holm); NaN where there is none.
        family: What it is about: :data:`PAPER` or :data:`METHODS`.
    """

    key: str
    statement: str
    effect: str
    rule: str
    paper: str
    findings: tuple[Finding, ...]
    verdict: Verdict
    reason: str
    combined: Combined | None = field(default=None)
    p_value: float = math.nan
    family: str = PAPER

    @property
    def tested(self) -> tuple[Finding, ...]:
        """Conditions with a verdict of their own."""
        return tuple(found for found in self.findings if found.verdict != Verdict.NOT_TESTABLE)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a missing number is None."""
        return dict(_plain(asdict(self)))


def by_sign(found: Effect, *, null: float, claimed: int) -> tuple[Verdict, str]:
    """The verdict of an interval on one side of ``null``, and why.

    Args:
        found: The effect.
        null: The value that means no effect.
        claimed: +1 when the claim is an effect above ``null``, -1 when below.
    """
    if not found.known:
        return Verdict.NOT_TESTABLE, found.basis
    if not found.has_interval:
        return Verdict.UNDECIDED, found.basis
    low, high = sorted((claimed * (found.low - null), claimed * (found.high - null)))
    if low > 0:
        return Verdict.SUPPORTED, found.basis
    if high < 0:
        return Verdict.NOT_SUPPORTED, found.basis
    return Verdict.UNDECIDED, f"the interval holds {null:g} ({found.basis})"


def counted(findings: Sequence[Finding]) -> str:
    """How many conditions say what, in words."""
    counts = {verdict: sum(found.verdict == verdict for found in findings) for verdict in Verdict}
    tested = len(findings) - counts[Verdict.NOT_TESTABLE]
    said = f"{counts[Verdict.SUPPORTED]} of {tested} condition{'s' if tested != 1 else ''} support it"
    for verdict, words in ((Verdict.NOT_SUPPORTED, "speak against it"), (Verdict.MIXED, "mixed")):
        said += f", {counts[verdict]} {words}" if counts[verdict] else ""
    said += f", {counts[Verdict.UNDECIDED]} undecided" if counts[Verdict.UNDECIDED] else ""
    return said + (f"; {counts[Verdict.NOT_TESTABLE]} not testable" if counts[Verdict.NOT_TESTABLE] else "")


def agreement(findings: Sequence[Finding]) -> Verdict | None:
    """The verdict that all tested conditions share; None when they do not."""
    verdicts = {found.verdict for found in findings} - {Verdict.NOT_TESTABLE}
    return verdicts.pop() if len(verdicts) == 1 else None


def disagreement(findings: Sequence[Finding]) -> Verdict:
    """What is left when the conditions together decide nothing: mixed if some say yes and some no, else undecided."""
    verdicts = {found.verdict for found in findings}
    both = {Verdict.SUPPORTED, Verdict.NOT_SUPPORTED} <= verdicts or Verdict.MIXED in verdicts
    return Verdict.MIXED if both else Verdict.UNDECIDED


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Verdict) else value
