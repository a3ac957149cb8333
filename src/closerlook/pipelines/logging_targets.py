"""Dashboards of a job: opened before it starts, closed on every way out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from closerlook.results.rows import ResultRow
from closerlook.results.run import RunInfo


def open_loggers(
    stack: ExitStack, settings: dict[str, Any], run_dir: Path, info: RunInfo, *, job_type: str
) -> list[Any]:
    """Open the configured loggers."""
    return []


def live_sink(loggers: list[Any]) -> Callable[[Sequence[ResultRow]], None]:
    """Send rows of live probes to every logger."""
    return lambda rows: None


def log_snapshots(loggers: list[Any], run_dir: Path) -> None:
    """Record the snapshot folder as an output of the run."""
