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
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from closerlook.callbacks.checkpoint_file import check_checkpoint
from closerlook.config import TrainConfig, identity, stored
from closerlook.files import write_json
from closerlook.results.run import RunError
from closerlook.results.run_dir import RunDir

RUNNING, FINISHED, FAILED, INTERRUPTED = "running", "finished", "failed", "interrupted"


@dataclass(frozen=True)
class RunState:
    """What a run directory says of itself.

    Attributes:
        status: ``running``, ``finished``, ``interrupted`` or ``failed``; a killed process leaves ``running`` behind.
        identity: Digest of the settings that decide what is computed.
        changed: When it was written, ISO 8601.
        error: Why it failed, in one line.
        traceback: Where it failed.
        pid: The process that wrote this.
        host: The machine it ran on.
        launch: Name of the launch, which all its processes share.
        checkpoint: Where this attempt resumed from; empty when it started anew.
    """

    status: str
    identity: str
    changed: str
    error: str = ""
    traceback: str = ""
    pid: int = 0
    host: str = ""
    launch: str = ""
    checkpoint: str = ""


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


def identity_digest(config: TrainConfig) -> str:
    """Digest of the settings that decide what a run computes."""
    content = json.dumps(identity(config), sort_keys=True, default=str)
    return hashlib.sha256(content.encode("utf-8")).hexdigest()[:16]


def read_state(run: RunDir) -> RunState | None:
    """The state of a run directory; None when no run has started there.

    Raises:
        RunError: The file is damaged.
    """
    path = run.state_file
    if not path.exists():
        return None
    try:
        return RunState(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise RunError(
            f"{path} is damaged ({error}): it says how the run in its folder ended. Delete the folder, "
            "or start anew with overwrite=true"
        ) from error


def write_state(run: RunDir, status: str, digest: str, **details: str) -> None:
    """Record the state of a run directory, all or nothing.

    Args:
        run: The run.
        status: See :class:`RunState`.
        digest: Digest of the settings.
        **details: Other fields of :class:`RunState`.
    """
    changed = datetime.now(UTC).isoformat(timespec="milliseconds")
    state = RunState(status, digest, changed, pid=os.getpid(), host=platform.node(), **details)
    write_json(run.state_file, asdict(state))


def plan(run: RunDir, config: TrainConfig) -> Decision:
    """What :func:`decide` would do; nothing is changed.

    Args:
        run: The run's directory.
        config: The settings; ``ckpt_path=last`` is the directory's own last checkpoint.

    Raises:
        RunError: What the directory says of itself cannot be read.
    """
    if config.ckpt_path is not None:
        checkpoint = run.last_checkpoint if config.ckpt_path == "last" else Path(config.ckpt_path)
        if checkpoint.is_file():
            return Decision("resume", checkpoint, f"from ckpt_path={config.ckpt_path}")
        return Decision(
            "refuse", reason=f"ckpt_path={config.ckpt_path}: no such file {checkpoint}. Leave it null to start anew"
        )
    computed = has_computed(run)
    if config.overwrite:
        return Decision("start", reason="overwrite=true deletes what is there" if computed else "nothing there")
    state = read_state(run)
    if state is None or not computed:
        return Decision("start", reason="nothing there" if state is None else _ended(state))
    if state.identity != identity_digest(config) and (changed := _differences(run, config)):
        return Decision(
            "refuse",
            reason=f"{run.root} holds a run with other settings: {changed}. "
            "Choose another seed or paths.runs_dir, or delete its results with overwrite=true",
        )
    if state.status == FINISHED:
        return Decision("skip", reason="finished with the same settings")
    if run.last_checkpoint.is_file():
        return Decision("resume", run.last_checkpoint, _ended(state))
    return Decision("start", reason=f"{_ended(state)}, before its first checkpoint")


def has_computed(run: RunDir) -> bool:
    """Whether an earlier run has left something that took time to compute."""
    return run.checkpoints.exists() or run.snapshots.exists()


def _ended(state: RunState) -> str:
    """How the last attempt ended, in a few words."""
    if state.status == FAILED:
        return f"failed: {state.error}"
    if state.status == INTERRUPTED:
        return f"interrupted ({state.error})"
    return {RUNNING: "killed", FINISHED: "its outputs were deleted"}.get(state.status, state.status)


def decide(run: RunDir, config: TrainConfig) -> Decision:
    """Start, resume or skip; nothing that an earlier run computed is deleted yet, see :func:`clear`.

    Raises:
        RunError: The directory holds another configuration, or the checkpoint does not exist or is damaged.
    """
    decision = plan(run, config)
    if decision.action == "refuse":
        raise RunError(decision.reason)
    if decision.checkpoint is not None:
        check_checkpoint(decision.checkpoint)
    if decision.action != "skip":
        discard_temporaries(run)
    return decision


@contextmanager
def only_process(run: RunDir) -> Iterator[None]:
    """Hold the run directory: two processes that write into one would mix their runs.

    The operating system lets go of it when the process ends, however it ends.

    Raises:
        RunError: Another process is at work in it.
    """
    run.root.mkdir(parents=True, exist_ok=True)
    with run.lock_file.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            state = read_state(run)
            who = f"process {state.pid} on {state.host}" if state else "another process"
            raise RunError(
                f"{who} is at work in {run.root}: two cannot write into one run. Wait for it, or end it first"
            ) from None
        yield


def discard_temporaries(run: RunDir) -> None:
    """Delete the half-written files of a killed process; no reader ever took them for whole."""
    for folder in (run.root, run.checkpoints, run.results, run.snapshots):
        for path in folder.glob(".*.tmp"):
            path.unlink(missing_ok=True)


def clear(run: RunDir) -> None:
    """Delete what a run wrote; files that are not closerlook's stay."""
    folders = (run.checkpoints, run.snapshots, run.results, run.root / "cross", run.random_encoder, run.root / "wandb")
    for folder in folders:
        if folder.is_dir():
            shutil.rmtree(folder)
    for file in (run.info_file, run.config_file, run.history_file, run.report_file, run.state_file):
        file.unlink(missing_ok=True)


def _differences(run: RunDir, config: TrainConfig) -> str:
    """What is set otherwise; empty when only an earlier version of closerlook counted more into the digest."""
    before, now = _flat(identity(stored(run.root))), _flat(identity(config))
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
