"""Store the space while it is tuned: a fixed set of examples, in a fixed order, at chosen moments."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy
from pytorch_lightning.utilities.seed import isolate_rng

from closerlook.callbacks.planned_length import updates_per_epoch
from closerlook.callbacks.snapshot_schedule import SnapshotSchedule
from closerlook.models.encoder import PooledEncoder
from closerlook.models.encoder_settings import SnapshotSettings
from closerlook.models.stored_space import (
    Moment,
    Process,
    choose_examples,
    choose_layers,
    evaluating,
    store_examples,
    store_space,
)
from closerlook.models.tuned_weights import PREFIX
from closerlook.representations.format import MANIFEST_FILE, SnapshotError, TunedHead, step_folder
from closerlook.representations.writer import discard_unfinished

if TYPE_CHECKING:
    from closerlook.data.datamodule import CorpusDataModule

log = logging.getLogger(__name__)


class RunSnapshots(SnapshotSchedule):
    """Store hidden states of before training, at epoch ends, every so many updates, and when training ends.

    Training does not wait for the first snapshot: the weights of before training are kept, and looked at together
    with the next snapshot, at the latest at the end of the first epoch. A run that is stopped before then takes it
    when it goes on, from the weights that were loaded anew. Where the weights are spread over several devices, it is
    taken before the first update.

    The encoder runs in evaluation mode, in float32, without gradients, on its own batches; training mode
    and the state of every random number generator are put back, so the tuned weights are bit for bit
    those of a run without the callback.

    With several processes each one stores its share of the examples as a part of its own.

    Args:
        root: The run's snapshots folder.
        settings: What to store, and when.
        default_batch_size: Texts per forward pass when ``settings.batch_size`` is None.
    """

    def __init__(self, root: Path, settings: SnapshotSettings, *, default_batch_size: int = 64) -> None:
        if settings.dtype not in ("float32", "float16"):
            raise SnapshotError(f"snapshot.dtype must be float32 or float16, got {settings.dtype!r}")
        super().__init__(root, settings.every_n_updates, settings.every_n_epochs)
        self.settings = settings
        self.batch_size = settings.batch_size or default_batch_size
        self.seconds = 0.0
        self._chosen: dict[str, np.ndarray] = {}
        self._layers: tuple[int, ...] = ()
        self._last_step: int | None = None
        self._untuned: dict[str, torch.Tensor] | None = None
        self._owed = False

    @property
    def state_key(self) -> str:
        """Where checkpoints hold its state, those of earlier versions too."""
        return "SnapshotCallback"

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Keep the weights of before training; a checkpoint is loaded after this."""
        whole = type(trainer.strategy) in (SingleDeviceStrategy, DDPStrategy)
        if stage == "fit" and self.settings.before_training and whole and not is_complete(self.root, 0):
            self._untuned = _copy(pl_module, "cpu")

    def state_dict(self) -> dict[str, bool]:
        """Whether the snapshot of before training is still to be taken."""
        return {"owed": self._untuned is not None}

    def load_state_dict(self, state_dict: dict[str, bool]) -> None:
        """What :meth:`state_dict` gave when the run was stopped."""
        self._owed = state_dict["owed"]

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Choose the examples, record them, and clear what an interrupted run left behind."""
        encoder: PooledEncoder = pl_module.encoder  # type: ignore[assignment]
        self._layers = choose_layers(self.settings.layers, encoder.n_layers)  # an error before anything is trained
        data: CorpusDataModule = trainer.datamodule  # type: ignore[attr-defined]
        self._chosen = choose_examples(data, self.settings.splits, self.settings.max_examples)
        if trainer.is_global_zero:
            store_examples(self.root, data, self._chosen)
            if removed := discard_unfinished(self.root):
                log.warning("removed %d unfinished snapshot(s) of an interrupted run", len(removed))
        trainer.strategy.barrier("closerlook-snapshots-ready")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The space before the first update, when it cannot be looked at later."""
        if trainer.global_step > 0 and not self._owed:  # a checkpoint of another directory: nothing is known of before
            self._untuned = None
        if self.settings.before_training and trainer.global_step == 0 and self._untuned is None:
            self.take(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The space at the end of an epoch; that of before training at the latest now."""
        self._take_untuned(trainer, pl_module)
        super().on_train_epoch_end(trainer, pl_module)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The last space, if it is not there, whatever ended training; with no epochs that is the untuned one."""
        if not is_complete(self.root, trainer.global_step):
            self.take(trainer, pl_module)

    def take(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The space now, if it is not there, and that of before training, if it is still to be taken."""
        self._take_untuned(trainer, pl_module)
        if trainer.global_step != self._last_step:
            self._store(trainer, pl_module, trainer.global_step)

    def _take_untuned(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The space before the first update, if it is still to be taken."""
        if self._untuned is None:
            return
        encoder: PooledEncoder = pl_module.encoder  # type: ignore[assignment]
        tuned = _copy(pl_module)
        encoder.load_state_dict(self._untuned, strict=False)
        try:
            self._store(trainer, pl_module, 0)
        finally:
            encoder.load_state_dict(tuned, strict=False)
        self._untuned = None

    def _store(self, trainer: pl.Trainer, pl_module: pl.LightningModule, step: int) -> None:
        start = time.perf_counter()
        with isolate_rng(), evaluating(pl_module):
            store_space(
                self.root,
                Moment(step, round(step / updates_per_epoch(trainer), 6)),
                pl_module.encoder,  # type: ignore[arg-type]
                trainer.datamodule,  # type: ignore[attr-defined]
                self._chosen,
                layers=self._layers,
                dtype=self.settings.dtype,
                batch_size=self.batch_size,
                process=Process(trainer.global_rank, trainer.world_size, trainer.strategy.barrier),
                head=tuned_head(trainer, pl_module) if step else None,
            )
        self._last_step = step
        self.seconds += time.perf_counter() - start
        self.tell(trainer, pl_module, step)


def _copy(module: Any, device: str | None = None) -> dict[str, torch.Tensor]:
    """The encoder's weights that training changes, as they are now, on a device; None = where they are.

    Of an adapter that is the adapter alone: before training it adds nothing to the encoder.
    """
    return {
        name: value.detach().to(device or value.device, copy=True)
        for name, value in module.encoder.state_dict().items()
        if PREFIX + name not in module.not_in_checkpoints
    }


def tuned_head(trainer: pl.Trainer, module: Any) -> TunedHead | None:
    """The head as it is now; None where it is spread over several devices, or reads other vectors than are stored.

    Step 0 has none: the head is tuned already when that snapshot is taken late.
    """
    encoder = module.encoder
    reads_other = encoder.facts.final_norm and not encoder.final_norm
    if reads_other or type(trainer.strategy) not in (SingleDeviceStrategy, DDPStrategy):
        return None
    weights, bias = (value.detach().float().cpu().numpy() for value in (module.head.weight, module.head.bias))
    classes = np.array(trainer.datamodule.corpus.label_names)  # type: ignore[attr-defined]
    return TunedHead(encoder.n_layers, classes, weights, bias)


def is_complete(root: Path, step: int) -> bool:
    """Whether a complete snapshot of a step is on disk."""
    return (root / step_folder(step) / MANIFEST_FILE).is_file()
