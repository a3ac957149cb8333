"""Store the space of an encoder that is not being trained: run the texts through it, or take it over from a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from closerlook.data.task_settings import TaskSettings
from closerlook.representations.format import SnapshotError, examples_file, read_examples
from closerlook.representations.reader import SnapshotReader
from closerlook.representations.writer import SnapshotWriter, discard_unfinished, publish, write_examples

if TYPE_CHECKING:
    from closerlook.data.datamodule import CorpusDataModule
    from closerlook.models.encoder import PooledEncoder

_SPLITS = ("train", "test")

Chunks = Iterator[tuple[str, np.ndarray, dict[int, np.ndarray]]]
"""Split, positions of examples, and their vectors by layer."""


def build_space(
    config: dict[str, Any], task: TaskSettings, seed: int, batch_size: int | None
) -> tuple[PooledEncoder, CorpusDataModule, dict[str, str]]:
    """The pre-trained encoder as it reads ``task``, and the task's data."""
    import torch

    from closerlook.data.datamodule import CorpusDataModule
    from closerlook.data.tasks import load_corpus
    from closerlook.models.encoder import PooledEncoder
    from closerlook.models.encoder_settings import ModelSettings
    from closerlook.models.loading import load_encoder

    corpus = load_corpus(task)
    model = ModelSettings(**config["model"])
    loaded = load_encoder(model, seed=seed)
    size = batch_size or config["snapshot"].get("batch_size") or config["finetuning"]["eval_batch_size"]
    data = CorpusDataModule(
        corpus,
        loaded.tokenizer,
        eval_batch_size=size,
        allow_truncation=task.allow_truncation,
        allow_dropped_words=task.allow_dropped_words,
        **loaded.encoding_options(task.max_length),
    )
    data.setup()
    encoder = PooledEncoder(loaded, corpus.level, final_norm=config["snapshot"].get("final_norm", True))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return encoder.eval().to(device), data, dict(corpus.checksums)


def store_examples(root: Path, data: CorpusDataModule, settings: dict[str, Any]) -> dict[str, np.ndarray]:
    """Store the tables of the examples that snapshots are taken of, train and test.

    Args:
        root: The snapshots folder.
        data: The texts.
        settings: The run's snapshot settings.

    Returns:
        By split, positions of the examples.
    """
    from closerlook.callbacks.snapshot import example_table

    subsets = {split: data.stratified_subset(split, settings.get("max_examples")) for split in _SPLITS}
    for split, positions in subsets.items():
        write_examples(root, split, example_table(data.encoded(split).examples, positions))
    return subsets


def store_space(
    root: Path,
    step: int,
    epoch: float,
    encoder: PooledEncoder,
    data: CorpusDataModule,
    subsets: dict[str, np.ndarray],
    settings: dict[str, Any],
) -> None:
    """Store one snapshot of an encoder that is not being trained, by this process alone.

    Args:
        root: The snapshots folder.
        step: Number of updates the encoder has had.
        epoch: The same moment in epochs.
        encoder: The encoder, in evaluation mode.
        data: The texts.
        subsets: By split, positions of the examples.
        settings: The run's snapshot settings.
    """
    layers = tuple(settings.get("layers") or range(encoder.n_layers + 1))
    sizes = {split: len(positions) for split, positions in subsets.items()}
    n_features = dict.fromkeys(subsets, encoder.n_features)
    chunks = _vectors(encoder, data, subsets, layers)
    _write(root, step, epoch, chunks, layers, settings.get("dtype", "float32"), sizes, n_features)


def take_over_first(root: Path, layers: tuple[int, ...], dtype: str, donor: Path) -> bool:
    """Store step 0 as another run has stored it, when that is the same examples: the pre-trained encoder's space.

    Args:
        root: The snapshots folder, with its tables of examples.
        layers: Layers to store.
        dtype: The number type that is wanted.
        donor: The other run's snapshots folder; its encoder is known to be the same.

    Returns:
        Whether it was; nothing is written if it was not.
    """
    try:
        reader = SnapshotReader(donor)
        first = reader.manifests.get(0)
        if first is None or first.dtype != dtype or not set(layers) <= set(first.layers):
            return False
        sizes = {split: len(read_examples(examples_file(root, split))) for split in _SPLITS}
        for split in sizes:
            if not read_examples(examples_file(root, split)).equals(reader.examples(split)):
                return False
        chunks = (
            (split, np.arange(n), {layer: reader.vectors(0, split, layer) for layer in layers})
            for split, n in sizes.items()
        )
        _write(root, 0, 0.0, chunks, layers, dtype, sizes, {split: first.n_features[split] for split in sizes})
    except SnapshotError:  # damaged or without these splits: the texts are run through the encoder
        return False
    return True


def _write(
    root: Path,
    step: int,
    epoch: float,
    chunks: Chunks,
    layers: tuple[int, ...],
    dtype: str,
    sizes: dict[str, int],
    n_features: dict[str, int],
) -> None:
    discard_unfinished(root)
    rows = {split: range(n) for split, n in sizes.items()}
    writer = SnapshotWriter(root, step, layers=layers, dtype=dtype, rows=rows, n_features=n_features)
    try:
        for split, places, vectors in chunks:
            writer.write(split, places, vectors)
        writer.close()
    except BaseException:
        writer.abort()
        raise
    publish(root, step, epoch=epoch, layers=layers, dtype=dtype, n_features=n_features, n_examples=sizes)


def _vectors(
    encoder: PooledEncoder, data: CorpusDataModule, subsets: dict[str, np.ndarray], layers: tuple[int, ...]
) -> Chunks:
    from closerlook.callbacks.snapshot import extract

    device = next(encoder.parameters()).device
    for split, positions in subsets.items():
        place = {int(position): i for i, position in enumerate(positions)}
        for batch in data.ordered_batches(split, example_subset=positions):
            rows = np.array([place[int(i)] for i in batch.example_index], dtype=np.int64)
            yield split, rows, extract(encoder, batch.to(device), layers)
