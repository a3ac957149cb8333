"""The one place that knows what a run directory holds and where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunDir:
    """A run directory: its paths. Nothing is read or made until it is asked for.

    ::

        config.yaml  run.json  state.json  metrics.csv  report.html  .lock
        checkpoints/last.ckpt  best.ckpt
        snapshots/             hidden states, see closerlook.representations
        results/               cells.jsonl, results.parquet
        cross/<task>/          run directories of other tasks in this run's encoder
        random_encoder/        the same examples in an untrained encoder
        wandb/

    Attributes:
        root: The directory.
    """

    root: Path

    @property
    def info_file(self) -> Path:
        """What the run is (:class:`closerlook.results.run.RunInfo`)."""
        return self.root / "run.json"

    @property
    def config_file(self) -> Path:
        """The resolved configuration."""
        return self.root / "config.yaml"

    @property
    def state_file(self) -> Path:
        """How the run stands or ended."""
        return self.root / "state.json"

    @property
    def lock_file(self) -> Path:
        """Held by the process that writes into the directory."""
        return self.root / ".lock"

    @property
    def history_file(self) -> Path:
        """Training metrics."""
        return self.root / "metrics.csv"

    @property
    def report_file(self) -> Path:
        """The HTML report."""
        return self.root / "report.html"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.root / "checkpoints"

    @property
    def last_checkpoint(self) -> Path:
        """The checkpoint that an interrupted run goes on from."""
        return self.checkpoints / "last.ckpt"

    @property
    def snapshots(self) -> Path:
        """Folder of the hidden states."""
        return self.root / "snapshots"

    @property
    def results(self) -> Path:
        """Folder of the finished cells and their table."""
        return self.root / "results"

    @property
    def random_encoder(self) -> Path:
        """Folder of the untrained encoder's hidden states."""
        return self.root / "random_encoder"

    def cross(self, task: str) -> RunDir:
        """The run directory of another task in this run's encoder."""
        return RunDir(self.root / "cross" / task)
