"""The space of an encoder on disk: texts run through it, one vector an example and layer, a snapshot at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from closerlook.data.batching import Batch, ExampleTable
from closerlook.data.datamodule import CorpusDataModule
from closerlook.models.encoder import PooledEncoder
from closerlook.representations.format import Outputs, SnapshotError, TunedHead
from closerlook.representations.writer import SnapshotWriter, publish, write_examples

SPLITS = ("train", "test")
"""The splits that are stored unless others are named."""

Chunks = Iterator[tuple[str, np.ndarray, dict[int, np.ndarray]]]
"""Split, positions of examples, and their vectors by layer, (n_examples, n_features) each."""


class Moment(NamedTuple):
    """When a snapshot is taken: updates of the optimizer so far, and the same in epochs."""

    step: int
    epoch: float


@dataclass(frozen=True)
class Process:
    """One of the processes that store a snapshot together, each a contiguous part of every split.

    Attributes:
        rank: Its number; the first one publishes.
        count: How many there are.
        wait: Called with a name, returns when all processes have called it.
    """

    rank: int = 0
    count: int = 1
    wait: Callable[[str], object] = lambda name: None

    def share(self, n: int) -> range:
        """This process's part of ``n`` examples."""
        return range(n * self.rank // self.count, n * (self.rank + 1) // self.count)


@dataclass(frozen=True)
class Space:
    """What a snapshot of an encoder holds.

    Attributes:
        layers: Layers, ascending; 0 = embeddings.
        dtype: ``float32`` or ``float16``.
        sizes: By split, the number of examples.
        n_features: Length of a vector.
        head: The linear head that was tuned with the encoder, if there is one.
        coordinates: What the axes are, see :class:`closerlook.representations.format.Manifest`.
        outputs: What a head of another kind says of the examples.
    """

    layers: tuple[int, ...]
    dtype: str
    sizes: dict[str, int]
    n_features: int
    head: TunedHead | None = None
    coordinates: str = ""
    outputs: Outputs | None = None


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block; afterwards each submodule is back in the mode it had."""
    modes = [(child, child.training) for child in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for child, training in modes:
            child.training = training


def choose_layers(wanted: Sequence[int] | None, n_layers: int) -> tuple[int, ...]:
    """The layers to store, ascending.

    Args:
        wanted: Layers, 0 = embeddings; None = all.
        n_layers: Blocks of the encoder.

    Raises:
        SnapshotError: There is no such layer.
    """
    available = range(n_layers + 1)
    if wanted is None:
        return tuple(available)
    if not wanted or any(layer not in available for layer in wanted):
        raise SnapshotError(
            f"snapshot.layers={list(wanted)}: expected layers from 0 (embeddings) to {n_layers} "
            "of this encoder; leave it null to store all"
        )
    return tuple(sorted(set(wanted)))


def choose_examples(
    data: CorpusDataModule, splits: Sequence[str] | None, max_examples: int | None
) -> dict[str, np.ndarray]:
    """By split, the positions of the examples that snapshots are taken of, ascending."""
    return {split: data.stratified_subset(split, max_examples) for split in splits or SPLITS}


def store_examples(root: Path, data: CorpusDataModule, chosen: dict[str, np.ndarray]) -> None:
    """Store the tables of the examples that snapshots are taken of, once for all snapshots.

    Raises:
        SnapshotError: Other examples are stored there.
    """
    for split, positions in chosen.items():
        write_examples(root, split, example_table(data.encoded(split).examples, positions))


def example_table(examples: ExampleTable, positions: np.ndarray) -> pd.DataFrame:
    """Some rows of a split, as :func:`write_examples` wants them."""
    columns = {
        "example_id": examples.example_ids,
        "text_id": examples.text_ids,
        "label": examples.labels,
        "form": examples.forms,
        "context": examples.contexts,
    }
    return pd.DataFrame({name: np.array(values, dtype=object)[positions] for name, values in columns.items()})


def store_space(
    root: Path,
    moment: Moment,
    encoder: PooledEncoder,
    data: CorpusDataModule,
    chosen: dict[str, np.ndarray],
    *,
    layers: tuple[int, ...],
    dtype: str,
    batch_size: int,
    process: Process | None = None,
    head: TunedHead | None = None,
    coordinates: str = "",
    outputs: Outputs | None = None,
    on_texts: Callable[[int], object] = lambda n_texts: None,
) -> None:
    """Store one snapshot of an encoder.

    Args:
        root: The snapshots folder, with its tables of examples.
        moment: When it is taken.
        encoder: The encoder, in evaluation mode.
        data: The texts.
        chosen: By split, positions of the examples.
        layers: Layers to store.
        dtype: ``float32`` or ``float16``.
        batch_size: Texts per forward pass.
        process: Which of several processes this is; None = the only one.
        head: The linear head that is tuned with the encoder.
        coordinates: What the axes are, where not those of all snapshots.
        outputs: What a head of another kind says of the examples.
        on_texts: Called with the number of texts after each batch: a progress bar.

    Raises:
        SnapshotError: A vector is not finite, or does not fit into the stored type.
    """
    process = process or Process()
    sizes = {split: len(positions) for split, positions in chosen.items()}
    space = Space(layers, dtype, sizes, encoder.n_features, head, coordinates, outputs)
    chunks = _vectors(encoder, data, chosen, layers, batch_size, process, on_texts)
    store_vectors(root, moment, space, chunks, process)


def store_vectors(root: Path, moment: Moment, space: Space, chunks: Chunks, process: Process | None = None) -> None:
    """Store one snapshot from vectors, wherever they come from: whole or not at all.

    Args:
        root: The snapshots folder, with its tables of examples.
        moment: When it is taken.
        space: What it holds.
        chunks: Vectors of this process's share, in any order.
        process: Which of several processes this is; None = the only one.

    Raises:
        SnapshotError: A vector is not finite, is missing, or does not fit into the stored type.
    """
    process = process or Process()
    n_features = dict.fromkeys(space.sizes, space.n_features)
    rows = {split: process.share(n) for split, n in space.sizes.items()}
    writer = SnapshotWriter(
        root,
        moment.step,
        layers=space.layers,
        dtype=space.dtype,
        rows=rows,
        n_features=n_features,
        part=process.rank,
    )
    try:
        for split, positions, vectors in chunks:
            writer.write(split, positions, vectors)
        writer.close()
    except BaseException:
        writer.abort()
        raise
    process.wait("closerlook-snapshot-written")
    if process.rank == 0:
        publish(
            root,
            moment.step,
            epoch=moment.epoch,
            layers=space.layers,
            dtype=space.dtype,
            n_features=n_features,
            n_examples=space.sizes,
            n_parts=process.count,
            head=space.head,
            coordinates=space.coordinates,
            outputs=space.outputs,
        )
    process.wait("closerlook-snapshot-published")


def _vectors(
    encoder: PooledEncoder,
    data: CorpusDataModule,
    chosen: dict[str, np.ndarray],
    layers: tuple[int, ...],
    batch_size: int,
    process: Process,
    on_texts: Callable[[int], object],
) -> Chunks:
    device = next(encoder.parameters()).device
    for split, positions in chosen.items():
        share = process.share(len(positions))
        wanted = positions[share.start : share.stop]
        for batch in data.ordered_batches(split, example_subset=wanted, batch_size=batch_size):
            rows = share.start + np.searchsorted(wanted, np.asarray(batch.example_index))
            yield split, rows, extract(encoder, batch.to(device), layers)
            on_texts(len(batch.input_ids))


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
