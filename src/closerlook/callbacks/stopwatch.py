"""How long updates take."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch

if TYPE_CHECKING:
    from closerlook.data.batching import Batch


class Stopwatch(pl.Callback):
    """Times updates from the second on (the first one warms up) and stops training when it has seen enough.

    Args:
        limit_s: Stop after so many seconds; at least two updates are timed.
        n_batches: Stop after so many batches, or at the end of the first epoch.

    Attributes:
        seconds: Seconds of the updates timed, loading of batches included.
        subwords: Their subwords, padding included.
    """

    def __init__(self, limit_s: float, n_batches: int) -> None:
        self.limit_s, self.n_batches = limit_s, n_batches
        self.seconds, self.subwords = 0.0, 0
        self._ended = 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Count an update."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        if batch_idx > 0 or 1 in (trainer.num_training_batches, trainer.max_steps):
            self.seconds += now - self._ended if batch_idx else 1e-9
            self.subwords += batch.input_ids.numel()
        self._ended = now
        done = batch_idx + 1
        if (self.seconds > self.limit_s and done > 2) or done >= min(self.n_batches, trainer.num_training_batches):
            trainer.should_stop = True
