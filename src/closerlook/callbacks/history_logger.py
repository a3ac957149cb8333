"""Every logged metric in one plain file, whatever else is logged to: the run's own record."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any

import pandas as pd
from pytorch_lightning.loggers.logger import Logger, rank_zero_experiment
from pytorch_lightning.utilities import rank_zero_only

from closerlook.files import replacing
from closerlook.results.run_dir import RunDir

_FLUSH_S = 5.0


class HistoryLogger(Logger):
    """Writes ``metrics.csv``: columns ``step``, ``epoch`` and one per metric, a row per logged step.

    The file is replaced as a whole, so that a reader or a killed process never sees half of it.

    Args:
        run_dir: The run's directory.
        resume_step: Rows after this step were written by an interrupted run and will be logged again;
            they are dropped. None starts an empty record.
    """

    def __init__(self, run_dir: Path, resume_step: int | None = None) -> None:
        super().__init__()
        self._path = RunDir(Path(run_dir)).history_file
        self._rows: dict[int, dict[str, float]] = {}
        self._flushed = 0.0
        self._changed = False
        if resume_step is not None:
            self._keep(resume_step)

    def reload(self) -> None:
        """Read back what was written: forked training processes write the file, this one has seen nothing of it."""
        self._keep(None)

    def _keep(self, last_step: int | None) -> None:
        if not self._path.exists() or self._path.stat().st_size == 0:
            return
        # the last bit of every number counts: a resumed record equals that of an uninterrupted run
        with self._path.open(encoding="utf-8", newline="") as handle:
            records = list(csv.DictReader(handle))
        for record in records:
            row = {key: float(value) for key, value in record.items() if value}
            step = int(row.pop("step"))
            if last_step is None or step <= last_step:
                self._rows[step] = row

    @property
    def name(self) -> str:
        """Name of the logger."""
        return "history"

    @property
    def version(self) -> str:
        """One record per run directory."""
        return ""

    @property
    @rank_zero_experiment
    def experiment(self) -> HistoryLogger:
        """The logger itself."""
        return self

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Settings are in config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add metrics to a step's row."""
        self._rows.setdefault(int(step or 0), {}).update({key: float(value) for key, value in metrics.items()})
        self._changed = True

    @rank_zero_only
    def save(self) -> None:
        """Write the file, at most every few seconds."""
        if time.monotonic() - self._flushed > _FLUSH_S:
            self._write()

    @rank_zero_only
    def flush(self) -> None:
        """Write the file now: before a checkpoint, so that a run resumed from it finds every earlier row."""
        self._write()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what is left."""
        self._write()

    def _write(self) -> None:
        if not self._changed:  # forked training processes may have written more than this one knows of
            return
        frame = pd.DataFrame([{"step": step} | self._rows[step] for step in sorted(self._rows)])
        first = ["step", "epoch"] if "epoch" in frame else ["step"]
        frame = frame[first + sorted(str(column) for column in frame.columns if column not in first)]
        with replacing(self._path) as temporary:
            frame.to_csv(temporary, index=False)
        self._flushed, self._changed = time.monotonic(), False
