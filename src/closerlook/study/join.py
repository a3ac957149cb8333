"""Find the runs below a directory and join their results into one table, also while the sweep is still running."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pandas as pd

from closerlook.results.rows import COLUMNS
from closerlook.results.run import RunError, RunInfo
from closerlook.results.run_dir import RUN_FILE, RunDir

KEYS = ("model", "task", "tuned_on", "variant", "method", "seed", "run")
"""Columns that the joined table has before those of :data:`closerlook.results.rows.COLUMNS`."""

_NOT_ENTERED = {"snapshots", "results", "checkpoints", "wandb", ".hydra", "random_encoder"}


@dataclass(frozen=True)
class StudyRun:
    """One run of a study.

    Attributes:
        path: Its directory, relative to the study's root.
        info: What it is.
        tuned_on: The task that the encoder was tuned on: ``info.task``, unless it is a cross-task folder.
        variant: See :attr:`RunDir.variant`, e.g. ``experiment-e3``; empty for a plain run.
        status: See :attr:`RunDir.status`; ``running`` may also mean killed.
        n_rows: Number of results; 0 = not probed yet.
    """

    path: str
    info: RunInfo
    tuned_on: str
    variant: str
    status: str
    n_rows: int

    @property
    def model(self) -> str:
        """The model, with the variant in brackets."""
        return f"{self.info.model} [{self.variant}]" if self.variant else self.info.model


@dataclass(frozen=True)
class Study:
    """All runs below a directory.

    Attributes:
        root: The directory.
        runs: The runs, by path.
        table: Tidy results of all runs: columns :data:`KEYS`, then ``COLUMNS``; ``model`` bears the variant when the
            study has several.
        config: Resolved configuration by run path.
        problems: Runs that could not be read, with why.
    """

    root: Path
    runs: tuple[StudyRun, ...]
    table: pd.DataFrame
    config: dict[str, dict[str, Any]]
    problems: tuple[str, ...] = ()


def load_study(root: Path, select: str | None = None) -> Study:
    """Join everything that the runs below ``root`` have measured so far.

    A run that is still being tuned or probed contributes what it has; a damaged one is told of and left out.

    Args:
        root: The directory.
        select: See :func:`find_runs`.

    Raises:
        RunError: There is no run below ``root``, or none that ``select`` takes.
    """
    root = Path(root)
    folders = found_runs(root, select)
    found, tables, config, problems = [], [], {}, []
    for folder in folders:
        try:
            run, table, problem = _read(root, folder)
            settings = RunDir(folder).config()
        except (RunError, OSError, ValueError) as error:
            problems.append(f"{folder.relative_to(root)}: {error}")
            continue
        if problem:
            problems.append(f"{run.path}: {problem}")
        found.append(run)
        tables.append(table)
        config[run.path] = settings
    named = _names(found)
    joined = [_with_keys(table, run, named[run.path]) for run, table in zip(found, tables, strict=True)]
    return Study(root, tuple(found), _concat(joined), config, tuple(problems))


def found_runs(root: Path, select: str | None = None) -> list[Path]:
    """What :func:`find_runs` finds.

    Raises:
        RunError: It finds nothing.
    """
    folders = list(find_runs(root, select))
    if not folders:
        chosen = "" if select is None else f" whose path has select={select}"
        raise RunError(
            f"no runs below {root}{chosen}: expected folders with a {RUN_FILE}, which train.py writes. "
            "Pass the directory of a sweep, e.g. runs=runs"
        )
    return folders


def find_runs(root: Path, select: str | None = None) -> Iterator[Path]:
    """Directories with a ``run.json`` at or below ``root``, in order of their names; large folders are not entered.

    Args:
        root: The directory.
        select: Only runs whose path below ``root`` has this text in it; ``*`` stands for any text. None takes all.
    """
    for folder, names, files in os.walk(root, followlinks=True):
        names[:] = sorted(name for name in names if name not in _NOT_ENTERED and _may_enter(Path(folder) / name))
        path = Path(folder).relative_to(root).as_posix()
        if RUN_FILE in files and (select is None or fnmatchcase(path, f"*{select}*")):
            yield Path(folder)


def _may_enter(folder: Path) -> bool:
    """Whether it is a folder, or a link to a run; other links may lead anywhere, and round in circles."""
    return not folder.is_symlink() or (folder / RUN_FILE).is_file()


def _read(root: Path, folder: Path) -> tuple[StudyRun, pd.DataFrame, str]:
    """A run, its table, and what of its cells could not be read."""
    place = RunDir(folder)
    info, origin, store = place.info(), place.origin(), place.store()
    table = store.table()
    run = StudyRun(
        path=folder.relative_to(root).as_posix(),
        info=info,
        tuned_on=origin.tuned_on if origin else info.task,
        variant=place.variant,
        status=place.status,
        n_rows=len(table),
    )
    problem = ""
    if store.left_out:
        problem = f"{store.left_out} of {store.path.name} left out; to compute them again: probe.py run_dir={folder}"
    return run, table, problem


def _names(runs: list[StudyRun]) -> dict[str, str]:
    """Model names; they bear the variant only when there is more than one, so that nothing is joined by mistake."""
    several = len({run.variant for run in runs}) > 1
    return {run.path: run.model if several else run.info.model for run in runs}


def _with_keys(table: pd.DataFrame, run: StudyRun, model: str) -> pd.DataFrame:
    keys = (model, run.info.task, run.tuned_on, run.variant, run.info.method, run.info.seed, run.path)
    named: dict[str, Any] = dict(zip(KEYS, keys, strict=True))
    return table.assign(**named)[[*KEYS, *COLUMNS]]


def _concat(tables: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [table for table in tables if len(table)]
    joined = pd.concat(filled, ignore_index=True) if filled else tables[0]
    return joined.astype(dict.fromkeys(("model", "task", "tuned_on", "variant", "run"), "str") | {"seed": "int64"})
