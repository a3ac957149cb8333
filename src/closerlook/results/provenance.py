"""What a run was made with: versions, commit, time."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = (
    "closerlook",
    "torch",
    "pytorch-lightning",
    "transformers",
    "peft",
    "tokenizers",
    "datasets",
    "torchmetrics",
    "numpy",
    "scipy",
    "scikit-learn",
    "numba",
    "wandb",
    "hydra-core",
)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on; packages that are missing are left out."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def git_commit() -> str:
    """Commit of the checkout that closerlook runs from, ``-dirty`` when files changed; empty outside a checkout."""
    here = Path(__file__).resolve().parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603 - fixed
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def now() -> str:
    """The time, ISO 8601 with zone, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
