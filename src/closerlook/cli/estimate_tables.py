"""The table of ``estimate=true``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.markup import escape
from rich.table import Table

from closerlook.cli.console import Console
from closerlook.config import TrainConfig, identity

if TYPE_CHECKING:
    from closerlook.pipelines.estimate import Estimate


_estimates: list[tuple[str, Estimate]] = []
"""What this process has estimated, by what decides it: the jobs of a sweep."""

_OPEN_ENDED = "direct"
"""Measured on a sample, in which labels overlap less than in the whole: spaces that are not linear take longer."""


def estimate_job(config: TrainConfig) -> None:
    """Measure a job and print what it takes; one that differs from an earlier one in its seed only takes the same.

    Args:
        config: The settings of train.py.

    Raises:
        DataError: The data is missing or malformed.
        ModelError: The encoder cannot be loaded.
    """
    content = json.dumps(identity(replace(config, seed=0)), sort_keys=True, default=str)
    for before, found in _estimates:
        if before == content:
            _estimates.append((content, found))
            name = f"{config.task.name}/{config.model.name}/seed={config.seed}"
            Console(highlight=False).print(escape(f"\n{name}: as {found.info.title}"))
            return
    from closerlook.pipelines.estimate import estimate

    found = estimate(config)
    _estimates.append((content, found))
    print_estimate(found, Path(config.run_dir))


def print_estimate(found: Estimate, run_dir: Path) -> None:
    """Print what a job takes.

    Args:
        found: The estimate.
        run_dir: Where the job would write; says how much room there is.
    """
    info = found.info
    grid = Table(
        title=f"{escape(info.title)} on {found.device}: estimate, nothing was started",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for name, justify in (("what", "left"), ("how much", "right"), ("each", "left")):
        grid.add_column(name, justify=justify)  # type: ignore[arg-type]
    n_stored = sum(found.n_examples.values())
    splits = ", ".join(f"{n:,} {split}" for split, n in found.n_examples.items())
    grid.add_row("training examples", f"{info.n_train:,}", f"{found.subwords:,} subwords an epoch with padding")
    grid.add_row("updates", f"{info.n_updates:,}", f"{found.update_s:.3f} s an update, {info.n_epochs} epochs")
    if info.n_trained is not None and info.n_parameters:
        share = 100 * info.n_trained / info.n_parameters
        grid.add_row(
            "trained weights", f"{info.n_trained:,}", f"{share:.3g} % of {info.n_parameters:,} ({info.method})"
        )
    grid.add_row("training", duration(found.train_s), "forward, backward, optimizer")
    grid.add_row("validation, test", duration(found.validation_s), "")
    grid.add_row("snapshots", f"{found.n_snapshots}", f"{splits}; {found.n_layers} layers of {info.hidden_size}")
    grid.add_row("  time", duration(found.snapshot_s), f"{found.forward_ms:.2f} ms an example, {n_stored:,} examples")
    grid.add_row("  disk", size(found.n_snapshots * found.snapshot_bytes), f"{size(found.snapshot_bytes)} a snapshot")
    grid.add_row("checkpoints", size(found.checkpoint_bytes), "best and last; weights and optimizer")
    if found.model_bytes:
        grid.add_row("exported model", size(found.model_bytes), "for transformers; export=false leaves it out")
    if found.peak_bytes is not None:
        grid.add_row("GPU memory", size(found.peak_bytes), "most in use during the updates measured")
    for probe in found.probes:
        more = "; more where labels overlap" if probe.name == _OPEN_ENDED else ""
        grid.add_row(
            f"probe {probe.name}", _about(probe.name, probe.seconds), f"{probe.n_cells} cells, on one core{more}"
        )
    grid.add_row("[bold]train.py[/bold]", duration(found.total_s), f"and {size(found.disk_bytes)} on disk")
    grid.add_row(
        "[bold]probe.py[/bold]",
        _about(_OPEN_ENDED, sum(p.seconds for p in found.probes)),
        "on one core; divided by n_jobs",
    )
    console = Console(highlight=False)
    console.print(grid)
    existing = next(folder for folder in (run_dir, *run_dir.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if found.disk_bytes > free:
        console.print(
            f"[red]only {size(free)} are free at {escape(str(existing))}[/red]: "
            "lower snapshot.max_examples, or set snapshot.dtype=float16"
        )


def print_total() -> None:
    """What all jobs of a sweep take together; nothing for a single job."""
    found = [estimate for _, estimate in _estimates]
    if len(found) > 1:
        print_sum(found)
    _estimates.clear()


def print_sum(found: Sequence[Estimate]) -> None:
    """Print what several jobs take together, one after the other."""
    grid = Table(
        title=f"{len(found)} jobs, one after the other", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for name, justify in (("", "left"), ("together", "right"), ("", "left")):
        grid.add_column(name, justify=justify)  # type: ignore[arg-type]
    snapshots = sum(e.n_snapshots for e in found)
    stored = sum(e.n_snapshots * e.snapshot_bytes for e in found)
    grid.add_row("updates", f"{sum(e.info.n_updates for e in found):,}", duration(sum(e.train_s for e in found)))
    grid.add_row("validation, test", "", duration(sum(e.validation_s for e in found)))
    grid.add_row("snapshots", f"{snapshots:,}", f"{duration(sum(e.snapshot_s for e in found))}, {size(stored)}")
    grid.add_row("checkpoints", "", size(sum(e.checkpoint_bytes for e in found)))
    for name in dict.fromkeys(probe.name for e in found for probe in e.probes):
        probes = [probe for e in found for probe in e.probes if probe.name == name]
        cells, seconds = sum(p.n_cells for p in probes), sum(p.seconds for p in probes)
        grid.add_row(f"probe {name}", f"{cells:,}", f"{_about(name, seconds)} on one core")
    grid.add_row(
        "[bold]train.py[/bold]",
        duration(sum(e.total_s for e in found)),
        f"and {size(sum(e.disk_bytes for e in found))} on disk",
    )
    grid.add_row(
        "[bold]probe.py[/bold]",
        _about(_OPEN_ENDED, sum(p.seconds for e in found for p in e.probes)),
        "on one core; divided by n_jobs",
    )
    Console(highlight=False).print(grid)


def _about(probe: str, seconds: float) -> str:
    return f"{'at least' if probe == _OPEN_ENDED else 'about'} {duration(seconds)}"


def duration(seconds: float) -> str:
    """``5 s``, ``3.2 min``, ``1.5 h``."""
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def size(n_bytes: float) -> str:
    """``12.3 MB``."""
    for unit, length in (("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= length:
            return f"{n_bytes / length:.1f} {unit}"
    return f"{n_bytes / 1e3:.1f} kB"
