"""Snapshots in any LightningModule's training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy

from closerlook.callbacks.planned_length import updates_per_epoch
from closerlook.callbacks.snapshot_schedule import SnapshotSchedule
from closerlook.data.given_texts import Given
from closerlook.models.snapshot_options import Plan, SnapshotOptions
from closerlook.models.snapshot_run import FINISHED, RUNNING, SnapshotRun
from closerlook.models.stored_space import Process
from closerlook.representations.format import SnapshotError


class SnapshotCallback(SnapshotSchedule):
    """Store the space of any LightningModule's encoder while it trains: before it, at epoch ends, at its end.

    ::

        run = SnapshotCallback("runs/mine", tokenizer, texts, labels, encoder="model.bert", every_n_updates=50)
        pl.Trainer(callbacks=[run]).fit(module, loader)

    and then ``python probe.py run_dir=runs/mine``. The encoder runs in evaluation mode, without gradients, on batches
    of its own; training modes and random numbers are put back, so that the training ends bit for bit where it ends
    without the callback. A killed training leaves whole snapshots only. With several processes (DDP) each stores a
    part of the examples; strategies that spread the weights are refused.

    Args:
        path: The run's directory.
        tokenizer: The encoder's fast tokenizer.
        texts: Texts, pairs of texts (tuples) or lists of words; in one sequence, or by split.
        labels: A label a text, or a list with one a word; split as ``texts``.
        every_n_updates: Also store one every so many optimizer updates; None = at epoch ends only.
        every_n_epochs: Store one at the end of every so many epochs; the last epoch always.
        before_training: Store the space before the first update (step 0).
        **options: What is stored, and where the encoder is: see :class:`SnapshotOptions`.

    Raises:
        DataError: Texts and labels do not go together.
        SnapshotError: An interval is not positive.
    """

    def __init__(
        self,
        path: str | Path,
        tokenizer: Any,
        texts: Given,
        labels: Given,
        *,
        every_n_updates: int | None = None,
        every_n_epochs: int = 1,
        before_training: bool = True,
        **options: Any,
    ) -> None:
        given = SnapshotOptions(**options)
        self._run = SnapshotRun(path, tokenizer, texts, labels, given, "pytorch_lightning.Trainer")
        super().__init__(self._run.run.snapshots, every_n_updates, every_n_epochs)
        self.before_training = before_training
        self._last_step: int | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make room, and store the space before the first update.

        Raises:
            SnapshotError: The weights are spread over several devices.
            RunError: The directory holds snapshots of another training.
        """
        if type(trainer.strategy) not in (SingleDeviceStrategy, DDPStrategy):
            raise SnapshotError(
                f"snapshots need the whole encoder on every device: got {type(trainer.strategy).__name__}, expected "
                "one device or DDP. Use strategy='ddp', or store snapshots of saved checkpoints afterwards"
            )
        if trainer.is_global_zero:
            self._run.begin(trainer.global_step, resumed=trainer.global_step > 0)
            self._run.record(RUNNING)
        if self.before_training and trainer.global_step == 0:
            self.take(trainer, pl_module)

    def take(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The space now, unless it was just stored."""
        step = trainer.global_step
        if step == self._last_step:
            return
        per_epoch = updates_per_epoch(trainer)
        n_updates = int(trainer.estimated_stepping_batches)
        self._run.store(
            pl_module,
            step,
            epoch=step / per_epoch,
            plan=Plan(n_updates, -(-n_updates // per_epoch), per_epoch),
            process=Process(trainer.global_rank, trainer.world_size, trainer.strategy.barrier),
        )
        self._last_step = step
        self.tell(trainer, pl_module, step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The last space, if it is not there."""
        self.take(trainer, pl_module)
        if trainer.is_global_zero:
            self._run.record(FINISHED)
