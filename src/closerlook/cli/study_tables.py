"""The main table and the claims of a study in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from closerlook.cli.console import Console
from closerlook.study.claims import headline
from closerlook.study.main_table import MAIN_MEASURES, CrossMatrix, SeedMean, StudySummary
from closerlook.study.method_table import MethodRow
from closerlook.study.verdicts import CLAIM_TITLES, Claim, Verdict
from closerlook.study.wording import DASH, beside, cross_text, measured, plain, seed_text, where

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
    for place, rows in groupby(summary.methods, key=lambda row: (row.task, row.model)):
        console.print(methods_table(", ".join(place), list(rows)))
    for family, title in CLAIM_TITLES.items():
        if mine := [claim for claim in claims if claim.family == family]:
            console.print(f"[italic]{title} on these runs[/italic]")
            console.print(claims_table(mine))
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


def methods_table(place: str, rows: Sequence[MethodRow]) -> Table:
    """A line for each way of tuning a model on a task, beside full tuning where that is as accurate."""
    caption = (
        "part: share of the weights that is trained. acc.: accuracy at the last snapshot. At the highest accuracy that "
        "a method and full tuning both reach (at), the method's number/that of full tuning: steps (updates) until "
        "then, growth of the minimum distance, Pearson r of label distances with those before (~first) and with the "
        "test space's (~test). others: accuracy on other tasks, change."
    )
    title = f"Ways of tuning: {escape(place)}, last layer; accuracy {plain(rows[0].accuracy[0], '.3f')} before"
    style = _STYLE | {"padding": (0, 1, 0, 0), "title_justify": "left", "caption_justify": "left"}
    grid = Table(title=title, caption=caption, **style)
    grid.add_column("method", overflow="fold", min_width=8)
    for name in ("part", "acc.", "at", "steps", "growth", "~first", "~test", "others"):
        grid.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        grid.add_row(
            escape(row.method),
            plain(100 * row.share, ".2g" if row.share < 0.995 else ".0f", "%"),
            plain(row.accuracy[1], ".3f"),
            plain(row.matched, ".3f"),
            *(beside(*one) for one in ((row.updates, ".0f"), (row.growth, ".2f"), (row.similarity_to_first, ".2f"),
                                       (row.train_test, ".2f"))),
            plain(row.other_tasks, "+.3f"),
        )  # fmt: skip
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
