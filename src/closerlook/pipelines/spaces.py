"""Store the space of an encoder that is not being trained: run the texts through it, or take it over from a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from closerlook.config import TrainConfig
from closerlook.data.datamodule import CorpusDataModule
from closerlook.data.task_settings import TaskSettings
from closerlook.models import stored_space
from closerlook.models.encoder import PooledEncoder
from closerlook.models.stored_space import SPLITS, Moment, Space, choose_examples, store_vectors
from closerlook.pipelines.build import build, to_evaluate
from closerlook.representations.format import SnapshotError, examples_file, read_examples
from closerlook.representations.reader import SnapshotReader


def build_space(
    config: dict[str, Any], task: TaskSettings, seed: int, batch_size: int | None
) -> tuple[PooledEncoder, CorpusDataModule, dict[str, str]]:
    """The pre-trained encoder as it reads ``task``, and the task's data."""
    typed: Any = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(TrainConfig), config, {"seed": seed}))
    built = build(replace(typed, task=task))
    if size := batch_size or typed.snapshot.batch_size:
        built.data.eval_batch_size = size
    return to_evaluate(built.encoder), built.data, dict(built.corpus.checksums)


def store_examples(root: Path, data: CorpusDataModule, settings: dict[str, Any]) -> dict[str, np.ndarray]:
    """Store the tables of the examples that snapshots are taken of, train and test.

    Returns:
        By split, positions of the examples.
    """
    subsets = choose_examples(data, SPLITS, settings.get("max_examples"))
    stored_space.store_examples(root, data, subsets)
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
    """Store one snapshot of an encoder that is not being trained."""
    layers = tuple(settings.get("layers") or range(encoder.n_layers + 1))
    stored_space.store_space(
        root,
        Moment(step, epoch),
        encoder,
        data,
        subsets,
        layers=layers,
        dtype=settings.get("dtype", "float32"),
        batch_size=data.eval_batch_size,
    )


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
        sizes = {split: len(read_examples(examples_file(root, split))) for split in SPLITS}
        for split in sizes:
            if not read_examples(examples_file(root, split)).equals(reader.examples(split)):
                return False
        chunks = (
            (split, np.arange(n), {layer: reader.vectors(0, split, layer) for layer in layers})
            for split, n in sizes.items()
        )
        space = Space(layers, dtype, sizes, next(iter(first.n_features.values())))
        store_vectors(root, Moment(0, 0.0), space, chunks)
    except SnapshotError:  # damaged or without these splits: the texts are run through the encoder
        return False
    return True
