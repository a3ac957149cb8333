"""What the runs below a directory are doing, from their files as they are now; nothing outside it is read."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd
import yaml  # type: ignore[import-untyped]

from closerlook import measures as m
from closerlook.number_text import number_text
from closerlook.report.live_page import LiveRun, Series, Shot
from closerlook.representations.format import MANIFEST_FILE, STEP_PREFIX
from closerlook.results.run import RunError, RunInfo
from closerlook.results.run_dir import RUN_FILE, RunDir
from closerlook.results.store import CELLS_FILE
from closerlook.results.tables import rows_of

_NOT_ENTERED = {"snapshots", "results", "checkpoints", "wandb", ".hydra", "random_encoder", "model", "cross"}
_CURVES = ("train/loss", "val/loss", "val/accuracy", "test/accuracy")
_MEASURES = {"clusters": m.N_CLUSTERS, "mean min. distance": m.MEAN_MIN_DISTANCE, "accuracy": m.ACCURACY}
_MOST_POINTS = 400
_MOST_BYTES = 1 << 28

Command = Callable[[Sequence[str]], str]
"""Makes the command line of train.py from its overrides."""


class LiveRuns:
    """The runs below a directory; a run is read again only when a file of it has changed.

    Args:
        root: The directory.
        command: Makes a command from overrides.
    """

    def __init__(self, root: Path, command: Command) -> None:
        self.root = Path(root).resolve()
        self._command = command
        self._seen: dict[Path, tuple[tuple[object, ...], LiveRun]] = {}

    def all(self) -> list[LiveRun]:
        """All runs, by path."""
        return [self._read(folder) for folder in self._folders()]

    def one(self, path: str) -> LiveRun | None:
        """A run by its path below the root; None when :meth:`all` does not list it."""
        found = next((one for one in self._folders() if self._name(one) == path), None)
        return None if found is None else self._read(found)

    def page(self, path: str, name: str) -> bytes | None:
        """A page that was made of a run; None when there is none, or it is a link."""
        run = self.one(path)
        folder = next((one for one in self._folders() if self._name(one) == path), None)
        if run is None or folder is None or name not in run.pages:
            return None
        try:
            handle = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return None
        with os.fdopen(handle, "rb") as file:
            return file.read(_MOST_BYTES)

    def _folders(self) -> Iterator[Path]:
        for folder, names, files in os.walk(self.root):  # links are not followed
            names[:] = sorted(name for name in names if name not in _NOT_ENTERED and not name.startswith("."))
            if RUN_FILE in files or "state.json" in files:
                yield Path(folder)

    def _name(self, folder: Path) -> str:
        return "(this directory)" if folder == self.root else folder.relative_to(self.root).as_posix()

    def _read(self, folder: Path) -> LiveRun:
        stamp = _stamp(folder)
        if folder not in self._seen or self._seen[folder][0] != stamp:
            self._seen[folder] = (stamp, self._look(folder))
        return self._seen[folder][1]

    def _look(self, folder: Path) -> LiveRun:
        name, run = self._name(folder), RunDir(folder)
        if (link := _link_in(folder)) is not None:
            why = f"it holds a link ({link}): links are not followed, since they may lead out of the directory"
            return LiveRun(name, name, "unreadable", error=why)
        try:
            info = run.info() if run.info_file.is_file() else None
            return self._known(name, run, info)
        except (RunError, OSError, ValueError, KeyError) as error:
            return LiveRun(name, name, "unreadable", error=str(error))

    def _known(self, name: str, run: RunDir, info: RunInfo | None) -> LiveRun:
        state = run.state()
        status = "finished" if state is None else state.status
        if state is not None and status == "running" and state.host == platform.node() and not _lives(state.pid):
            status = "killed"
        history, table = run.history(), run.store().table() if run.results.is_dir() else pd.DataFrame()
        shots = _shots(run, info, table)
        steps = [shot.step for shot in shots] + [int(step) + 1 for step in history["step"].tail(1)]
        planned = info.n_updates if info else None
        trouble = status in ("failed", "interrupted", "killed")
        return LiveRun(
            path=name,
            title=info.title if info else name,
            status=status,
            step=min(max(steps, default=0), planned or max(steps, default=0)),
            n_updates=planned,
            changed=state.changed if state else "",
            error=(state.error or status) if state and trouble else "",
            command=self._command_of(run, info),
            facts=_facts(info),
            shots=shots,
            curves=tuple(_curves(history, info, shots)),
            pages=tuple(file.name for file in (run.report_file, run.space_file) if file.is_file()),
        )

    def _command_of(self, run: RunDir, info: RunInfo | None) -> str:
        """From the overrides that train.py stored; empty for other loops."""
        folder, found = run.root / ".hydra", []
        with suppress(OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
            found = list(yaml.safe_load((folder / "overrides.yaml").read_text(encoding="utf-8")))
            hydra = yaml.safe_load((folder / "hydra.yaml").read_text(encoding="utf-8"))
            found += [one for one in hydra["hydra"]["overrides"]["hydra"] if str(one).startswith("hydra.run.dir=")]
        return self._command([str(one) for one in found]) if found and not (info and info.loop) else ""


def _stamp(folder: Path) -> tuple[object, ...]:
    """What changes when a run does, and whether the process that wrote its state may have ended since."""
    run, found = RunDir(folder), []
    files = (run.info_file, run.state_file, run.history_file, run.results / CELLS_FILE, run.report_file, run.space_file)
    for path in (*files, run.snapshots, folder):
        with suppress(OSError):
            stat = path.lstat()
            found.append((path.name, stat.st_mtime_ns, stat.st_size, stat.st_ino))
    with suppress(RunError, OSError, ValueError):
        state = run.state() if not run.state_file.is_symlink() else None
        if state is not None and state.status == "running":
            found.append(("lives", int(_lives(state.pid)), 0, 0))
    return tuple(found)


def _link_in(folder: Path) -> str | None:
    """The first link among the files of a run that a page is made of; runs below it are looked at for themselves."""
    for at, names, files in os.walk(folder):
        inner = Path(at)
        names[:] = [name for name in names if name not in ("wandb", "checkpoints", "cross", "random_encoder")]
        if inner != folder and RUN_FILE in files:
            names[:] = []
            continue
        for name in (*names, *files):
            if (inner / name).is_symlink():
                return (inner / name).relative_to(folder).as_posix()
    return None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError, OSError):
        return True
    return True


def _facts(info: RunInfo | None) -> dict[str, str]:
    if info is None:
        return {}
    facts = {"task": info.task, "model": info.model, "seed": str(info.seed), "one example is a": info.level}
    facts["examples"] = f"{info.n_train:,} train, {info.n_test:,} test"
    facts["started"] = info.created[:16].replace("T", " ")
    return facts | ({"trained by": info.loop} if info.loop else {})


def _shots(run: RunDir, info: RunInfo | None, table: pd.DataFrame) -> tuple[Shot, ...]:
    """The complete snapshots, with what is measured of their last layer."""
    found = []
    for path in sorted(run.snapshots.glob(f"{STEP_PREFIX}*")):
        number = path.name.removeprefix(STEP_PREFIX)
        if number.isdecimal() and (path / MANIFEST_FILE).is_file():
            step = int(number)
            measured = {name: _value(table, info, name, step) for name in _MEASURES}
            kept = {name: text for name, text in measured.items() if text}
            found.append(Shot(step, info.epoch_of(step) if info else None, kept))
    return tuple(found)


def _value(table: pd.DataFrame, info: RunInfo | None, name: str, step: int) -> str:
    if table.empty or info is None:
        return ""
    split = "test" if name == "accuracy" else "train"
    rows = rows_of(table, _MEASURES[name], split=split, layer=info.n_layers)
    values = rows.loc[rows["step"] == step, "value"].dropna().tolist()
    return number_text(_MEASURES[name], float(values[0])) if values else ""


def _curves(history: pd.DataFrame, info: RunInfo | None, shots: Sequence[Shot]) -> Iterator[Series]:
    for name in _CURVES:
        if name not in history:
            continue
        rows = history[["step", name]].dropna()
        if len(rows):
            rows = rows.iloc[:: max(1, len(rows) // _MOST_POINTS)]
            epochs = [info.epoch_of(int(step) + 1) if info else float(step) for step in rows["step"]]
            values = tuple(rows[name].astype(float).tolist())
            yield Series(name, tuple(epochs), values, f"{values[-1]:.3g}")
    for name in _MEASURES:
        points = [(shot.epoch or 0.0, shot.found[name].replace(",", "")) for shot in shots if name in shot.found]
        if points:
            last = points[-1][1]
            numbers = tuple(float(value) for _, value in points)
            yield Series(f"{name} (last layer)", tuple(epoch for epoch, _ in points), numbers, last)
