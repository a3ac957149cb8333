"""What state a run directory is in, and whether the same command may go on in it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from closerlook.callbacks.checkpoint_file import CHECKPOINTS_FOLDER, LAST_FILE, check_checkpoint
from closerlook.config import identity
from closerlook.results.run import (
    CONFIG_FILE,
    HISTORY_FILE,
    REPORT_FILE,
    RESULTS_FOLDER,
    SNAPSHOTS_FOLDER,
    RunError,
    RunState,
)
from closerlook.results.run_dir import RUN_FILE, RunDir

STATE_FILE = "state.json"
LOCK_FILE = ".lock"
RUNNING, FINISHED, FAILED, INTERRUPTED = "running", "finished", "failed", "interrupted"
_OUTPUTS = (
    CHECKPOINTS_FOLDER,
    SNAPSHOTS_FOLDER,
    RESULTS_FOLDER,
    "cross",  # other tasks seen by this run's encoder
    "random_encoder",  # its untrained twin
    RUN_FILE,
    CONFIG_FILE,
    HISTORY_FILE,
    REPORT_FILE,
    STATE_FILE,
    "checksums.json",
    "wandb",
)


@dataclass(frozen=True)
class Decision:
    """What to do in a run directory.

    Attributes:
        action: ``start``, ``resume``, ``skip`` or, from :func:`plan` only, ``refuse``.
        checkpoint: Where to resume from.
        reason: Why, for people.
    """

    action: str
    checkpoint: Path | None = None
    reason: str = ""


def identity_digest(config: dict[str, Any]) -> str:
    """Digest of the settings that decide what a run computes."""
    content = json.dumps(identity(config), sort_keys=True, default=str)
    return hashlib.sha256(content.encode("utf-8")).hexdigest()[:16]


def read_state(run_dir: Path) -> RunState | None:
    """See :meth:`RunDir.state`."""
    return RunDir(run_dir).state()


def write_state(run_dir: Path, status: str, digest: str, **details: str) -> None:
    """Record the state of a run directory, all or nothing.

    Args:
        run_dir: The run's directory.
        status: See :class:`RunState`.
        digest: Digest of the settings.
        **details: Other fields of :class:`RunState`.
    """
    changed = datetime.now(UTC).isoformat(timespec="milliseconds")
    state = RunState(status, digest, changed, pid=os.getpid(), host=platform.node(), **details)
    RunDir(run_dir).save_state(state)


def plan(run_dir: Path, config: dict[str, Any], *, overwrite: bool, ckpt_path: str | None) -> Decision:
    """What :func:`decide` would do; nothing is changed and nothing raised.

    Args:
        run_dir: The run's directory.
        config: The resolved configuration.
        overwrite: Delete what an earlier run left.
        ckpt_path: A checkpoint the user asks for; ``last`` is the directory's own.
    """
    last = run_dir / CHECKPOINTS_FOLDER / LAST_FILE
    if ckpt_path is not None:
        checkpoint = last if ckpt_path == "last" else Path(ckpt_path)
        if not checkpoint.is_file():
            return Decision(
                "refuse", reason=f"ckpt_path={ckpt_path}: no such file {checkpoint}. Leave it null to start anew"
            )
        return Decision("resume", checkpoint, f"from ckpt_path={ckpt_path}")
    computed = has_computed(run_dir)
    if overwrite:
        return Decision("start", reason="overwrite=true deletes what is there" if computed else "nothing there")
    state = read_state(run_dir)
    if state is None or not computed:
        return Decision("start", reason="nothing there" if state is None else _ended(state))
    if state.identity != identity_digest(config) and _differences(run_dir, config):
        return Decision(
            "refuse",
            reason=f"{run_dir} holds a run with other settings: {_differences(run_dir, config)}. "
            "Choose another seed or paths.runs_dir, or delete its results with overwrite=true",
        )
    if state.status == FINISHED:
        return Decision("skip", reason="finished with the same settings")
    if last.is_file():
        return Decision("resume", last, _ended(state))
    return Decision("start", reason=f"{_ended(state)}, before its first checkpoint")


def has_computed(run_dir: Path) -> bool:
    """Whether an earlier run has left something that took time to compute."""
    return any((run_dir / name).exists() for name in (CHECKPOINTS_FOLDER, SNAPSHOTS_FOLDER))


def _ended(state: RunState) -> str:
    """How the last attempt ended, in a few words."""
    if state.status == FAILED:
        return f"failed: {state.error}"
    if state.status == INTERRUPTED:
        return f"interrupted ({state.error})"
    return {RUNNING: "killed", FINISHED: "its outputs were deleted"}.get(state.status, state.status)


def decide(run_dir: Path, config: dict[str, Any], *, overwrite: bool, ckpt_path: str | None) -> Decision:
    """Start, resume or skip; nothing that an earlier run computed is deleted yet, see :func:`clear`.

    Args:
        run_dir: The run's directory.
        config: The resolved configuration.
        overwrite: Delete what an earlier run left.
        ckpt_path: A checkpoint the user asks for; ``last`` is the directory's own.

    Raises:
        RunError: The directory holds another configuration, or the checkpoint does not exist or is damaged.
    """
    decision = plan(run_dir, config, overwrite=overwrite, ckpt_path=ckpt_path)
    if decision.action == "refuse":
        raise RunError(decision.reason)
    if decision.checkpoint is not None:
        check_checkpoint(decision.checkpoint)
    if decision.action != "skip":
        discard_temporaries(run_dir)
    return decision


@contextmanager
def only_process(run_dir: Path) -> Iterator[None]:
    """Hold the run directory: two processes that write into one would mix their runs.

    The operating system lets go of it when the process ends, however it ends.

    Raises:
        RunError: Another process is at work in it.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    with (run_dir / LOCK_FILE).open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            state = read_state(run_dir)
            who = f"process {state.pid} on {state.host}" if state else "another process"
            raise RunError(
                f"{who} is at work in {run_dir}: two cannot write into one run. Wait for it, or end it first"
            ) from None
        yield


def discard_temporaries(run_dir: Path) -> None:
    """Delete the half-written files of a killed process; no reader ever took them for whole."""
    for folder in (run_dir, run_dir / CHECKPOINTS_FOLDER, run_dir / RESULTS_FOLDER, run_dir / SNAPSHOTS_FOLDER):
        for path in folder.glob(".*.tmp"):
            path.unlink(missing_ok=True)


def clear(run_dir: Path) -> None:
    """Delete what a run wrote; files that are not closerlook's stay."""
    for name in _OUTPUTS:
        path = run_dir / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _differences(run_dir: Path, config: dict[str, Any]) -> str:
    """What is set otherwise; empty when only an earlier version of closerlook counted more into the digest."""
    before, now = _flat(identity(RunDir(run_dir).config())), _flat(identity(config))
    changed = [
        f"{key} was {before.get(key)}, now {now.get(key)}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]
    return "; ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix: tree}
    return {k: v for key, value in tree.items() for k, v in _flat(value, f"{prefix}.{key}".lstrip(".")).items()}
