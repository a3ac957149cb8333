"""Going over all runs: one progress line, a line a space, and at the end what failed and how to run it again."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

if TYPE_CHECKING:
    from closerlook.pipelines.probe_each import Space, SpaceEnd

_OF_ALL_RUNS = ("runs", "each", "select", "cross_task", "dashboards", "output_dir")
"""Settings that the command of one run goes without."""


def probe_each_with_bar(config: DictConfig) -> tuple[SpaceEnd, ...]:
    """Probe every finished run below ``config.runs`` under one progress line over all of them."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from closerlook.pipelines.probe_each import probe_each

    columns = (
        TextColumn("[bold]probing"), BarColumn(), TextColumn("{task.completed:.1f}/{task.total:.0f}"),
        TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("[dim]{task.description}", markup=True),
    )  # fmt: skip
    with Progress(*columns, transient=True, console=Console(highlight=False, soft_wrap=True)) as bar:
        task = bar.add_task("", total=1)
        return probe_each(
            config,
            progress=lambda done, total, what: bar.update(task, completed=done, total=total, description=escape(what)),
            on_end=lambda end: bar.console.print(_line(end)),
        )


def _line(end: SpaceEnd) -> str:
    """How a space ended, in a line."""
    from rich.markup import escape

    from closerlook.pipelines.probe_each import FAILED, KEPT, SKIPPED

    name = escape(end.space.name)
    if end.status == SKIPPED:
        return f"  {name}: [yellow]skipped[/yellow], {escape(end.reason)}"
    if end.status == FAILED:
        return f"  {name}: [red]failed[/red], {escape(end.reason)}"
    if end.status == KEPT:
        return f"  {name}: {end.n_kept} cells kept from before"
    kept = f", {end.n_kept} kept" if end.n_kept else ""
    return f"  {name}: {end.n_computed} cells computed in {end.seconds:.1f} s{kept}"


def failed_ends(ends: Sequence[SpaceEnd]) -> list[SpaceEnd]:
    """The spaces that failed."""
    from closerlook.pipelines.probe_each import FAILED

    return [end for end in ends if end.status == FAILED]


def print_failures(failed: Sequence[SpaceEnd]) -> None:
    """What failed, and for each space the command that runs it again alone."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True, stderr=True)
    console.print(f"\n[red]{len(failed)} failed[/red]; the others are probed and joined")
    for end in failed:
        console.print(f"  {escape(end.space.name)}: {escape(end.reason)}")
        console.print(f"    run again: [bold]{escape(command_for(end.space))}[/bold]")
    console.print("  the same command, run again, keeps what is finished and tries the rest")


def command_for(space: Space) -> str:
    """The command that probes one space alone, with the settings of this command line."""
    from hydra.core.hydra_config import HydraConfig

    given = [item for item in HydraConfig.get().overrides.task if item.lstrip("+~").split("=")[0] not in _OF_ALL_RUNS]
    one = [f"run_dir={_quoted(space.folder)}", *given, f"cross_task={space.cross or 'null'}"]
    return f"{_program()} {shlex.join(one)}"


def _quoted(path: Path) -> str:
    """The path as Hydra takes it."""
    text = str(path)
    return text if all(c.isalnum() or c in "/-_.+:" for c in text) else '"' + text.replace('"', '\\"') + '"'


def _program() -> str:
    name = Path(sys.argv[0]).name
    return f"python {sys.argv[0]}" if name.endswith(".py") and name != "__main__.py" else "closerlook-probe"
