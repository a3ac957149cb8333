"""``probe.py checkpoints=[...]``: the progress of storing spaces, and what is said of the models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from closerlook.cli.console import Console
from closerlook.cli.one_message import in_multirun
from closerlook.config import ProbeConfig

if TYPE_CHECKING:
    from closerlook.pipelines.checkpoint_checks import Watch
    from closerlook.pipelines.checkpoint_run import CheckpointRun
    from closerlook.results.run import RunInfo

_MOST_SHOWN = 12


def run_of_checkpoints(config: ProbeConfig) -> str:
    """Store the spaces of ``config.checkpoints`` under a progress bar, and say what they are; returns the directory."""
    from closerlook.pipelines.checkpoint_run import store_checkpoints

    with model_bar() as watch:
        made = store_checkpoints(config, watch, one_of_many=in_multirun())
    print_checkpoints(made)
    return str(made.run.root)


@contextmanager
def model_bar() -> Iterator[Watch]:
    """A progress bar over models, with the number of texts that went through the one at work."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(TextColumn("[bold]models"), *columns, TextColumn("[dim]{task.description}"), transient=True) as bar:
        task = bar.add_task("", total=None)

        def watch(name: str, done: int, total: int) -> Callable[[int], None]:
            n_texts = 0
            bar.update(task, completed=done, total=total, description=escape(name))

            def on_texts(n: int) -> None:
                nonlocal n_texts
                n_texts += n
                bar.update(task, description=escape(f"{name}: {n_texts:,} texts"))

            return on_texts

        yield watch


def print_checkpoints(made: CheckpointRun) -> None:
    """Which model is which step, what was odd about them, and where the run is."""
    console = Console(highlight=False)
    kept = f", {made.n_kept} kept from before" if made.n_kept else ""
    console.print(f"\n[bold]{escape(made.info.title)}[/bold]: {made.n_stored} spaces stored{kept}")
    for line in checkpoint_lines(made.info):
        console.print(f"  {escape(line)}", soft_wrap=True)
    for note in made.info.notes:
        colour = "yellow" if note.startswith("Warning") else "dim"
        console.print(f"  [{colour}]{escape(note)}[/{colour}]")
    console.print(f"  run directory: {escape(str(made.run.root))}", soft_wrap=True)


def checkpoint_lines(info: RunInfo) -> list[str]:
    """A line a model, the first and the last ones of many: step, name, size, and where it comes from."""
    lines = [
        f"step {one.step:>6}  {one.name}  {one.n_layers} layers of {one.hidden_size}, {one.source}"
        + (f" on {one.base}" if one.base else "")
        for one in info.checkpoints
    ]
    if len(lines) <= _MOST_SHOWN:
        return lines
    half = _MOST_SHOWN // 2
    return [*lines[:half], f"... {len(lines) - 2 * half} more (run.json)", *lines[-half:]]
