"""What state a run directory is in, and whether the same command may go on in it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from closerlook.callbacks.checkpoint_file import check_checkpoint
from closerlook.config import TrainConfig, identity, stored
from closerlook.locks import HeldError, locked
from closerlook.redaction import redact
from closerlook.results.run import RunError, RunState
from closerlook.results.run_dir import MODEL_WRITING, RunDir

log = logging.getLogger(__name__)

RUNNING, FINISHED, FAILED, INTERRUPTED = "running", "finished", "failed", "interrupted"


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


def write_state(run: RunDir, status: str, digest: str, **details: str) -> None:
    """Record the state of a run directory, all or nothing.

    Args:
        run: The run.
        status: See :class:`RunState`.
        digest: Digest of the settings.
        **details: Other fields of :class:`RunState`.
    """
    changed = datetime.now(UTC).isoformat(timespec="milliseconds")
    state = RunState(status, digest, changed, pid=os.getpid(), host=platform.node(), **redact(details))
    run.save_state(state)


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
    if computed and not has_record(run):
        return Decision(
            "refuse",
            reason=f"{run.root} holds {_listed(run)}, but neither run.json nor state.json, so these may not be "
            "closerlook's, and nothing of them is deleted. Choose another directory (hydra.run.dir=...)",
        )
    if config.overwrite:
        return Decision("start", reason="overwrite=true deletes what is there" if computed else "nothing there")
    state = run.state()
    if not computed:
        return Decision("start", reason="nothing there" if state is None else _ended(state))
    if state is None:
        return Decision(
            "refuse",
            reason=f"{run.root} holds {_listed(run)} of a run, but no state.json, which says how it ended (a partial "
            "copy?). Copy it whole, or delete what is there with overwrite=true",
        )
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
    """Whether there is something in the directory that took time to compute."""
    return any(folder.exists() for folder in (run.checkpoints, run.snapshots, run.results))


def has_record(run: RunDir) -> bool:
    """Whether the directory says of itself that a run of closerlook was written into it."""
    return run.state_file.is_file() or run.info_file.is_file()


def _listed(run: RunDir) -> str:
    """What of a run is there, for people."""
    found = [
        f"{name}/ ({len(list((run.root / name).iterdir()))} entries)" for name in _OWN if (run.root / name).is_dir()
    ]
    return ", ".join(found)


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
    try:
        with locked(run.lock_file, wait=False):
            yield
    except HeldError:
        state = run.state()
        who = f"process {state.pid} on {state.host}" if state else "another process"
        raise RunError(
            f"{who} is at work in {run.root}: two cannot write into one run. Wait for it, or end it first"
        ) from None


def discard_temporaries(run: RunDir) -> None:
    """Delete the half-written files of a killed process; no reader ever took them for whole."""
    for folder in (run.root, run.checkpoints, run.results, run.snapshots):
        for path in folder.glob(".*.tmp"):
            path.unlink(missing_ok=True)
    if (run.root / MODEL_WRITING).is_dir():
        shutil.rmtree(run.root / MODEL_WRITING)


_OWN = {
    "checkpoints": ("*.ckpt", ".*.tmp"),
    "snapshots": ("step-*", ".writing-*", "examples", ".*.tmp"),
    "results": ("cells.jsonl", "results.parquet", "arrays", "made.json", ".lock*", ".*.tmp"),
    "model": ("*.json", "*.safetensors", "README.md", "1_Pooling", "tokenizer*", "vocab*", "merges*", "*.jinja"),
    "wandb": ("run-*", "offline-run-*", "latest-run", "debug*.log", "data", "cache", "artifacts", "settings"),
}
"""What closerlook and W&B write into the folders of a run; whatever else is there is the user's."""


def clear(run: RunDir) -> None:
    """Delete what a run wrote, as its ``run.json`` or ``state.json`` says that it did; other files stay.

    A link is taken away, never what it points to. The state goes first and the description last: a run that is killed
    while it is deleted is not taken for a finished one, and can still be known for what it is.
    """
    run.state_file.unlink(missing_ok=True)
    for task in run.cross_folder.glob("*/cross.json"):
        _clear_folders(task.parent)
        _remove(task.parent)
    if run.random_encoder.root.is_dir():
        _clear_folders(run.random_encoder.root)
        _remove(run.random_encoder.root)
    _clear_folders(run.root)
    for file in (run.report_file, run.space_file, run.history_file, run.checksums_file, run.config_file, run.info_file):
        file.unlink(missing_ok=True)


def _clear_folders(root: Path) -> None:
    if root.is_symlink() or root.parent.is_symlink():
        return
    for name, patterns in _OWN.items():
        folder = root / name
        if folder.is_symlink():
            log.warning("%s is a link: it is taken away, and %s is left as it is", folder, folder.readlink())
            folder.unlink()
            continue
        for path in {path for pattern in patterns for path in folder.glob(pattern)}:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder if it is empty."""
    with suppress(OSError):
        folder.rmdir()


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
