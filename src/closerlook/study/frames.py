"""Claims and main table as data frames: for notebooks, dashboards and whatever reads them next."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from closerlook.study.summary import MAIN_MEASURES, MainRow, StudySummary
from closerlook.study.terminal import where
from closerlook.study.verdicts import Claim, ClaimCell


def claims_frame(claims: Sequence[Claim]) -> pd.DataFrame:
    """One row a claim: ``claim, verdict, here, paper, measured, rule``."""
    columns = ["claim", "verdict", "here", "paper", "measured", "rule"]
    rows = [[c.statement, str(c.verdict), c.reason, c.paper, c.effect, c.rule] for c in claims]
    return pd.DataFrame(rows, columns=columns)


def claim_cells_frame(claims: Sequence[Claim]) -> pd.DataFrame:
    """One row a claim and cell; a missing number is NaN."""
    rows = [_cell_row(claim, cell) for claim in claims for cell in claim.cells]
    return pd.DataFrame(rows, columns=list(_CELL_COLUMNS))


_CELL_COLUMNS = (
    "claim", "where", "model", "task", "tuned on", "before", "after", "effect", "low", "high", "paper",
    "paper's effect", "verdict", "why",
)  # fmt: skip


def _cell_row(claim: Claim, cell: ClaimCell) -> tuple[object, ...]:
    found = cell.effect
    return (
        claim.key, where(cell), cell.model, cell.task, cell.tuned_on, cell.before, cell.after, found.value, found.low,
        found.high, cell.paper, cell.paper_effect, str(cell.verdict), cell.reason,
    )  # fmt: skip


def main_frame(summary: StudySummary) -> pd.DataFrame:
    """E1: one row a task and model, mean and interval of each measure before and after; a missing number is NaN."""
    return pd.DataFrame([_main_row(row) for row in summary.rows])


def _main_row(row: MainRow) -> dict[str, object]:
    content: dict[str, object] = {
        "task": row.task, "model": row.model, "probe": row.classifier, "seeds": row.n_probed, "labels": row.n_labels,
    }  # fmt: skip
    for measure in MAIN_MEASURES:
        for moment, found in zip(("before", "after"), row.moments[measure], strict=True):
            content |= {
                f"{measure}, {moment}": found.mean,
                f"{measure}, {moment} low": found.low,
                f"{measure}, {moment} high": found.high,
            }
    return content | {"missing": row.status}
