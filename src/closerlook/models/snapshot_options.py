"""What a user says about the snapshots of a model that this package does not train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

EncoderChoice = str | Callable[[Any], Any] | None
"""Where a model's encoder is: a path of attributes (``model.bert``), a function of the model, None = its only one."""


@dataclass(frozen=True)
class SnapshotOptions:
    """What is stored of a model that somebody else trains, and how the run is called.

    Attributes:
        task_name: The task's name in tables and reports.
        model_name: The model's name there; None = its name or folder on the hub.
        variant: What sets this run apart from others of the task, model and seed.
        seed: The seed that it is trained with.
        settings: The training's settings by group (``{"optimizer": {"lr": 1e-4}}``), for tables and dashboards.
        encoder: Where the encoder is in the model: a path of attributes, a function of the model, or None = the only
            ``transformers`` model in it.
        label_names: Names of labels that are numbers from 0.
        test_fraction: Share of the texts that becomes the test split where none is given.
        layers: Layers to store, 0 = embeddings; None = all.
        max_examples: At most so many examples a split, stratified by label; None = all.
        dtype: ``float32`` or ``float16``.
        final_norm: Whether the last layer is stored after the norm that some models apply to it alone.
        batch_size: Texts per forward pass.
        sentence_pooling: ``cls``, ``mean``, ``last``, or ``auto``: what the model was made for.
        max_length: Most subwords a text may have; None = what the encoder takes.
        allow_truncation: Cut longer texts.
        allow_dropped_words: Leave out words without a subword.
        overwrite: Delete the snapshots of an earlier training in the same directory.
    """

    task_name: str = "texts"
    model_name: str | None = None
    variant: str = ""
    seed: int = 0
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    encoder: EncoderChoice = None
    label_names: tuple[str, ...] = ()
    test_fraction: float = 0.2
    layers: tuple[int, ...] | None = None
    max_examples: int | None = None
    dtype: str = "float32"
    final_norm: bool = True
    batch_size: int = 64
    sentence_pooling: str = "auto"
    max_length: int | None = None
    allow_truncation: bool = False
    allow_dropped_words: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class Plan:
    """How long a training is going to be; None = not known.

    Attributes:
        n_updates: Updates of the optimizer.
        n_epochs: Epochs.
        updates_per_epoch: Updates in a whole epoch.
    """

    n_updates: int | None = None
    n_epochs: int | None = None
    updates_per_epoch: int | None = None
