"""Stop at a good moment: SIGTERM (a cluster takes the machine back) and Ctrl-C wait for the end of the update."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Any

import pytorch_lightning as pl
import torch

from closerlook.interruption import SIGNALS, Interrupted
from closerlook.private_interfaces import ask_to_stop

log = logging.getLogger(__name__)


class GracefulStop(pl.Callback):
    """Lets Lightning stop between two updates, where a checkpoint can be taken that resumes bit for bit.

    Lightning's own handler leaves validation and accumulated gradients half done, obeys Ctrl-C in the middle of an
    update, and with several processes exchanges messages inside the handler, which hangs when the others are at
    another place. Here the handler only notes the signal. At the end of every update, of validation and of an epoch
    all processes ask each other whether one of them was asked to stop, and stop together. A second Ctrl-C stops at
    once, and so does any signal before the first update, when there is nothing to save.

    It must be the first callback: the snapshot before training may take long.

    Attributes:
        signum: The signal that asked to stop; None when none has come.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._updating = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signals over from Lightning, which puts back those from before it when it ends."""
        self._updating = False
        if threading.current_thread() is threading.main_thread():
            for signum in SIGNALS:
                signal.signal(signum, self._asked)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """From here on there is something to save."""
        self._updating = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop after an update; after the last one of an epoch, its validation comes first."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0 and not trainer.is_last_batch:
            self._stop_together(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """What came during validation may be obeyed now."""
        if trainer.is_last_batch:
            self._stop_together(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop after the snapshot and the checkpoint of the epoch."""
        self._stop_together(trainer)

    def _asked(self, signum: int, frame: Any) -> None:
        if not self._updating:
            raise Interrupted(signum)
        if self.signum == signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.signum = signum
        name = signal.Signals(signum).name
        log.warning("%s: stopping after this update and saving; the same command goes on from there", name)

    def _stop_together(self, trainer: pl.Trainer) -> None:
        if trainer.world_size > 1:
            asked = torch.tensor(self.signum or 0, device=trainer.strategy.root_device)
            torch.distributed.all_reduce(asked, op=torch.distributed.ReduceOp.MAX)
            self.signum = int(asked) or None
        if self.signum is not None:
            ask_to_stop(trainer)
