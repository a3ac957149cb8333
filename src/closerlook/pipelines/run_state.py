"""What state a run directory is in, and whether the same command may go on in it."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from closerlook.callbacks.checkpoint import CHECKPOINTS_FOLDER, LAST_FILE
from closerlook.config import identity
from closerlook.results.files import write_json
from closerlook.results.run import (
    CONFIG_FILE,
    HISTORY_FILE,
    REPORT_FILE,
    RESULTS_FOLDER,
    RUN_FILE,
    SNAPSHOTS_FOLDER,
    RunError,
    load_config,
)

STATE_FILE = "state.json"
RUNNING, FINISHED, FAILED = "running", "finished", "failed"
_OUTPUTS = (
    CHECKPOINTS_FOLDER,
    SNAPSHOTS_FOLDER,
    RESULTS_FOLDER,
    RUN_FILE,
    CONFIG_FILE,
    HISTORY_FILE,
    REPORT_FILE,
    STATE_FILE,
    "wandb",
)


@dataclass(frozen=True)
class RunState:
    """What a run directory says of itself.

    Attributes:
        status: ``running``, ``finished`` or ``failed``; a killed process leaves ``running`` behind.
        identity: Digest of the settings that decide what is computed.
        changed: When it was written, ISO 8601.
        error: Why it failed.
    """

    status: str
    identity: str
    changed: str
    error: str = ""


@dataclass(frozen=True)
class Decision:
    """What to do in a run directory.

    Attributes:
        action: ``start``, ``resume`` or ``skip``.
        checkpoint: Where to resume from.
    """

    action: str
    checkpoint: Path | None = None


def identity_digest(config: dict[str, Any]) -> str:
    """Digest of the settings that decide what a run computes."""
    content = json.dumps(identity(config), sort_keys=True, default=str)
    return hashlib.sha256(content.encode("utf-8")).hexdigest()[:16]


def read_state(run_dir: Path) -> RunState | None:
    """The state of a run directory; None when no run has started there."""
    path = run_dir / STATE_FILE
    if not path.exists():
        return None
    return RunState(**json.loads(path.read_text(encoding="utf-8")))


def write_state(run_dir: Path, status: str, digest: str, error: str = "") -> None:
    """Record the state of a run directory, all or nothing."""
    write_json(run_dir / STATE_FILE, asdict(RunState(status, digest, datetime.now(UTC).isoformat(), error)))


def decide(run_dir: Path, config: dict[str, Any], *, overwrite: bool, ckpt_path: str | None) -> Decision:
    """Start, resume or skip.

    Args:
        run_dir: The run's directory.
        config: The resolved configuration.
        overwrite: Delete what an earlier run left.
        ckpt_path: A checkpoint the user asks for; ``last`` is the directory's own.

    Raises:
        RunError: The directory holds another configuration, or the checkpoint does not exist.
    """
    last = run_dir / CHECKPOINTS_FOLDER / LAST_FILE
    if ckpt_path is not None:
        checkpoint = last if ckpt_path == "last" else Path(ckpt_path)
        if not checkpoint.is_file():
            raise RunError(f"ckpt_path={ckpt_path}: no such file {checkpoint}. Leave it null to start anew")
        return Decision("resume", checkpoint)
    state = read_state(run_dir)
    computed = any((run_dir / name).exists() for name in (CHECKPOINTS_FOLDER, SNAPSHOTS_FOLDER))
    if overwrite or state is None or not computed:
        clear(run_dir)
        return Decision("start")
    if state.identity != identity_digest(config):
        raise RunError(
            f"{run_dir} holds a run with other settings: {_differences(run_dir, config)}. "
            "Choose another seed or paths.runs_dir, or delete its results with overwrite=true"
        )
    if state.status == FINISHED:
        return Decision("skip")
    if last.is_file():
        return Decision("resume", last)
    clear(run_dir)  # interrupted before its first checkpoint: nothing to resume from
    return Decision("start")


def clear(run_dir: Path) -> None:
    """Delete what a run wrote; files that are not closerlook's stay."""
    for name in _OUTPUTS:
        path = run_dir / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _differences(run_dir: Path, config: dict[str, Any]) -> str:
    before, now = _flat(identity(load_config(run_dir))), _flat(identity(config))
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
