"""The main table and the claims of a study in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from closerlook.cli.console import Console
from closerlook.study.claims import headline
from closerlook.study.main_table import MAIN_MEASURES, CrossMatrix, SeedMean, StudySummary
from closerlook.study.verdicts import Claim, Verdict
from closerlook.study.wording import DASH, cross_text, measured, seed_text, where

_COLOURS = {
    Verdict.SUPPORTED: "green",
    Verdict.NOT_SUPPORTED: "red",
    Verdict.MIXED: "yellow",
    Verdict.UNDECIDED: "yellow",
    Verdict.NOT_TESTABLE: "dim",
}
_SHORT = dict(zip(MAIN_MEASURES, ("accuracy", "clusters", "~test", "min. dist.", "~first"), strict=True))
_WIDE = 120
_STYLE: dict[str, Any] = {"box": box.SIMPLE_HEAD, "pad_edge": False, "padding": (0, 1)}


def print_study(summary: StudySummary, claims: Sequence[Claim], console: Console | None = None) -> None:
    """Print the main table, the cross-task matrices, the claims, and what is missing."""
    console = console or Console(highlight=False)
    console.print("\n[italic]Before → after tuning, last layer[/italic]")
    console.print(main_table(summary, stacked=console.width < _WIDE))
    for matrix in summary.matrices:
        console.print(f"[italic]Tuned on one task, looked at with another: {escape(matrix.model)}, last layer[/italic]")
        console.print(cross_table(matrix))
    console.print("[italic]The paper's claims on these runs[/italic]")
    console.print(claims_table(claims))
    console.print(headline(claims))
    for line in summary.missing:
        console.print(f"  [yellow]missing[/yellow] {escape(line)}", soft_wrap=True)


def main_table(summary: StudySummary, *, stacked: bool) -> Table:
    """E1: before and after, a line for each task and model; ± is half the 95 % interval over seeds.

    Args:
        summary: The study's summary.
        stacked: After below before, for a narrow terminal.
    """
    caption = (
        "±: half the 95 % interval over seeds on these same test examples, from three seeds on. min. dist.: to the "
        "nearest label, mean over labels (train). "
        "~test, ~first: Pearson r of label distances with those of the test space, and with those before tuning."
    )
    style = _STYLE | ({"padding": 0} if stacked else {})
    grid = Table(caption=caption, caption_justify="left", **style)
    grid.add_column("task", no_wrap=True)
    grid.add_column("model", overflow="fold")
    grid.add_column("seeds", justify="right", no_wrap=True)
    for measure in MAIN_MEASURES:
        grid.add_column(_SHORT[measure], justify="right", no_wrap=stacked)
    incomplete = any(row.status for row in summary.rows)
    if incomplete:
        grid.add_column("")
    for row in summary.rows:
        pairs = [_pair(measure, *row.before_after[measure], "\n→ " if stacked else " → ") for measure in MAIN_MEASURES]
        status = [row.status] if incomplete else []
        grid.add_row(escape(row.task), escape(row.model), f"{row.n_probed}/{row.n_seeds}", *pairs, *status)
    return grid


def cross_table(matrix: CrossMatrix) -> Table:
    """E5: a line for each task that was tuned on, a column for each one that was looked at."""
    caption = "change of the minimum distance, mean over labels; labels up and down"
    if matrix.classifier:
        caption += f"; accuracy before → after ({matrix.classifier} probe)"
    grid = Table(caption=caption, caption_justify="left", **_STYLE)
    grid.add_column("tuned on", no_wrap=True)
    for task in matrix.probed:
        grid.add_column(escape(task), justify="right")
    for i, tuned_on in enumerate(matrix.tuned_on):
        grid.add_row(escape(tuned_on), *(cross_text(matrix, i, j) for j in range(len(matrix.probed))))
        grid.add_section()
    return grid


def claims_table(claims: Sequence[Claim]) -> Table:
    """The claims with their verdicts, and a line for each condition that could be tested."""
    grid = Table(**_STYLE)
    grid.add_column("claim", ratio=5, overflow="fold")
    grid.add_column("measured [95 % interval]", ratio=3, overflow="fold")
    grid.add_column("paper", ratio=2, overflow="fold")
    grid.add_column("verdict", no_wrap=True)
    for claim in claims:
        grid.add_row(f"[bold]{claim.statement}[/bold]", escape(claim.reason), "", _coloured(claim.verdict))
        for found in claim.tested:
            grid.add_row(f"  {escape(where(found))}", escape(measured(found)), found.paper, _coloured(found.verdict))
        grid.add_section()
    return grid


def _coloured(verdict: Verdict) -> str:
    return f"[{_COLOURS[verdict]}]{verdict}[/{_COLOURS[verdict]}]"


def _pair(measure: str, before: SeedMean, after: SeedMean, arrow: str) -> str:
    if not before.n and not after.n:
        return DASH
    return f"{seed_text(measure, before)}{arrow}{seed_text(measure, after)}"
