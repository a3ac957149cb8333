"""Find the runs below a directory and join their results into one table, also while the sweep is still running."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pandas as pd

from closerlook.files import write_json
from closerlook.results.rows import COLUMNS
from closerlook.results.run import RESULTS_FOLDER, RUN_FILE, RunError, RunInfo, load_config
from closerlook.study.columns import read_cells

CROSS_FOLDER = "cross"
CROSS_FILE = "cross.json"
KEYS = ("model", "task", "tuned_on", "variant", "seed", "run")
"""Columns that the joined table has before those of :data:`closerlook.results.rows.COLUMNS`."""

_STATE_FILE = "state.json"
_NOT_ENTERED = {"snapshots", "results", "checkpoints", "wandb", ".hydra", "random_encoder"}
_RUN_NAME = re.compile(r"^seed-\d+(?:__(?P<variant>.+))?$")


@dataclass(frozen=True)
class CrossOrigin:
    """Where the vectors of a cross-task folder come from (``cross.json``).

    Attributes:
        tuned_on: The task that the encoder was tuned on.
        source: Title of the run that tuned it.
        checkpoint: SHA-256 of its checkpoint.
        task: Settings of the task that it was looked into with.
    """

    tuned_on: str
    source: str
    checkpoint: str
    task: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def path(folder: Path) -> Path:
        """The file in a cross-task folder."""
        return Path(folder) / CROSS_FILE

    @classmethod
    def load(cls, folder: Path) -> CrossOrigin | None:
        """Read it; None when the folder is not a cross-task folder."""
        path = cls.path(folder)
        return cls(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None

    def save(self, folder: Path) -> None:
        """Write it, all or nothing."""
        write_json(self.path(folder), asdict(self))


@dataclass(frozen=True)
class StudyRun:
    """One run of a study.

    Attributes:
        path: Its directory, relative to the study's root.
        info: What it is.
        tuned_on: The task that the encoder was tuned on: ``info.task``, unless it is a cross-task folder.
        variant: What the directory's name says besides the seed, e.g. ``experiment-e3``; empty for a plain run.
        status: See :func:`status_of`; ``running`` may also mean killed.
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
            run, table = _read(root, folder)
        except (RunError, OSError, ValueError) as error:
            problems.append(f"{folder.relative_to(root)}: {error}")
            continue
        found.append(run)
        tables.append(table)
        config[run.path] = load_config(folder)
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
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if name not in _NOT_ENTERED)
        path = Path(folder).relative_to(root).as_posix()
        if RUN_FILE in files and (select is None or fnmatchcase(path, f"*{select}*")):
            yield Path(folder)


def is_cross(folder: Path) -> bool:
    """Whether a run directory holds the space of another task in a run's encoder."""
    return Path(folder).parent.name == CROSS_FOLDER


def _read(root: Path, folder: Path) -> tuple[StudyRun, pd.DataFrame]:
    info, origin = RunInfo.load(folder), CrossOrigin.load(folder)
    owner = folder.parents[1] if origin else folder
    match = _RUN_NAME.match(owner.name)
    table, _ = read_cells(folder / RESULTS_FOLDER)
    run = StudyRun(
        path=folder.relative_to(root).as_posix(),
        info=info,
        tuned_on=origin.tuned_on if origin else info.task,
        variant=(match["variant"] or "") if match else "",
        status=status_of(owner),
        n_rows=len(table),
    )
    return run, table


def status_of(folder: Path) -> str:
    """``finished``, ``running``, ``failed`` or ``interrupted``, as the run's own record says.

    Raises:
        RunError: The record is damaged.
    """
    path = folder / _STATE_FILE
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["status"]) if path.is_file() else "finished"
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged ({error}): it says how the run in its folder ended") from error


def _names(runs: list[StudyRun]) -> dict[str, str]:
    """Model names; they bear the variant only when there is more than one, so that nothing is joined by mistake."""
    several = len({run.variant for run in runs}) > 1
    return {run.path: run.model if several else run.info.model for run in runs}


def _with_keys(table: pd.DataFrame, run: StudyRun, model: str) -> pd.DataFrame:
    keys = (model, run.info.task, run.tuned_on, run.variant, run.info.seed, run.path)
    named: dict[str, Any] = dict(zip(KEYS, keys, strict=True))
    return table.assign(**named)[[*KEYS, *COLUMNS]]


def _concat(tables: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [table for table in tables if len(table)]
    joined = pd.concat(filled, ignore_index=True) if filled else tables[0]
    return joined.astype(dict.fromkeys(("model", "task", "tuned_on", "variant", "run"), "str") | {"seed": "int64"})
