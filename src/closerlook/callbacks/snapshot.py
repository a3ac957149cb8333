"""Store the space while it is tuned: a fixed set of examples, in a fixed order, at chosen moments."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy
from pytorch_lightning.utilities.seed import isolate_rng

from closerlook.models.encoder import PooledEncoder
from closerlook.models.encoder_settings import SnapshotSettings
from closerlook.representations.format import MANIFEST_FILE, SnapshotError, TunedHead, step_folder
from closerlook.representations.writer import SnapshotWriter, discard_unfinished, publish, write_examples

if TYPE_CHECKING:
    from closerlook.data.batching import Batch, ExampleTable
    from closerlook.data.datamodule import CorpusDataModule

log = logging.getLogger(__name__)

Listener = Callable[[pl.Trainer, pl.LightningModule, int], None]
"""Called on the first process with ``(trainer, module, step)`` once a snapshot is complete."""


@dataclass(frozen=True)
class _Split:
    """The examples of a split that are stored.

    Attributes:
        positions: Their positions among all examples of the split, ascending.
    """

    positions: np.ndarray

    @property
    def n(self) -> int:
        """How many."""
        return len(self.positions)


class SnapshotCallback(pl.Callback):
    """Store hidden states of before training, at epoch ends, and every so many updates.

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
        if settings.every_n_updates is not None and settings.every_n_updates < 1:
            raise SnapshotError(f"snapshot.every_n_updates must be 1 or more, got {settings.every_n_updates}")
        if settings.every_n_epochs < 1:
            raise SnapshotError(f"snapshot.every_n_epochs must be 1 or more, got {settings.every_n_epochs}")
        self.root = Path(root)
        self.settings = settings
        self.batch_size = settings.batch_size or default_batch_size
        self.listeners: list[Listener] = []
        self.seconds = 0.0
        self._splits: dict[str, _Split] = {}
        self._last_step = -1
        self._untuned: dict[str, torch.Tensor] | None = None
        self._owed = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Keep the weights of before training; a checkpoint is loaded after this."""
        whole = type(trainer.strategy) in (SingleDeviceStrategy, DDPStrategy)
        if stage == "fit" and self.settings.before_training and whole and not is_complete(self.root, 0):
            self._untuned = _copy(pl_module.encoder, "cpu")

    def state_dict(self) -> dict[str, bool]:
        """Whether the snapshot of before training is still to be taken."""
        return {"owed": self._untuned is not None}

    def load_state_dict(self, state_dict: dict[str, bool]) -> None:
        """What :meth:`state_dict` gave when the run was stopped."""
        self._owed = state_dict["owed"]

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Choose the examples, record them, and clear what an interrupted run left behind."""
        self._layers(pl_module.encoder)  # a wrong layer is an error before anything is trained
        data: CorpusDataModule = trainer.datamodule  # type: ignore[attr-defined]
        for split in self.settings.splits or ["train", "test"]:
            positions = data.stratified_subset(split, self.settings.max_examples)
            self._splits[split] = _Split(positions)
            if trainer.is_global_zero:
                write_examples(self.root, split, example_table(data.encoded(split).examples, positions))
        if trainer.is_global_zero and (removed := discard_unfinished(self.root)):
            log.warning("removed %d unfinished snapshot(s) of an interrupted run", len(removed))
        trainer.strategy.barrier("closerlook-snapshots-ready")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The space before the first update, when it cannot be looked at later."""
        if trainer.global_step > 0 and not self._owed:  # a checkpoint of another directory: nothing is known of before
            self._untuned = None
        if self.settings.before_training and trainer.global_step == 0 and self._untuned is None:
            self._take(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """The space every so many updates."""
        every = self.settings.every_n_updates
        if every is not None and trainer.global_step % every == 0 and trainer.global_step != self._last_step:
            self._take(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The space at the end of an epoch."""
        self._take_untuned(trainer, pl_module)
        done = trainer.current_epoch + 1
        last = done == trainer.max_epochs
        if (done % self.settings.every_n_epochs == 0 or last) and trainer.global_step != self._last_step:
            self._take(trainer, pl_module)

    def _take(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._take_untuned(trainer, pl_module)
        self._store(trainer, pl_module, trainer.global_step)

    def _take_untuned(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The space before the first update, if it is still to be taken."""
        if self._untuned is None:
            return
        encoder: PooledEncoder = pl_module.encoder  # type: ignore[assignment]
        tuned = _copy(encoder)
        encoder.load_state_dict(self._untuned)
        try:
            self._store(trainer, pl_module, 0)
        finally:
            encoder.load_state_dict(tuned)
        self._untuned = None

    def _store(self, trainer: pl.Trainer, pl_module: pl.LightningModule, step: int) -> None:
        start = time.perf_counter()
        encoder: PooledEncoder = pl_module.encoder  # type: ignore[assignment]
        layers = self._layers(encoder)
        n_features = dict.fromkeys(self._splits, encoder.n_features)
        writer = SnapshotWriter(
            self.root,
            step,
            layers=layers,
            dtype=self.settings.dtype,
            rows={name: _share(split.n, trainer) for name, split in self._splits.items()},
            n_features=n_features,
            part=trainer.global_rank,
        )
        try:
            with isolate_rng(), _evaluating(pl_module):
                for name, positions, vectors in self._vectors(trainer, pl_module, encoder, layers):
                    writer.write(name, positions, vectors)
            writer.close()
        except BaseException:
            writer.abort()
            raise
        trainer.strategy.barrier("closerlook-snapshot-written")
        if trainer.is_global_zero:
            publish(
                self.root,
                step,
                epoch=_epoch(trainer, step),
                layers=layers,
                dtype=self.settings.dtype,
                n_features=n_features,
                n_examples={name: split.n for name, split in self._splits.items()},
                n_parts=trainer.world_size,
                head=tuned_head(trainer, pl_module) if step else None,
            )
        trainer.strategy.barrier("closerlook-snapshot-published")
        self._last_step = step
        self.seconds += time.perf_counter() - start
        if trainer.is_global_zero:
            for listener in self.listeners:
                listener(trainer, pl_module, step)

    def _vectors(
        self, trainer: pl.Trainer, module: pl.LightningModule, encoder: PooledEncoder, layers: tuple[int, ...]
    ) -> Iterator[tuple[str, np.ndarray, dict[int, np.ndarray]]]:
        """Yield ``(split, positions, vectors by layer)``, batch by batch."""
        data: CorpusDataModule = trainer.datamodule  # type: ignore[attr-defined]
        for name, split in self._splits.items():
            share = _share(split.n, trainer)
            wanted = split.positions[share.start : share.stop]
            row_of = {int(position): share.start + i for i, position in enumerate(wanted)}
            for batch in data.ordered_batches(name, example_subset=wanted, batch_size=self.batch_size):
                rows = np.array([row_of[int(i)] for i in batch.example_index], dtype=np.int64)
                yield name, rows, extract(encoder, batch.to(module.device), layers)

    def _layers(self, encoder: Any) -> tuple[int, ...]:
        available = range(encoder.n_layers + 1)
        wanted = self.settings.layers
        if wanted is None:
            return tuple(available)
        if not wanted or any(layer not in available for layer in wanted):
            raise SnapshotError(
                f"snapshot.layers={list(wanted)}: expected layers from 0 (embeddings) to {encoder.n_layers} "
                "of this encoder; leave it null to store all"
            )
        return tuple(sorted(set(wanted)))


@torch.no_grad()
def extract(encoder: PooledEncoder, batch: Batch, layers: tuple[int, ...]) -> dict[int, np.ndarray]:
    """The vectors of a batch's examples at several layers, float32, on the CPU.

    Args:
        encoder: The encoder, in evaluation mode, on the batch's device.
        batch: A batch of texts.
        layers: Layers to return.

    Returns:
        By layer, (n_examples, n_features).
    """
    with torch.autocast(batch.input_ids.device.type, enabled=False):
        vectors = encoder.layers(batch, layers)
    return {layer: value.float().cpu().numpy() for layer, value in vectors.items()}


@contextmanager
def _evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block; afterwards each submodule is back in the mode it had."""
    modes = [(child, child.training) for child in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for child, training in modes:
            child.training = training


def example_table(examples: ExampleTable, positions: np.ndarray) -> pd.DataFrame:
    """The rows of a split that a snapshot stores, as :func:`write_examples` wants them."""
    columns = {
        "example_id": examples.example_ids,
        "text_id": examples.text_ids,
        "label": examples.labels,
        "form": examples.forms,
    }
    return pd.DataFrame({name: np.array(values, dtype=object)[positions] for name, values in columns.items()})


def _share(n: int, trainer: pl.Trainer) -> range:
    """This process's contiguous share of ``n`` rows."""
    rank, size = trainer.global_rank, trainer.world_size
    return range(n * rank // size, n * (rank + 1) // size)


def _epoch(trainer: pl.Trainer, step: int) -> float:
    """Updates over updates per epoch."""
    per_epoch = trainer.num_training_batches / max(1, trainer.accumulate_grad_batches)
    return round(step / per_epoch, 6) if per_epoch else 0.0


def _copy(module: Any, device: str | None = None) -> dict[str, torch.Tensor]:
    """The weights as they are now, on a device; None = where they are."""
    return {name: value.detach().to(device or value.device, copy=True) for name, value in module.state_dict().items()}


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
