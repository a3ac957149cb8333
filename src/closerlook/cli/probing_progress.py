"""Progress of probing: a bar over the cells of a run, or over all runs with a line a space and what failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hydra.core.hydra_config import HydraConfig
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from closerlook.cli.command_line import command, override
from closerlook.cli.console import Console
from closerlook.config import ProbeConfig
from closerlook.pipelines.probe_run import Watch, place_name
from closerlook.pipelines.probe_runs import Ended, Space, SpaceEnd, probe_runs
from closerlook.probes.runner import OnCell

_OF_ALL_RUNS = ("runs", "each", "select", "cross_task", "dashboards", "output_dir")
"""Settings that the command of one run goes without."""


@contextmanager
def cell_bar() -> Iterator[Watch]:
    """A progress bar over the cells of one run."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("[bold]probing"), *columns, TextColumn("[dim]{task.description}"), transient=True) as bar:
        task = bar.add_task("", total=None)

        def watch(total: int) -> OnCell:
            bar.update(task, total=total)
            return lambda key: bar.update(task, advance=1, description=escape(place_name(key.place)))

        yield watch


def probe_runs_with_bar(config: ProbeConfig) -> tuple[SpaceEnd, ...]:
    """Probe every finished run below ``config.runs`` under one progress line over all of them."""
    console = Console(highlight=False, soft_wrap=True)
    done = TextColumn("{task.completed:.1f}/{task.total:.0f}")
    columns = (TextColumn("[bold]probing"), BarColumn(), done, TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("[dim]{task.description}"), transient=True, console=console) as bar:
        task = bar.add_task("", total=1)
        return probe_runs(
            config,
            progress=lambda done, total, what: bar.update(task, completed=done, total=total, description=escape(what)),
            on_end=lambda end: bar.console.print(_line(end)),
        )


def _line(end: SpaceEnd) -> str:
    """How a space ended, in a line."""
    name = escape(end.space.name)
    if end.status is Ended.SKIPPED:
        return f"  {name}: [yellow]skipped[/yellow], {escape(end.reason)}"
    if end.status is Ended.FAILED:
        return f"  {name}: [red]failed[/red], {escape(end.reason)}"
    if end.status is Ended.KEPT:
        return f"  {name}: {end.n_kept} cells kept from before"
    kept = f", {end.n_kept} kept" if end.n_kept else ""
    return f"  {name}: {end.n_computed} cells computed in {end.seconds:.1f} s{kept}"


def print_failures(failed: Sequence[SpaceEnd]) -> None:
    """What failed, and for each space the command that runs it again alone."""
    console = Console(highlight=False, soft_wrap=True, stderr=True)
    console.print(f"\n[red]{len(failed)} failed[/red]; the others are probed and joined")
    for end in failed:
        console.print(f"  {escape(end.space.name)}: {escape(end.reason)}")
        console.print(f"    run again: [bold]{escape(_command_for(end.space))}[/bold]")
    console.print("  the same command, run again, keeps what is finished and tries the rest")


def _command_for(space: Space) -> str:
    """The command that probes one space alone, with the settings of this command line."""
    given = [item for item in HydraConfig.get().overrides.task if item.lstrip("+~").split("=")[0] not in _OF_ALL_RUNS]
    return command("probe", [override("run_dir", space.run.root), *given, f"cross_task={space.cross or 'null'}"])
