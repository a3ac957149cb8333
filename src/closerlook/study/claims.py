"""The claims of the paper and of ways of tuning, each tested on every condition of a study and over all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from closerlook.geometry.confidence import wilson_interval
from closerlook.study.across_conditions import Combined, combine, holm
from closerlook.study.conditions import Condition
from closerlook.study.exception_claim import exception_diverges
from closerlook.study.measured import finding_of
from closerlook.study.method_claims import method_findings
from closerlook.study.method_pairs import methods_of
from closerlook.study.method_statements import METHOD_STATEMENTS
from closerlook.study.statements import STATEMENTS, Statement, Test
from closerlook.study.verdicts import METHODS, PAPER, Claim, Finding, Verdict, agreement, counted, disagreement

_LEVEL = 0.05
_DECIDED = (Verdict.SUPPORTED, Verdict.NOT_SUPPORTED)


def claims_of(conditions: Sequence[Condition]) -> tuple[Claim, ...]:
    """Test every claim on the conditions of a study.

    Args:
        conditions: See :func:`closerlook.study.conditions.conditions_of`.

    Returns:
        The claims in the order of the paper's findings; where models were tuned in several ways, then those about ways
        of tuning. A claim that no condition can test says what to run.
    """
    found = {one.key: _findings(one, one.test, conditions) for one in STATEMENTS if one.test is not None}
    found["exception"] = (exception_diverges(found["accuracy"], found["train_test"]),)
    claims = _judged(STATEMENTS, found, PAPER)
    methods = methods_of(conditions)
    return claims + (_judged(METHOD_STATEMENTS, method_findings(methods), METHODS) if methods else ())


def _judged(
    statements: Sequence[Statement], found: Mapping[str, tuple[Finding, ...]], family: str
) -> tuple[Claim, ...]:
    """A family of claims, corrected for its own number."""
    judged = [_Judged.of(statement, found[statement.key]) for statement in statements]
    corrected = holm([one.p_value for one in judged])
    return tuple(
        replace(_claim(statement, found[statement.key], one, p), family=family)
        for statement, one, p in zip(statements, judged, corrected, strict=True)
    )


def _findings(statement: Statement, test: Test, conditions: Sequence[Condition]) -> tuple[Finding, ...]:
    """The claim in each condition that it is about."""
    pairs = ((condition, test(condition)) for condition in conditions)
    return tuple(finding_of(c, one, null=statement.null, claimed=statement.claimed) for c, one in pairs if one)


@dataclass(frozen=True)
class _Judged:
    """What the conditions say together: an estimate, its p, and whether it is on the claimed side."""

    combined: Combined | None = None
    p_value: float = math.nan
    claimed_side: bool = False

    @classmethod
    def of(cls, statement: Statement, findings: Sequence[Finding]) -> _Judged:
        tested = [one for one in findings if one.effect.has_interval and one.verdict != Verdict.NOT_TESTABLE]
        if statement.counts or not tested:
            return cls()
        p_values = [one.effect.p_value(statement.null) for one in tested]
        if len(tested) == 1:
            return cls(None, p_values[0], statement.on_claimed_side(tested[0].effect.value))
        combined = combine(
            [one.effect.value for one in tested],
            [one.effect.error for one in tested],
            tasks=[f"{one.task} < {one.tuned_on}" for one in tested],
            models=[one.model for one in tested],
            null=statement.null,
        )
        # "in every one of these conditions" is a claim of its own, and its p is the largest of theirs
        agreed = agreement(tested) in _DECIDED
        p_value = min(combined.p_value, max(p_values)) if agreed else combined.p_value
        return cls(combined, p_value, statement.on_claimed_side(combined.value))


def _claim(statement: Statement, findings: tuple[Finding, ...], judged: _Judged, p_value: float) -> Claim:
    verdict = _verdict(statement, findings, judged, p_value)
    untested = verdict == Verdict.NOT_TESTABLE
    return Claim(
        key=statement.key,
        statement=statement.text,
        effect=statement.effect,
        rule=statement.rule,
        paper=statement.paper,
        findings=findings,
        verdict=verdict,
        reason=_advice(statement, findings) if untested else _reason(findings, judged, p_value),
        combined=judged.combined,
        p_value=p_value,
    )


def _verdict(statement: Statement, findings: Sequence[Finding], judged: _Judged, p_value: float) -> Verdict:
    if all(found.verdict == Verdict.NOT_TESTABLE for found in findings):
        return Verdict.NOT_TESTABLE
    if statement.counts:
        return _by_count(findings)
    if not p_value < _LEVEL:
        return disagreement(findings)
    if not judged.claimed_side:
        return Verdict.NOT_SUPPORTED
    n_doubtful, n_plain = (sum(f.verdict == v for f in findings) for v in (Verdict.MIXED, Verdict.SUPPORTED))
    return Verdict.MIXED if n_doubtful > n_plain else Verdict.SUPPORTED


def _by_count(findings: Sequence[Finding]) -> Verdict:
    """Of a count without chance: what all conditions say, or more than half of conditions like these (Wilson)."""
    if (shared := agreement(findings)) is not None:
        return shared
    n_tested = sum(found.verdict != Verdict.NOT_TESTABLE for found in findings)
    for verdict in _DECIDED:
        if wilson_interval(sum(found.verdict == verdict for found in findings), n_tested).low > 0.5:
            return verdict
    return disagreement(findings)


def _reason(findings: Sequence[Finding], judged: _Judged, p_value: float) -> str:
    parts = [counted(findings)]
    if (mean := judged.combined) is not None:
        where = " x ".join(f"{n} {what}" for n, what in ((mean.n_tasks, "tasks"), (mean.n_models, "models")) if n > 1)
        parts.append(
            f"mean {mean.value:+.3g} [{mean.low:+.3g}, {mean.high:+.3g}] over {where}, I² {mean.i_squared:.0%}"
        )
    if math.isfinite(p_value):
        parts.append(f"p {'< 0.0001' if p_value < 1e-4 else f'= {p_value:.2g}'} (Holm)")
    return "; ".join(parts)


def _advice(statement: Statement, findings: Sequence[Finding]) -> str:
    reasons = sorted({found.reason for found in findings if found.reason})
    return "; ".join(filter(None, [*reasons[:2], statement.advice]))


def headline(claims: Sequence[Claim]) -> str:
    """One sentence: how many claims hold here."""
    counts = {verdict: sum(claim.verdict == verdict for claim in claims) for verdict in Verdict}
    parts = [f"{n} {verdict}" for verdict, n in counts.items() if n]
    return f"{len(claims)} claims: {', '.join(parts)}."
