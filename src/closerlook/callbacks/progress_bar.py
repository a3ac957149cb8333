"""Lightning's progress bar, counting epochs from 1."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar

_SHOWN = {"train/loss": "loss", "val/accuracy": "val/accuracy"}


class TrainingProgressBar(RichProgressBar):
    """Says ``Epoch 3/3`` in the third epoch of three, and shows two metrics."""

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Loss and accuracy: more would not fit beside the bar."""
        found = super().get_metrics(trainer, pl_module)
        return {shown: found[name] for name, shown in _SHOWN.items() if name in found}

    def _get_train_description(self, current_epoch: int) -> str:
        total = self.trainer.max_epochs
        description = f"Epoch {current_epoch + 1}" + (f"/{total}" if total is not None and total > 0 else "")
        return f"{description:{len(self.validation_description)}}"  # as wide as the bar of validation: no flickering
