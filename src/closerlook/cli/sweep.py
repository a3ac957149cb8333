"""Tables of a sweep: the plan before it, how its jobs stand after it."""

from __future__ import annotations

import logging
import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from closerlook.pipelines.sweep import JobEnd, SweepJob

log = logging.getLogger(__name__)

_planned: list[SweepJob] = []
"""The jobs of the sweep that this process runs; empty outside a sweep."""


class PlanSweep(Callback):
    """Hydra callback: print what a sweep will do before it does; ``sweep.plan=true`` prints only."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Plan and print."""
        if not str(config.hydra.sweeper._target_).endswith("BasicSweeper"):
            log.info("no plan: the sweeper chooses its jobs as it goes")
            return
        jobs = planned_jobs(config)
        print_plan(jobs)
        if any(job.settings["sweep"]["plan"] for job in jobs):
            raise SystemExit(0)
        _planned[:] = [job for job in jobs if not job.settings["estimate"]]


def planned_jobs(config: DictConfig) -> list[SweepJob]:
    """The jobs that Hydra's basic sweeper will launch, composed and compared with what is on disk.

    Args:
        config: The sweep's configuration, ``hydra`` included.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from closerlook.pipelines.sweep import refuse_shared_directories

    loader = GlobalHydra.instance().config_loader()
    parameters = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parsed = OverridesParser.create(config_loader=loader).parse_overrides([*parameters, *config.hydra.overrides.task])
    (combinations,) = BasicSweeper.split_arguments(parsed, None)
    jobs = [_compose(loader, config, overrides, number) for number, overrides in enumerate(combinations)]
    return refuse_shared_directories(jobs)


def _compose(loader: Any, config: DictConfig, overrides: list[str], number: int) -> SweepJob:
    """One job as the launcher will compose it."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf, open_dict, read_write

    from closerlook.pipelines.sweep import make_job

    job = loader.load_sweep_config(config, list(overrides))
    with open_dict(job), read_write(job):
        job.hydra.job.id, job.hydra.job.num = str(number), number
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(job)
    try:
        run_dir = Path(os.path.abspath(Path(job.hydra.sweep.dir) / job.hydra.sweep.subdir))
        alone = Path(os.path.abspath(job.hydra.run.dir))
        with read_write(job.hydra.runtime), open_dict(job.hydra.runtime):
            job.hydra.runtime.output_dir = str(run_dir)
        HydraConfig.instance().set_config(job)
        with open_dict(job), read_write(job):
            del job["hydra"]
        settings: dict[str, Any] = OmegaConf.to_container(job, resolve=True)  # type: ignore[assignment]
    finally:
        HydraConfig.instance().cfg = before
    target = Path(settings["run_dir"])
    shown = [item for item in overrides if not item.startswith("sweep.")]
    where = [] if run_dir == alone else [f"hydra.run.dir={run_dir}"]
    return make_job(number, [*shown, *where], target, settings, _program())


def _program() -> str:
    name = Path(sys.argv[0]).name
    return f"python {sys.argv[0]}" if name.endswith(".py") and name != "__main__.py" else "closerlook-train"


def print_plan(jobs: list[SweepJob]) -> None:
    """A line a job: what will be done with it, and why."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    counts = Counter(job.action for job in jobs)
    title = f"plan: {len(jobs)} jobs, " + ", ".join(f"{n} to {action}" for action, n in sorted(counts.items()))
    grid = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("job", "settings", "action", "why"):
        grid.add_column(name, overflow="fold")
    varying = _varying(jobs)
    for job in jobs:
        shown = " ".join(item for item in job.overrides if item in varying) or " ".join(job.overrides)
        grid.add_row(str(job.number), escape(shown), job.action, escape(job.reason))
    Console(highlight=False).print(grid)


def _varying(jobs: list[SweepJob]) -> set[str]:
    """The settings that not all jobs share."""
    counts = Counter(item for job in jobs for item in job.overrides)
    return {item for item, n in counts.items() if n < len(jobs)}


def end_of_sweep() -> int:
    """Print how the jobs of this process's sweep stand; outside a sweep, nothing.

    Returns:
        How many are not finished.
    """
    if not _planned:
        return 0
    from closerlook.pipelines.sweep import job_end

    ends = [job_end(job) for job in _planned]
    _planned.clear()
    print_ends(ends)
    return sum(end.status != "finished" for end in ends)


def print_ends(ends: list[JobEnd]) -> None:
    """How many jobs are finished; for each other one, what was the matter and the command that runs it again."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)
    counts = Counter(end.status for end in ends)
    console.print(f"\n[bold]sweep of {len(ends)} jobs[/bold]: " + ", ".join(f"{n} {s}" for s, n in counts.items()))
    for end in ends:
        if end.status == "finished":
            continue
        console.print(f"  job {end.job.number} [red]{end.status}[/red]: {escape(_one_line(end.error))}")
        console.print(f"    traceback: {end.job.run_dir / 'state.json'}")
        console.print(f"    run again: [bold]{escape(end.job.command)}[/bold]")
    if counts["finished"] < len(ends):
        console.print("  the same sweep command, run again, skips what is finished and goes on with the rest")


def _one_line(text: str, length: int = 300) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 3]}..."
