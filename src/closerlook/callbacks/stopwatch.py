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

    Attributes:
        seconds: Seconds of the updates timed, loading of batches included.
        subwords: Their subwords, padding included.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.seconds, self.subwords = 0.0, 0
        self._ended = 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Count an update."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        if batch_idx > 0 or trainer.num_training_batches == 1:
            self.seconds += now - self._ended if batch_idx else 1e-9
            self.subwords += batch.input_ids.numel()
        self._ended = now
        if self.seconds > self.limit_s and batch_idx >= 2:
            trainer.should_stop = True
