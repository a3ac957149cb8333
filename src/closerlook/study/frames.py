"""Claims and main table as data frames: for notebooks, dashboards and whatever reads them next."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from closerlook.study.main_table import MAIN_MEASURES, MainRow, StudySummary
from closerlook.study.method_table import Beside, MethodRow
from closerlook.study.verdicts import Claim, Finding
from closerlook.study.wording import where


def claims_frame(claims: Sequence[Claim]) -> pd.DataFrame:
    """One row a claim: verdict, what was found here, p, the paper's finding, what is measured, the rule."""
    return pd.DataFrame(
        [
            {
                "claim": claim.statement,
                "verdict": str(claim.verdict),
                "here": claim.reason,
                "p (Holm)": claim.p_value,
                "paper": claim.paper,
                "measured": claim.effect,
                "rule": claim.rule,
            }
            for claim in claims
        ]
    )


def methods_frame(summary: StudySummary) -> pd.DataFrame:
    """One row a way of tuning; see :class:`closerlook.study.method_table.MethodRow`."""
    return pd.json_normalize([_method_row(row) for row in summary.methods], sep="_")


def _method_row(row: MethodRow) -> dict[str, object]:
    plain = {name: value._asdict() if isinstance(value, Beside) else value for name, value in vars(row).items()}
    return plain | {"accuracy": dict(zip(("before", "after"), row.accuracy, strict=True))}


def findings_frame(claims: Sequence[Claim]) -> pd.DataFrame:
    """One row a claim and condition; a missing number is NaN."""
    return pd.DataFrame([_finding_row(claim, found) for claim in claims for found in claim.findings])


def _finding_row(claim: Claim, found: Finding) -> dict[str, object]:
    return {
        "claim": claim.key,
        "where": where(found),
        "model": found.model,
        "task": found.task,
        "tuned on": found.tuned_on,
        "before": found.before,
        "after": found.after,
        "effect": found.effect.value,
        "low": found.effect.low,
        "high": found.effect.high,
        "paper": found.paper,
        "paper's effect": found.paper_effect,
        "verdict": str(found.verdict),
        "why": found.reason,
    }


def main_frame(summary: StudySummary) -> pd.DataFrame:
    """E1: one row a task and model, mean and interval of each measure before and after; a missing number is NaN."""
    return pd.DataFrame([_main_row(row) for row in summary.rows])


def _main_row(row: MainRow) -> dict[str, object]:
    content: dict[str, object] = {
        "task": row.task,
        "model": row.model,
        "probe": row.classifier,
        "seeds": row.n_probed,
        "labels": row.n_labels,
    }
    for measure in MAIN_MEASURES:
        for moment, found in zip(("before", "after"), row.before_after[measure], strict=True):
            content |= {
                f"{measure}, {moment}": found.mean,
                f"{measure}, {moment} low": found.low,
                f"{measure}, {moment} high": found.high,
            }
    return content | {"missing": row.status}
