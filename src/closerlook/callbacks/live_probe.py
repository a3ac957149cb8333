"""Probe the space while it is tuned: label distances of one layer at every snapshot."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytorch_lightning as pl

from closerlook.callbacks.snapshot import SnapshotCallback
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
    again, and to ``sinks``. A probe that fails is logged; training goes on.

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
        self.sinks: list[Sink] = []
        self._store: ResultStore | None = None
        self._snapshots: Path | None = None

    def attach(self, results_folder: Path) -> None:
        """Say where finished cells are kept; called by the pipeline before training."""
        self._store = ResultStore(results_folder)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Listen to the snapshot callback.

        Raises:
            ValueError: Nothing is stored, so there is nothing to probe.
        """
        if stage != "fit":
            return
        found = [c for c in trainer.callbacks if isinstance(c, SnapshotCallback)]  # type: ignore[attr-defined]
        if not found:
            raise ValueError("callbacks=probe needs snapshots: got snapshot.enabled=false, set it to true")
        self._snapshots = found[0].root
        if self._on_snapshot not in found[0].listeners:
            found[0].listeners.append(self._on_snapshot)

    def _on_snapshot(self, trainer: pl.Trainer, pl_module: pl.LightningModule, step: int) -> None:
        if self._store is None or self._snapshots is None:
            raise RuntimeError("LiveProbeCallback.attach was not called")
        reader = SnapshotReader(self._snapshots)
        scope = Scope((step,), (reader.layers[-1],), self.splits)
        if self.max_classes is not None and len(set(reader.labels(self.splits[0]))) > self.max_classes:
            return
        outcome = run_probes(reader, plan_cells(reader, [self.probe], scope), self._store, n_jobs=1)
        for failed in outcome.failed:
            log.warning("live probe of step %d failed: %s", step, failed.error)
        table = self._store.table(outcome.wanted)
        for sink in self.sinks:
            sink(table[table["step"] == step])
