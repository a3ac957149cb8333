"""Store the space of an encoder that is not being trained: run the texts through it, or take it over from a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from closerlook.data.task_settings import TaskSettings
from closerlook.models.encoder_settings import SnapshotSettings
from closerlook.representations.format import SnapshotError, examples_file, read_examples
from closerlook.representations.reader import SnapshotReader
from closerlook.representations.writer import SnapshotWriter, discard_unfinished, publish, write_examples
from closerlook.results.run import RunError, RunInfo

if TYPE_CHECKING:
    from closerlook.data.corpus import Corpus
    from closerlook.data.datamodule import CorpusDataModule
    from closerlook.models.encoder import PooledEncoder

_SPLITS = ("train", "test")

Chunks = Iterator[tuple[str, np.ndarray, dict[int, np.ndarray]]]
"""Split, positions of examples, and their vectors by layer."""


@dataclass(frozen=True)
class Moment:
    """When a space is of.

    Attributes:
        step: Number of updates that the encoder has had.
        epoch: The same moment in epochs.
    """

    step: int
    epoch: float


@dataclass(frozen=True)
class Texts:
    """The examples that spaces of one task are of.

    Attributes:
        data: The texts.
        subsets: By split, positions of the examples.
    """

    data: CorpusDataModule
    subsets: dict[str, np.ndarray]

    @property
    def sizes(self) -> dict[str, int]:
        """By split, the number of examples."""
        return {split: len(positions) for split, positions in self.subsets.items()}


def build_space(
    config: dict[str, Any],
    info: RunInfo,
    task: TaskSettings,
    corpus: Corpus,
    *,
    untrained: bool = False,
    trust_remote_code: bool,
) -> tuple[PooledEncoder, CorpusDataModule]:
    """A run's encoder before training as it reads a task, and the task's data.

    Args:
        config: The run's stored configuration; what it says of code that comes with a model is not followed.
        info: What the run is.
        task: How the task's texts are read.
        corpus: The task's texts.
        untrained: With weights drawn at random in place of the pre-trained ones.
        trust_remote_code: Run code that comes with the model.

    Raises:
        RunError: The model is not the one that the run was made with.
        ModelError: It cannot be loaded.
    """
    import torch  # seconds to load

    from closerlook.data.datamodule import CorpusDataModule
    from closerlook.models.encoder import PooledEncoder
    from closerlook.models.encoder_settings import ModelSettings
    from closerlook.models.loading import load_encoder

    chosen = {"trust_remote_code": trust_remote_code} | ({"random_init": True} if untrained else {})
    model = ModelSettings(**config["model"] | chosen)
    loaded = load_encoder(model, seed=info.seed)
    if not untrained and loaded.revision != info.model_revision:
        raise RunError(
            f"the model at {loaded.source} is not the one that the run was made with: got {loaded.revision}, expected "
            f"{info.model_revision}. Put the old files back, or train the run again"
        )
    snapshot = config["snapshot"]
    data = CorpusDataModule(
        corpus,
        loaded.tokenizer,
        eval_batch_size=snapshot.get("batch_size") or config["finetuning"]["eval_batch_size"],
        allow_truncation=task.allow_truncation,
        allow_dropped_words=task.allow_dropped_words,
        **loaded.encoding_options(task.max_length),
    )
    data.setup()
    encoder = PooledEncoder(loaded, corpus.level, final_norm=config["snapshot"].get("final_norm", True))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return encoder.eval().to(device), data


def store_examples(root: Path, data: CorpusDataModule, settings: SnapshotSettings) -> Texts:
    """Store the tables of the examples that snapshots are taken of, train and test.

    Args:
        root: The snapshots folder.
        data: The texts.
        settings: The run's snapshot settings.
    """
    from closerlook.callbacks.snapshot import example_table

    subsets = {split: data.stratified_subset(split, settings.max_examples) for split in _SPLITS}
    for split, positions in subsets.items():
        write_examples(root, split, example_table(data.encoded(split).examples, positions))
    return Texts(data, subsets)


def store_space(root: Path, moment: Moment, encoder: PooledEncoder, texts: Texts, settings: SnapshotSettings) -> None:
    """Store one snapshot of an encoder that is not being trained, by this process alone.

    Args:
        root: The snapshots folder.
        moment: When it is of.
        encoder: The encoder, in evaluation mode.
        texts: The examples.
        settings: The run's snapshot settings.
    """
    layers = tuple(settings.layers or range(encoder.n_layers + 1))
    n_features = dict.fromkeys(texts.subsets, encoder.n_features)
    _write(root, moment, _vectors(encoder, texts, layers), layers, settings.dtype, texts.sizes, n_features)


def take_over_first(root: Path, settings: SnapshotSettings, donor: Path) -> bool:
    """Store step 0 as another run has stored it, when that is the same examples: the pre-trained encoder's space.

    Args:
        root: The snapshots folder, with its tables of examples.
        settings: Layers and number type that are wanted.
        donor: The other run's snapshots folder; its encoder is known to be the same.

    Returns:
        Whether it was; nothing is written if it was not.
    """
    layers = tuple(settings.layers or ())
    try:
        reader = SnapshotReader(donor)
        first = reader.manifests.get(0)
        if first is None or first.dtype != settings.dtype or not set(layers) <= set(first.layers):
            return False
        sizes = {split: len(read_examples(examples_file(root, split))) for split in _SPLITS}
        for split in sizes:
            if not read_examples(examples_file(root, split)).equals(reader.examples(split)):
                return False
        chunks = (
            (split, np.arange(n), {layer: reader.vectors(0, split, layer) for layer in layers})
            for split, n in sizes.items()
        )
        n_features = {split: first.n_features[split] for split in sizes}
        _write(root, Moment(0, 0.0), chunks, layers, settings.dtype, sizes, n_features)
    except SnapshotError:  # damaged or without these splits: the texts are run through the encoder
        return False
    return True


def _write(
    root: Path,
    moment: Moment,
    chunks: Chunks,
    layers: tuple[int, ...],
    dtype: str,
    sizes: dict[str, int],
    n_features: dict[str, int],
) -> None:
    discard_unfinished(root)
    rows = {split: range(n) for split, n in sizes.items()}
    writer = SnapshotWriter(root, moment.step, layers=layers, dtype=dtype, rows=rows, n_features=n_features)
    try:
        for split, places, vectors in chunks:
            writer.write(split, places, vectors)
        writer.close()
    except BaseException:
        writer.abort()
        raise
    publish(root, moment.step, epoch=moment.epoch, layers=layers, dtype=dtype, n_features=n_features, n_examples=sizes)


def _vectors(encoder: PooledEncoder, texts: Texts, layers: tuple[int, ...]) -> Chunks:
    from closerlook.callbacks.snapshot import extract

    device = next(encoder.parameters()).device
    for split, positions in texts.subsets.items():
        place = {int(position): i for i, position in enumerate(positions)}
        for batch in texts.data.ordered_batches(split, example_subset=positions):
            rows = np.array([place[int(i)] for i in batch.example_index], dtype=np.int64)
            yield split, rows, extract(encoder, batch.to(device), layers)
