"""Tables of a sweep: the plan before it, how its jobs stand after it."""

from __future__ import annotations

import logging
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import open_dict, read_write

from closerlook.cli.command_line import command
from closerlook.cli.one_message import in_multirun, nothing_after, one_clear_message, quiet
from closerlook.config import TrainConfig, typed
from closerlook.errors import UserError
from closerlook.files import write_text
from closerlook.private_interfaces import job_of_sweep, sweep_combinations
from closerlook.redaction import redact

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from closerlook.pipelines.sweep_jobs import JobEnd, SweepJob

log = logging.getLogger(__name__)

_planned: list[SweepJob] = []
"""The jobs of the sweep that this process runs; empty outside a sweep."""


class PlanSweep(Callback):
    """Hydra callback: what comes before any job: mistakes, the plan of a sweep, estimates."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse settings that cannot be, and estimate, before Hydra makes a directory that is named after them."""
        with one_clear_message(alone=True), nothing_after():
            HydraConfig.instance().set_config(config)  # settings refer to it; Hydra sets it when the job starts
            settings = typed(_without_hydra(config))
            from closerlook.pipelines.fit import check_nodes

            check_nodes(settings)
            if settings.estimate:
                _estimate([settings])

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Plan and print."""
        with one_clear_message(alone=True), nothing_after():
            self._plan(config)

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Take keys out of the record that Hydra keeps of a sweep; of a single run train.py writes it itself."""
        record = Path(str(config.hydra.sweep.dir)) / "multirun.yaml"
        if in_multirun() and record.is_file():
            text = record.read_text(encoding="utf-8")
            if (shown := redact(text)) != text:
                write_text(record, shown)

    def _plan(self, config: DictConfig) -> None:
        if not str(config.hydra.sweeper._target_).endswith("BasicSweeper"):
            if config.estimate:
                raise UserError("estimate=true: the sweeper chooses its jobs as it goes; estimate one of them")
            log.info("no plan: the sweeper chooses its jobs as it goes")
            return
        jobs = planned_jobs(config)
        print_plan(jobs)
        if any(job.config.sweep.plan for job in jobs):
            raise SystemExit(0)
        if any(job.config.estimate for job in jobs):
            _estimate([job.config for job in jobs])
        _planned[:] = jobs


def _without_hydra(config: DictConfig) -> DictConfig:
    plain = config.copy()
    with read_write(plain), open_dict(plain):
        del plain["hydra"]
    return plain


@quiet
def _estimate(jobs: list[TrainConfig]) -> NoReturn:
    """Print what the jobs take, and end: nothing of them is begun, so no directory is made."""
    from closerlook.cli.estimate_tables import estimate_job, print_total

    for job in jobs:
        estimate_job(job)
    print_total()
    raise SystemExit(0)


def searches() -> bool:
    """Whether this process runs jobs of a sweeper that chooses them by their score."""
    return in_multirun() and not str(HydraConfig.get().sweeper._target_).endswith("BasicSweeper")


def planned_jobs(config: DictConfig) -> list[SweepJob]:
    """The jobs that Hydra's basic sweeper will launch, composed and compared with what is on disk.

    Args:
        config: The sweep's configuration, ``hydra`` included.
    """
    from closerlook.pipelines.sweep_jobs import refuse_shared_directories

    jobs = [_compose(config, overrides, number) for number, overrides in enumerate(sweep_combinations(config))]
    return refuse_shared_directories(jobs)


def _compose(config: DictConfig, overrides: list[str], number: int) -> SweepJob:
    """One job as the launcher will compose it."""
    from closerlook.pipelines.sweep_jobs import make_job

    with job_of_sweep(config, overrides, number) as job:
        run_dir = Path(os.path.abspath(Path(job.hydra.sweep.dir) / job.hydra.sweep.subdir))
        alone = Path(os.path.abspath(job.hydra.run.dir))
        with read_write(job.hydra.runtime):
            job.hydra.runtime.output_dir = str(run_dir)
        HydraConfig.instance().set_config(job)
        del job["hydra"]
        settings = typed(job)
    shown = [item for item in overrides if not item.startswith("sweep.")]
    where = [] if run_dir == alone else [f"hydra.run.dir={run_dir}"]
    return make_job(number, [*shown, *where], settings, command("train", [*shown, *where]))


def print_plan(jobs: list[SweepJob]) -> None:
    """A line a job: what will be done with it, and why."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from closerlook.cli.console import Console

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
    from closerlook.pipelines.sweep_jobs import job_end

    ends = [job_end(job) for job in _planned]
    _planned.clear()
    print_ends(ends)
    return sum(end.status != "finished" for end in ends)


def print_ends(ends: list[JobEnd]) -> None:
    """How many jobs are finished; for each other one, what was the matter and the command that runs it again."""
    from rich.markup import escape

    from closerlook.cli.console import Console

    console = Console(highlight=False, soft_wrap=True)
    counts = Counter(end.status for end in ends)
    console.print(f"\n[bold]sweep of {len(ends)} jobs[/bold]: " + ", ".join(f"{n} {s}" for s, n in counts.items()))
    for end in ends:
        if end.status == "finished":
            continue
        console.print(f"  job {end.job.number} [red]{end.status}[/red]: {escape(_one_line(end.error))}")
        console.print(f"    traceback: {escape(str(end.job.run.state_file))}")
        console.print(f"    run again: [bold]{escape(end.job.command)}[/bold]")
    if counts["finished"] < len(ends):
        console.print("  the same sweep command, run again, skips what is finished and goes on with the rest")


def _one_line(text: str, length: int = 300) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 3]}..."
