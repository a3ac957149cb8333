"""Store the space of an encoder that is not being trained: run the texts through it, or take it over from a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from closerlook.config import from_plain
from closerlook.data.corpus import Corpus
from closerlook.data.datamodule import CorpusDataModule
from closerlook.data.task_settings import TaskSettings
from closerlook.models import stored_space
from closerlook.models.encoder import PooledEncoder
from closerlook.models.encoder_settings import SnapshotSettings
from closerlook.models.method_settings import MethodSettings
from closerlook.models.stored_space import SPLITS, Moment, Space, choose_examples, choose_layers, store_vectors
from closerlook.pipelines.build import build, to_evaluate
from closerlook.representations.format import SnapshotError, examples_file, read_examples
from closerlook.representations.reader import SnapshotReader
from closerlook.representations.writer import discard_unfinished
from closerlook.results.run import RunError, RunInfo

__all__ = ["Moment", "Texts", "build_space", "store_examples", "store_space", "take_over_first"]


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
    settings = from_plain(config)
    model = replace(
        settings.model, trust_remote_code=trust_remote_code, random_init=untrained or settings.model.random_init
    )
    method = MethodSettings() if untrained else settings.method
    built = build(replace(settings, task=task, model=model, method=method, seed=info.seed), corpus)
    if not untrained and built.loaded.revision != info.model_revision:
        raise RunError(
            f"the model at {built.loaded.source} is not the one that the run was made with: got "
            f"{built.loaded.revision}, expected {info.model_revision}. Put the old files back, or train the run again"
        )
    return to_evaluate(built.encoder), built.data


def store_examples(root: Path, data: CorpusDataModule, settings: SnapshotSettings) -> Texts:
    """Store the tables of the examples that snapshots are taken of, train and test.

    Args:
        root: The snapshots folder.
        data: The texts.
        settings: The run's snapshot settings.
    """
    subsets = choose_examples(data, SPLITS, settings.max_examples)
    discard_unfinished(root)
    stored_space.store_examples(root, data, subsets)
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
    stored_space.store_space(
        root,
        moment,
        encoder,
        texts.data,
        texts.subsets,
        layers=choose_layers(settings.layers, encoder.n_layers),
        dtype=settings.dtype,
        batch_size=settings.batch_size or texts.data.eval_batch_size,
    )


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
        sizes = {split: len(read_examples(examples_file(root, split))) for split in SPLITS}
        for split in sizes:
            if not read_examples(examples_file(root, split)).equals(reader.examples(split)):
                return False
        chunks = (
            (split, np.arange(n), {layer: reader.vectors(0, split, layer) for layer in layers})
            for split, n in sizes.items()
        )
        space = Space(layers, settings.dtype, sizes, first.n_features[SPLITS[0]])
        store_vectors(root, Moment(0, 0.0), space, chunks)
    except SnapshotError:  # damaged or without these splits: the texts are run through the encoder
        return False
    return True
