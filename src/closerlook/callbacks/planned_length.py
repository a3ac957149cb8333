"""How long training is going to be, as the trainer knows it: the one source of every axis in epochs."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytorch_lightning as pl


class PlannedLength(pl.Callback):
    """Reports the trainer's own estimate when training starts, on the first process.

    Only then batches are shared out over processes, and ``max_steps``, ``limit_train_batches`` and accumulation are
    taken into account.

    Args:
        report: Called with the updates planned and the updates of a whole epoch.
    """

    def __init__(self, report: Callable[[int, int], None]) -> None:
        self.report = report

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report."""
        if trainer.is_global_zero:
            self.report(int(trainer.estimated_stepping_batches), updates_per_epoch(trainer))


def updates_per_epoch(trainer: pl.Trainer) -> int:
    """Updates of the optimizer in a whole epoch of the training that runs, as the trainer counts its batches."""
    return max(1, math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches))
