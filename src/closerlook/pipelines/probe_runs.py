"""Probe all finished runs below a directory, and other tasks in their encoders; one run's trouble stays its own.

Finished cells are kept, so the same call goes on after an interruption and costs little when nothing is missing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from pathlib import Path
from typing import Any

from closerlook.config import ProbeConfig
from closerlook.errors import UserError
from closerlook.pipelines.cross_settings import ALL_TASKS, for_other_tasks, task_names, task_of_sibling
from closerlook.pipelines.cross_task import run_cross_task
from closerlook.pipelines.known_cells import KnownCells
from closerlook.pipelines.probe_run import Probe, Probed, build_probes, failures, place_name, probe_space, publish
from closerlook.probes.runner import OnCell
from closerlook.results.run import RunError
from closerlook.results.run_dir import RunDir
from closerlook.study.join import found_runs

log = logging.getLogger(__name__)

Progress = Callable[[float, int, str], None]
"""Called with the number of spaces done, fractions of one included, the number of all, and what is being done."""


class Ended(StrEnum):
    """How probing a space ended; kept = nothing was missing."""

    PROBED = "probed"
    KEPT = "kept"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True)
class Space:
    """One space to probe: a run's own, or another task's in its encoder.

    Attributes:
        run: The run.
        path: Its directory, relative to the root.
        cross: The other task; empty for the run's own.
    """

    run: RunDir
    path: str
    cross: str = ""

    @property
    def name(self) -> str:
        """Where its results are, relative to the root."""
        if not self.cross:
            return self.path
        return f"{self.path}/{self.run.cross(self.cross).root.relative_to(self.run.root).as_posix()}"


@dataclass(frozen=True)
class SpaceEnd:
    """How probing a space ended.

    Attributes:
        space: The space.
        status: How.
        reason: Why it was skipped or what failed; empty otherwise.
        n_computed: Cells computed now.
        n_kept: Cells that were finished before, here or on the same space of another run.
        seconds: Wall time of the cells.
    """

    space: Space
    status: Ended
    reason: str = ""
    n_computed: int = 0
    n_kept: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class _Plan:
    """What a space is probed for."""

    probes: list[Probe]
    config: ProbeConfig


@dataclass(frozen=True)
class _Job:
    """What all spaces of one call share."""

    own: _Plan
    cross: _Plan
    known: KnownCells
    configs: dict[Path, dict[str, Any]]


def probe_runs(config: ProbeConfig, *, progress: Progress, on_end: Callable[[SpaceEnd], None]) -> tuple[SpaceEnd, ...]:
    """Probe every finished run below ``config.runs``, then the wanted other tasks in each of their encoders.

    Reports and W&B runs are made for the runs' own spaces; other tasks' spaces show up when the runs are joined.

    Args:
        config: Settings of probe.py with ``runs``; ``cross_task`` may name a task, several, or ``all``.
        progress: Called with how far it is.
        on_end: Called when a space is done, skipped or has failed.

    Returns:
        How each space ended, runs first. Failures are in it; they do not raise.

    Raises:
        RunError: There is no run, no probe was chosen, or ``cross_task`` names no task.
    """
    root = Path(str(config.runs))
    runs, left_out = finished_runs(root, config.select)
    own = _Plan(build_probes(config), config)
    other = for_other_tasks(config) if config.cross_task is not None else config
    job = _Job(own, _Plan(build_probes(other), other), KnownCells(), {one.run.root: runs[one] for one in runs})
    spaces = [*runs, *cross_spaces(runs, config.cross_task)]
    ends = list(left_out)
    for end in left_out:
        on_end(end)
    for i, space in enumerate(spaces):
        ends.append(_guarded(job, space, _part_of(progress, i, len(spaces), space.name)))
        on_end(ends[-1])
    return tuple(ends)


def finished_runs(root: Path, select: str | None = None) -> tuple[dict[Space, dict[str, Any]], list[SpaceEnd]]:
    """The runs that can be probed, with their configurations, and the others with why not.

    Raises:
        RunError: There is no run below ``root``.
    """
    runs: dict[Space, dict[str, Any]] = {}
    left_out = []
    for folder in found_runs(root, select):
        run = RunDir(folder)
        if run.is_cross:
            continue
        space = Space(run, folder.relative_to(root).as_posix())
        try:
            run.info()
            status, config = run.status, run.config()
        except RunError as error:
            left_out.append(SpaceEnd(space, Ended.FAILED, str(error)))
            continue
        stored = (config.get("snapshot") or {}).get("enabled", True)
        if status != "finished":
            left_out.append(SpaceEnd(space, Ended.SKIPPED, f"not finished ({status}): run its train.py command again"))
        elif not stored:
            left_out.append(SpaceEnd(space, Ended.SKIPPED, "it stored no snapshots (snapshot.enabled=false)"))
        else:
            runs[space] = config
    return runs, left_out


def cross_spaces(runs: dict[Space, dict[str, Any]], wanted: Any) -> list[Space]:
    """Each run with each wanted task that it was not tuned on.

    Args:
        runs: The runs' own spaces, with their configurations.
        wanted: A task, a list of tasks, ``all`` (every task that one of the runs was tuned on), or None.
    """
    if wanted is None:
        return []
    tuned_on = {
        space: str((config.get("task") or {}).get("name") or space.run.info().task) for space, config in runs.items()
    }
    names = sorted(set(tuned_on.values())) if wanted == ALL_TASKS else task_names(wanted)
    return [Space(space.run, space.path, name) for name in names for space in runs if name != tuned_on[space]]


def _guarded(job: _Job, space: Space, on_cells: Callable[[int], OnCell]) -> SpaceEnd:
    try:
        return _probe_space(job, space, on_cells)
    except Exception as error:  # one run must not sink the others; the command says at its end which
        log.debug("%s failed", space.name, exc_info=True)
        reason = str(error) if isinstance(error, (UserError, ValueError)) else f"{type(error).__name__}: {error}"
        return SpaceEnd(space, Ended.FAILED, reason)


def _probe_space(job: _Job, space: Space, on_cells: Callable[[int], OnCell]) -> SpaceEnd:
    run, plan = space.run, job.own
    if space.cross:
        plan = job.cross
        config = plan.config
        other = task_of_sibling(space.cross, job.configs[run.root], job.configs, config.paths.data_dir)
        run = run_cross_task(
            run,
            other.settings,
            layers=config.layers,
            pretrained=other.pretrained,
            trust_remote_code=config.trust_remote_code,
        ).run
    done = probe_space(run, plan.probes, plan.config, on_cells, known=job.known, stored_only=True)
    _publish(plan.config, space, run, done)
    found = done.outcome
    status, reason = Ended.PROBED if found.n_computed else Ended.KEPT, ""
    if found.failed:
        status, reason = Ended.FAILED, "; ".join(failures(found.failed)[:3])
    return SpaceEnd(space, status, reason, found.n_computed, found.n_kept, found.seconds)


def _publish(config: ProbeConfig, space: Space, run: RunDir, done: Probed) -> None:
    """Table, report and W&B run of a run's own space, unless they were made of these cells; the table of another's."""
    made = [done.store.table_file]
    if config.report and not space.cross:
        made.append(run.report_file)
    if all(done.store.is_current(file) for file in made):
        return
    if space.cross:
        done.store.write_table()
    elif len(done.store):
        publish(run, config, done.store)


def _part_of(progress: Progress, done: int, total: int, name: str) -> Callable[[int], OnCell]:
    """Turn the cells of one space into a part of the whole progress."""
    progress(done, total, name)

    def on_cells(n_cells: int) -> OnCell:
        finished = count(1)
        return lambda key: progress(done + next(finished) / n_cells, total, f"{name}: {place_name(key.place)}")

    return on_cells
