"""Probe all finished runs below a directory, and other tasks in their encoders; one run's trouble stays its own.

Finished cells are kept, so the same call goes on after an interruption and costs little when nothing is missing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from closerlook.pipelines.cross_settings import ALL_TASKS, for_other_tasks, task_names, task_of_sibling
from closerlook.pipelines.cross_task import run_cross_task
from closerlook.pipelines.known_cells import KnownCells
from closerlook.pipelines.probe import Probed, build_probes, cell_name, probe_run, publish
from closerlook.probes.runner import OnCell
from closerlook.probes.space_probe import SpaceProbe
from closerlook.results.run import REPORT_FILE, RESULTS_FOLDER, RunError, RunInfo, load_config
from closerlook.results.store import CELLS_FILE, TABLE_FILE
from closerlook.study.join import CROSS_FOLDER, found_runs, is_cross, status_of

log = logging.getLogger(__name__)

PROBED, KEPT, SKIPPED, FAILED = "probed", "kept", "skipped", "failed"

Progress = Callable[[float, int, str], None]
"""Called with the number of spaces done, fractions of one included, the number of all, and what is being done."""


@dataclass(frozen=True)
class Space:
    """One space to probe: a run's own, or another task's in its encoder.

    Attributes:
        folder: The run's directory.
        path: The same, relative to the root.
        cross: The other task; empty for the run's own.
    """

    folder: Path
    path: str
    cross: str = ""

    @property
    def name(self) -> str:
        """Where its results are, relative to the root."""
        return f"{self.path}/{CROSS_FOLDER}/{self.cross}" if self.cross else self.path


@dataclass(frozen=True)
class SpaceEnd:
    """How probing a space ended.

    Attributes:
        space: The space.
        status: ``probed``, ``kept`` (nothing was missing), ``skipped`` or ``failed``.
        reason: Why it was skipped or what failed; empty otherwise.
        n_computed: Cells computed now.
        n_kept: Cells that were finished before, here or on the same space of another run.
        seconds: Wall time of the cells.
    """

    space: Space
    status: str
    reason: str = ""
    n_computed: int = 0
    n_kept: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class _Plan:
    """What a space is probed for."""

    probes: list[SpaceProbe]
    settings: dict[str, Any]

    @classmethod
    def of(cls, config: DictConfig) -> _Plan:
        return cls(build_probes(config), OmegaConf.to_container(config, resolve=True))  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Job:
    """What all spaces of one call share."""

    own: _Plan
    cross: _Plan
    known: KnownCells
    runs: dict[Path, dict[str, Any]]


def probe_each(
    config: DictConfig, *, progress: Progress | None = None, on_end: Callable[[SpaceEnd], None] | None = None
) -> tuple[SpaceEnd, ...]:
    """Probe every finished run below ``config.runs``, then the wanted other tasks in each of their encoders.

    Reports and W&B runs are made for the runs' own spaces; other tasks' spaces show up when the runs are joined.

    Args:
        config: A composed ``probe`` configuration with ``runs``; ``cross_task`` may name a task, several, or ``all``.
        progress: Told how far it is.
        on_end: Called when a space is done, skipped or has failed.

    Returns:
        How each space ended, runs first. Failures are in it; they do not raise.

    Raises:
        RunError: There is no run, no probe was chosen, or ``cross_task`` names no task.
    """
    root = Path(config.runs)
    runs, left_out = finished_runs(root, config.select)
    own = _Plan.of(config)
    cross = _Plan.of(for_other_tasks(config)) if config.cross_task is not None else own
    job = _Job(own, cross, KnownCells(), runs)
    spaces = [Space(folder, folder.relative_to(root).as_posix()) for folder in runs]
    spaces += cross_spaces(spaces, runs, config.cross_task)
    ends = list(left_out)
    if on_end is not None:
        for end in left_out:
            on_end(end)
    for i, space in enumerate(spaces):
        tell = _part_of(progress, i, len(spaces), space.name)
        ends.append(_guarded(job, space, tell))
        if on_end is not None:
            on_end(ends[-1])
    return tuple(ends)


def finished_runs(root: Path, select: str | None = None) -> tuple[dict[Path, dict[str, Any]], list[SpaceEnd]]:
    """The runs that can be probed, with their configurations, and the others with why not.

    Raises:
        RunError: There is no run below ``root``.
    """
    runs: dict[Path, dict[str, Any]] = {}
    left_out = []
    for folder in found_runs(root, select):
        if is_cross(folder):
            continue
        space = Space(folder, folder.relative_to(root).as_posix())
        try:
            RunInfo.load(folder)
            status, config = status_of(folder), load_config(folder)
        except RunError as error:
            left_out.append(SpaceEnd(space, FAILED, str(error)))
            continue
        stored = (config.get("snapshot") or {}).get("enabled", True)
        if status != "finished":
            left_out.append(SpaceEnd(space, SKIPPED, f"not finished ({status}): run its train.py command again"))
        elif not stored:
            left_out.append(SpaceEnd(space, SKIPPED, "it stored no snapshots (snapshot.enabled=false)"))
        else:
            runs[folder] = config
    return runs, left_out


def cross_spaces(spaces: Sequence[Space], runs: dict[Path, dict[str, Any]], wanted: Any) -> list[Space]:
    """Each run with each wanted task that it was not tuned on.

    Args:
        spaces: The runs' own spaces.
        runs: Their configurations.
        wanted: A task, a list of tasks, ``all`` (every task that one of the runs was tuned on), or None.
    """
    if wanted is None:
        return []
    tuned_on = {space.folder: _task_name(space.folder, runs[space.folder]) for space in spaces}
    names = sorted(set(tuned_on.values())) if wanted == ALL_TASKS else task_names(wanted)
    return [
        Space(space.folder, space.path, name)
        for name in names
        for space in spaces
        if name != tuned_on[space.folder]
    ]  # fmt: skip


def _task_name(folder: Path, config: dict[str, Any]) -> str:
    return str((config.get("task") or {}).get("name") or RunInfo.load(folder).task)


def _guarded(job: _Job, space: Space, on_cells: Callable[[int], OnCell]) -> SpaceEnd:
    try:
        return _probe_space(job, space, on_cells)
    except Exception as error:  # one run must not sink the others; the command says at its end which
        log.debug("%s failed", space.name, exc_info=True)
        told = str(error) if isinstance(error, (RunError, ValueError)) else f"{type(error).__name__}: {error}"
        return SpaceEnd(space, FAILED, told)


def _probe_space(job: _Job, space: Space, on_cells: Callable[[int], OnCell]) -> SpaceEnd:
    folder, plan = space.folder, job.own
    if space.cross:
        plan = job.cross
        other = task_of_sibling(space.cross, job.runs[folder], job.runs, plan.settings["paths"]["data_dir"])
        layers = plan.settings["layers"]
        folder = run_cross_task(folder, other.settings, layers=layers, pretrained=other.pretrained).run_dir
    done = probe_run(folder, plan.probes, plan.settings, on_cells, known=job.known, stored_only=True)
    _publish(plan.settings, space, folder, done)
    found = done.outcome
    status, reason = PROBED if found.n_computed else KEPT, ""
    if found.failed:
        first = found.failed[0]
        status, reason = FAILED, f"{len(found.failed)} cell(s); {cell_name(first.key)}: {first.error}"
    return SpaceEnd(space, status, reason, found.n_computed, found.n_kept, found.seconds)


def _publish(settings: dict[str, Any], space: Space, folder: Path, done: Probed) -> None:
    """Table, report and W&B run of a run's own space, unless they are newer than its cells; the table of another's."""
    if space.cross:
        if not _newer(folder / RESULTS_FOLDER / TABLE_FILE, folder):
            done.store.write_table()
        return
    made = [folder / RESULTS_FOLDER / TABLE_FILE]
    if settings["report"]:
        made.append(folder / REPORT_FILE)
    if not all(_newer(path, folder) for path in made):
        publish(folder, settings, done.store)


def _newer(path: Path, folder: Path) -> bool:
    cells = folder / RESULTS_FOLDER / CELLS_FILE
    return path.is_file() and (not cells.is_file() or path.stat().st_mtime_ns >= cells.stat().st_mtime_ns)


def _part_of(progress: Progress | None, done: int, total: int, name: str) -> Callable[[int], OnCell]:
    """Turn the cells of one space into a part of the whole progress."""
    if progress is None:
        return lambda n_cells: lambda key: None
    progress(done, total, name)

    def on_cells(n_cells: int) -> OnCell:
        finished = count(1)
        return lambda key: progress(done + next(finished) / n_cells, total, f"{name}: {cell_name(key)}")

    return on_cells
