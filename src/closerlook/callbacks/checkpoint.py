"""Checkpoints: the best and the last one."""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint

LAST_FILE = "last.ckpt"
CHECKPOINTS_FOLDER = "checkpoints"


class RunCheckpoint(ModelCheckpoint):
    """Keep ``last.ckpt``, and ``best.ckpt`` by validation accuracy when there is a validation split.

    Without one, nothing may choose the best (choosing by test accuracy would leak), so only the last is
    kept. Both are written at the end of an epoch, after its snapshot: resuming from a checkpoint never
    misses a snapshot. The folder is ``checkpoints`` below the trainer's root.

    Args:
        monitor: Metric that chooses the best.
        mode: ``max`` or ``min``.
    """

    def __init__(self, monitor: str = "val/accuracy", mode: str = "max") -> None:
        super().__init__(
            filename="best",
            monitor=monitor,
            mode=mode,
            save_top_k=1,
            save_last=True,
            save_on_train_epoch_end=True,
            auto_insert_metric_name=False,
            enable_version_counter=False,
        )

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Put the files below the run directory; drop the best when nothing is validated."""
        self.dirpath = f"{trainer.default_root_dir}/{CHECKPOINTS_FOLDER}"
        if "validation" not in trainer.datamodule.splits:  # type: ignore[attr-defined]
            self.monitor, self.save_top_k = None, 0
        super().setup(trainer, pl_module, stage)
