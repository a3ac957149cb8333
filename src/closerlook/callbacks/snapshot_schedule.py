"""At which moments of a Lightning training the space is looked at; what that is, subclasses say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from closerlook.representations.format import SnapshotError

Listener = Callable[[pl.Trainer, pl.LightningModule, int], None]
"""Called on the first process with ``(trainer, module, step)`` once a snapshot is complete."""


class SnapshotSchedule(pl.Callback):
    """Takes snapshots at epoch ends, every so many updates, and when training ends.

    Args:
        root: The run's snapshots folder.
        every_n_updates: Also take one every so many optimizer updates; None = at epoch ends only.
        every_n_epochs: Take one at the end of every so many epochs; the last epoch always.

    Attributes:
        listeners: Who hears of complete snapshots.
    """

    def __init__(self, root: Path, every_n_updates: int | None = None, every_n_epochs: int = 1) -> None:
        check_schedule(every_n_updates, every_n_epochs)
        self.root = Path(root)
        self.every_n_updates, self.every_n_epochs = every_n_updates, every_n_epochs
        self.listeners: list[Listener] = []

    def take(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take a snapshot of this moment, unless it is there; on all processes."""
        raise NotImplementedError

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """The space every so many updates."""
        if self.every_n_updates is not None and trainer.global_step % self.every_n_updates == 0:
            self.take(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The space at the end of an epoch; of the last one before its checkpoint, however training ends."""
        done = trainer.current_epoch + 1
        last = done == trainer.max_epochs or trainer.should_stop or trainer.global_step == trainer.max_steps
        if done % self.every_n_epochs == 0 or last:
            self.take(trainer, pl_module)

    def tell(self, trainer: pl.Trainer, pl_module: pl.LightningModule, step: int) -> None:
        """Tell the listeners of a complete snapshot."""
        if trainer.is_global_zero:
            for listener in self.listeners:
                listener(trainer, pl_module, step)


def check_schedule(every_n_updates: int | None, every_n_epochs: int) -> None:
    """Refuse intervals that are none.

    Raises:
        SnapshotError: One is not positive.
    """
    if every_n_updates is not None and every_n_updates < 1:
        raise SnapshotError(f"snapshot.every_n_updates must be 1 or more, got {every_n_updates}")
    if every_n_epochs < 1:
        raise SnapshotError(f"snapshot.every_n_epochs must be 1 or more, got {every_n_epochs}")
