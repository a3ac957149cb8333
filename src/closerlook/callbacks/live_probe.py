"""Probe the space while it is tuned: label distances of one layer at every snapshot."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytorch_lightning as pl

from closerlook.callbacks.snapshot_schedule import SnapshotSchedule
from closerlook.probes.label_distances import DirectProbeAnalysis
from closerlook.probes.runner import plan_cells, run_probes
from closerlook.probes.space_probe import Scope
from closerlook.representations.reader import SnapshotReader
from closerlook.results.store import ResultStore

log = logging.getLogger(__name__)

Sink = Callable[[pd.DataFrame], None]
"""Receives the table of every live probe, e.g. to send them to a dashboard."""


class LiveProbeCallback(pl.Callback):
    """Run DirectProbe on the last stored layer at every snapshot, on the first process.

    Results go into the run's results folder as finished cells, so that probe.py does not compute them
    again, and to the dashboards. A probe that fails is logged; training goes on.

    Args:
        splits: Splits to look at.
        min_cluster_size: See :class:`DirectProbeAnalysis`; give probe.py the same to share the cells.
        max_clusters: The same.
        max_classes: Leave out spaces with more labels than this, to bound the time.
    """

    def __init__(
        self,
        splits: Sequence[str] = ("train",),
        min_cluster_size: int = 1,
        max_clusters: int | None = 500,
        max_classes: int | None = None,
    ) -> None:
        self.splits = tuple(splits)
        self.max_classes = max_classes
        self.probe = DirectProbeAnalysis(min_cluster_size, max_clusters)
        self._results: Path | None = None
        self._sink: Sink = lambda table: None

    def attach(self, results: Path, sink: Sink) -> None:
        """Say where finished cells are kept and who receives their table; called by the pipeline before training."""
        self._results, self._sink = results, sink

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Listen to the snapshot callback.

        Raises:
            ValueError: Nothing is stored, so there is nothing to probe.
        """
        if stage != "fit":
            return
        found = [c for c in trainer.callbacks if isinstance(c, SnapshotSchedule)]  # type: ignore[attr-defined]
        if not found:
            raise ValueError("callbacks=probe needs snapshots: got snapshot.enabled=false, set it to true")
        if self._on_snapshot not in found[0].listeners:
            found[0].listeners.append(self._on_snapshot)

    def _on_snapshot(self, trainer: pl.Trainer, pl_module: pl.LightningModule, step: int) -> None:
        snapshots = next(c for c in trainer.callbacks if isinstance(c, SnapshotSchedule)).root  # type: ignore[attr-defined]
        reader = SnapshotReader(snapshots)
        if self.max_classes is not None and len(set(reader.labels(self.splits[0]))) > self.max_classes:
            return
        store = ResultStore(self._results or snapshots.parent / "results")
        work = plan_cells(reader, [self.probe], Scope((step,), (reader.layers[-1],), self.splits))
        outcome = run_probes(reader, work, store, n_jobs=1)
        for failed in outcome.failed:
            log.warning("live probe of step %d failed: %s", step, failed.error)
        table = store.table(outcome.wanted)
        self._sink(table[table["step"] == step])
