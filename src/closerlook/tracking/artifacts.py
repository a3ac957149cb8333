"""Snapshots as Weights & Biases artifacts: what a training made, and what a probing read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb

from closerlook.redaction import redact
from closerlook.results.run import RunInfo
from closerlook.tracking.wandb_run import harmless, is_online


def artifact_name(info: RunInfo) -> str:
    """Name of the artifact that stands for a run's snapshots; W&B allows letters, digits, ``-``, ``_`` and ``.``."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", f"snapshots-{info.title}")[:128]


@harmless
def log_snapshots_artifact(run: wandb.Run, snapshots_dir: Path, *, name: str, metadata: Mapping[str, Any]) -> None:
    """Declare the snapshots as an output of the run: an artifact that refers to the files and copies nothing.

    Args:
        run: An open run.
        snapshots_dir: The folder of the snapshots.
        name: See :func:`artifact_name`.
        metadata: What to keep beside it, e.g. digests.
    """
    artifact = wandb.Artifact(name, type="hidden-states", metadata=redact(dict(metadata)))
    artifact.add_reference(Path(snapshots_dir).resolve().as_uri())
    run.log_artifact(artifact)


@harmless
def declare_input(run: wandb.Run, *, name: str, digests: Mapping[str, str], path: str | None = None) -> None:
    """Declare what a run read: by digest in its configuration, and as an artifact where there is a server.

    Args:
        run: An open run.
        name: The artifact's name, see :func:`artifact_name`.
        digests: Digests of what was read, by name.
        path: ``entity/project`` of the run that made it; None takes this run's.
    """
    run.config.update({"inputs": {name: dict(digests)}}, allow_val_change=True)
    if is_online(run):  # offline, use_artifact raises: there is no server to ask
        run.use_artifact(f"{path or f'{run.entity}/{run.project}'}/{name}:latest")
