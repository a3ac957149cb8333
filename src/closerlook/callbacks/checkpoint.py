"""Checkpoints: the best and the last one, written whole or not at all, with the state of all random numbers."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.utilities.exceptions import SIGTERMException

from closerlook.callbacks.history_logger import HistoryLogger
from closerlook.files import replacing
from closerlook.private_interfaces import save_checkpoints
from closerlook.results.run_dir import RunDir

RANDOM_STATE_KEY = "closerlook_random_states"
LOADER_STATE_KEY = "closerlook_train_loader"


class RunCheckpoint(ModelCheckpoint):
    """Keep ``last.ckpt``, and ``best.ckpt`` by validation accuracy when there is a validation split.

    Without one, nothing may choose the best (choosing by test accuracy would leak), so only the last is
    kept. Both are written at the end of an epoch, after its snapshot: resuming from a checkpoint never
    misses a snapshot. When training is asked to stop (SIGTERM, Ctrl-C), the last one is written after the
    current update. The folder is ``checkpoints`` below the trainer's root.

    Lightning's checkpoints leave out the random number generators, which decide dropout; these have them, for
    every process, so that a resumed run ends bit for bit where an uninterrupted one does.

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
        self._random_states: list[dict[str, Any]] | None = None
        self._loader_state: dict[str, int] | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Put the files below the run directory; drop the best when nothing is validated."""
        self.dirpath = str(RunDir(Path(trainer.default_root_dir)).checkpoints)
        if "validation" not in trainer.datamodule.splits:  # type: ignore[attr-defined]
            self.monitor, self.save_top_k = None, 0
        super().setup(trainer, pl_module, stage)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on with the random numbers and in the epoch where the checkpoint left them.

        Lightning restores its loaders' state itself, but not when the length of the training was asked for
        before (``estimated_stepping_batches``, which the learning-rate schedule needs): an epoch that was broken
        off would start again from its first batch.
        """
        super().on_train_start(trainer, pl_module)
        if self._loader_state is not None:
            trainer.train_dataloader.load_state_dict(self._loader_state)  # type: ignore[union-attr]
            self._loader_state = None
        if self._random_states is not None:
            if len(self._random_states) == trainer.world_size:
                set_random_state(self._random_states[trainer.global_rank])
            self._random_states = None

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the best one when it is, and the last one in every epoch."""
        save_checkpoints(self, trainer, best=True)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Save the last one when training was asked to stop: that happens between two updates only."""
        if isinstance(exception, SIGTERMException):
            save_checkpoints(self, trainer, best=False)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the random states and the place in the epoch; write the metrics up to here, so that none is missing."""
        checkpoint[RANDOM_STATE_KEY] = _gather(random_state(), trainer.world_size)
        checkpoint[LOADER_STATE_KEY] = trainer.train_dataloader.state_dict()  # type: ignore[union-attr]
        for logger in trainer.loggers:
            if isinstance(logger, HistoryLogger):
                logger.flush()

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Remember both until training starts."""
        self._random_states = checkpoint.get(RANDOM_STATE_KEY)
        self._loader_state = checkpoint.get(LOADER_STATE_KEY)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place, flushes it to disk, and renames it.

    Lightning's own writes to the system's temporary folder and moves the file, which copies when that is on
    another disk: a process killed there leaves half a checkpoint.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint, all or nothing.

        Raises:
            OSError: The disk is full, or the folder cannot be written.
        """
        with replacing(Path(path)) as temporary:
            _save(checkpoint, temporary)


def _save(checkpoint: dict[str, Any], path: Path) -> None:
    with path.open("wb") as handle:
        try:
            torch.save(checkpoint, handle)
        except RuntimeError as error:  # torch hides what the disk said behind an error of its own
            cause = error.__context__ or error.__cause__
            if isinstance(cause, OSError):
                raise cause from None
            raise


def random_state() -> dict[str, Any]:
    """The state of every random number generator of this process, as tensors and plain numbers."""
    _, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002 - libraries draw from the global one
    version, words, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() and torch.cuda.is_initialized() else None,
        "numpy": [torch.from_numpy(np.asarray(keys).astype(np.int64)), int(position), int(has_gauss), float(cached)],
        "python": [version, list(words), gauss],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Put every random number generator of this process into a state from :func:`random_state`."""
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())
    keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state(("MT19937", keys.cpu().numpy().astype(np.uint32), position, has_gauss, cached))  # noqa: NPY002
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))


def _gather(state: dict[str, Any], n_processes: int) -> list[dict[str, Any]]:
    if n_processes == 1:
        return [state]
    states: list[Any] = [None] * n_processes
    torch.distributed.all_gather_object(states, state)
    return states
