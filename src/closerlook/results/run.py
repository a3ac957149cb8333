"""What is known of a run: what it is, how it ended, where its vectors come from, what was measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from closerlook.errors import UserError
from closerlook.results.rows import to_table


class RunError(UserError):
    """A run directory that cannot be used; the message says what is missing and what to do."""


@dataclass(frozen=True)
class CheckpointOrigin:
    """Whose space one snapshot is, in a run that was made from models that existed before.

    Attributes:
        step: The snapshot's step.
        name: Its short name, unique in the run, e.g. ``checkpoint-500``.
        source: Folder, .gguf file or hub id of the model; of the adapter alone where it is one.
        revision: Commit on the hub, or the SHA-256 of the weights.
        checksums: SHA-256 of its weights, configuration and tokenizer, by file; empty for hub ids.
        base: Folder or hub id of the model that the adapter belongs to; empty where ``source`` is a whole model.
        base_revision: As ``revision``, of the base.
        n_layers: Number of its blocks.
        hidden_size: Length of its hidden vectors.
        tensors: Digest of what its tensors hold, however they are spread over files; equal ones are the same encoder.
    """

    step: int
    name: str
    source: str
    revision: str
    checksums: dict[str, str] = field(default_factory=dict)
    base: str = ""
    base_revision: str = ""
    n_layers: int = 0
    hidden_size: int = 0
    tensors: str = ""


@dataclass(frozen=True)
class RunInfo:
    """What a run is, written before its first step (``run.json``).

    Attributes:
        task: The task's name.
        level: ``word``, ``pair`` or ``sentence``.
        model: The model setting's name, e.g. ``minilm_l6``.
        model_source: The hub id, package or path the weights came from.
        model_revision: Revision or SHA-256 of the weights.
        seed: The seed.
        label_names: The classes, sorted.
        n_layers: Number of blocks; layers go from 0 (embeddings) to ``n_layers``.
        hidden_size: Length of a hidden vector.
        n_train: Number of training examples.
        n_test: Number of test examples.
        n_epochs: Planned number of epochs.
        n_updates: Planned number of optimizer updates.
        created: Time of the start, ISO 8601 with zone.
        git_commit: Commit of the checkout, or empty when there is none.
        versions: Versions of the packages that matter.
        checksums: Digest of every data file.
        notes: Sentences about the data that a reader of the results should know.
        variant: How it differs from a plain run of its task, model and seed, e.g. ``finetuning.epochs-1``; empty for a
            plain one, None in runs of versions that did not record it (see :attr:`RunDir.variant`).
        updates_per_epoch: Optimizer updates in a whole epoch; None in runs of versions that did not record it.
        model_checksums: SHA-256 of the encoder's weights, configuration and tokenizer, by file.
        method: What of the encoder was trained: ``full``, ``head``, ``bitfit``, ``lora-r8``, ``lp_ft``,
            ``top_layers-2``.
        n_parameters: Weights of encoder, adapters and head; None in runs of versions that did not count them.
        n_trained: How many of them were trained.
        checkpoints: Where each snapshot's encoder comes from, by step; empty in runs of train.py.
        loop: What trained it, where that was not train.py: ``transformers.Trainer``,
            ``pytorch_lightning.Trainer``, or ``a loop of its own``.
    """

    task: str
    level: str
    model: str
    model_source: str
    model_revision: str
    seed: int
    label_names: tuple[str, ...]
    n_layers: int
    hidden_size: int
    n_train: int
    n_test: int
    n_epochs: int
    n_updates: int
    created: str
    git_commit: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    checksums: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    variant: str | None = None
    updates_per_epoch: int | None = None
    model_checksums: dict[str, str] = field(default_factory=dict)
    method: str = "full"
    n_parameters: int | None = None
    n_trained: int | None = None
    checkpoints: tuple[CheckpointOrigin, ...] = ()
    loop: str = ""

    def epoch_of(self, step: int) -> float:
        """Epochs after a number of updates, in fractions of one."""
        per_epoch = self.updates_per_epoch or self.n_updates / max(self.n_epochs, 1) or 1
        return round(step / per_epoch, 6)

    @property
    def group(self) -> str:
        """Runs that differ only in their seed share a group: ``task/model``, ``task/model/lora-r8``."""
        return "/".join([self.task, self.model, *([self.method] if self.method != "full" else [])])

    @property
    def title(self) -> str:
        """A name for people: ``task/model/seed=0``."""
        return f"{self.group}/seed={self.seed}"


@dataclass(frozen=True)
class RunState:
    """How a run stands or ended (``state.json``).

    Attributes:
        status: ``running``, ``finished``, ``interrupted`` or ``failed``; a killed process leaves ``running`` behind.
        identity: Digest of the settings that decide what is computed.
        changed: When it was written, ISO 8601.
        error: Why it failed, in one line.
        traceback: Where it failed.
        pid: The process that wrote this.
        host: The machine it ran on.
        launch: Name of the launch, which all its processes share.
        checkpoint: Where this attempt resumed from; empty when it started anew.
    """

    status: str
    identity: str = ""
    changed: str = ""
    error: str = ""
    traceback: str = ""
    pid: int = 0
    host: str = ""
    launch: str = ""
    checkpoint: str = ""


@dataclass(frozen=True)
class CrossOrigin:
    """Where the vectors of another task's space in a run's encoder come from (``cross.json``).

    Attributes:
        tuned_on: The task that the encoder was tuned on.
        source: Title of the run that tuned it.
        checkpoint: SHA-256 of its checkpoint.
        task: Settings of the task that it was looked into with.
    """

    tuned_on: str
    source: str
    checkpoint: str
    task: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunResults:
    """All that is known of one run.

    Attributes:
        run_dir: Its directory.
        info: What the run is.
        config: The resolved configuration as plain dictionaries.
        table: Tidy results, columns of :data:`closerlook.results.rows.COLUMNS`.
        history: Training metrics: columns ``step``, ``epoch`` and one per metric, NaN where not logged.
        by_example: What was found example by example: rows with the same columns, packed into their notes.
    """

    run_dir: Path
    info: RunInfo
    config: dict[str, Any]
    table: pd.DataFrame
    history: pd.DataFrame
    by_example: pd.DataFrame = field(default_factory=lambda: to_table([]))
