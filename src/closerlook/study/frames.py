"""Claims and main table as data frames: for notebooks, dashboards and whatever reads them next."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from closerlook.study.main_table import MAIN_MEASURES, MainRow, StudySummary
from closerlook.study.wording import where
from closerlook.study.verdicts import Claim, Finding


def claims_frame(claims: Sequence[Claim]) -> pd.DataFrame:
    """One row a claim: ``claim, verdict, here, paper, measured, rule``."""
    columns = ["claim", "verdict", "here", "paper", "measured", "rule"]
    rows = [[c.statement, str(c.verdict), c.reason, c.paper, c.effect, c.rule] for c in claims]
    return pd.DataFrame(rows, columns=columns)


def findings_frame(claims: Sequence[Claim]) -> pd.DataFrame:
    """One row a claim and condition; a missing number is NaN."""
    rows = [_cell_row(claim, condition) for claim in claims for condition in claim.conditions]
    return pd.DataFrame(rows, columns=list(_CELL_COLUMNS))


_CELL_COLUMNS = (
    "claim", "where", "model", "task", "tuned on", "before", "after", "effect", "low", "high", "paper",
    "paper's effect", "verdict", "why",
)  # fmt: skip


def _cell_row(claim: Claim, condition: Finding) -> tuple[object, ...]:
    found = condition.effect
    return (
        claim.key, where(condition), condition.model, condition.task, condition.tuned_on, condition.before, condition.after, found.value, found.low,
        found.high, condition.paper, condition.paper_effect, str(condition.verdict), condition.reason,
    )  # fmt: skip


def main_frame(summary: StudySummary) -> pd.DataFrame:
    """E1: one row a task and model, mean and interval of each measure before and after; a missing number is NaN."""
    return pd.DataFrame([_main_row(row) for row in summary.rows])


def _main_row(row: MainRow) -> dict[str, object]:
    content: dict[str, object] = {
        "task": row.task, "model": row.model, "probe": row.classifier, "seeds": row.n_probed, "labels": row.n_labels,
    }  # fmt: skip
    for measure in MAIN_MEASURES:
        for moment, found in zip(("before", "after"), row.before_after[measure], strict=True):
            content |= {
                f"{measure}, {moment}": found.mean,
                f"{measure}, {moment} low": found.low,
                f"{measure}, {moment} high": found.high,
            }
    return content | {"missing": row.status}
