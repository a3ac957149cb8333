"""What a run of somebody else's training loop is, as its ``run.json`` and ``config.yaml`` say."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from closerlook.data.datamodule import CorpusDataModule
from closerlook.models.encoder import PooledEncoder
from closerlook.models.encoder_settings import SnapshotSettings
from closerlook.models.snapshot_options import Plan, SnapshotOptions
from closerlook.results.provenance import git_commit, now, versions
from closerlook.results.run import RunInfo


class Progress(NamedTuple):
    """How far a training is: updates, the same in epochs (None = not known), and how long it is going to be."""

    step: int
    epoch: float | None
    plan: Plan

    @property
    def updates_per_epoch(self) -> int:
        """Updates in an epoch; 1 where nothing is known of epochs, so that figures count updates."""
        if self.plan.updates_per_epoch:
            return self.plan.updates_per_epoch
        return max(1, round(self.step / self.epoch)) if self.epoch and self.step else 1


def model_name(options: SnapshotOptions, encoder: Any) -> str:
    """The model's name in tables: as given, else that of its folder or hub id."""
    source = str(getattr(encoder.config, "_name_or_path", ""))
    return options.model_name or Path(source).name or str(encoder.config.model_type)


def describe(
    options: SnapshotOptions, loop: str, encoder: PooledEncoder, data: CorpusDataModule, progress: Progress
) -> RunInfo:
    """What ``run.json`` says.

    Args:
        options: What the user said.
        loop: What trains the model.
        encoder: The encoder as it is read.
        data: The texts.
        progress: How far the training is.
    """
    corpus, plan, per_epoch = data.corpus, progress.plan, progress.updates_per_epoch
    n_updates = plan.n_updates or progress.step
    notes = [f"Snapshots of a model that {loop} trains, not train.py.", *corpus.notes, *encoder.notes]
    notes += [f"{split}: {data.encoded(split).report.summary()}" for split in data.splits]
    if progress.epoch is None and plan.updates_per_epoch is None:
        notes.append("The loop gave no epochs: where figures say epoch, they count updates.")
    config = encoder.backbone.config
    return RunInfo(
        task=corpus.name,
        level=corpus.level,
        model=model_name(options, encoder.backbone),
        model_source=str(getattr(config, "_name_or_path", "") or type(encoder.backbone).__name__),
        model_revision=str(getattr(config, "_commit_hash", None) or "unknown"),
        seed=options.seed,
        label_names=corpus.label_names,
        n_layers=encoder.n_layers,
        hidden_size=encoder.facts.hidden_size,
        n_train=data.encoded("train").n_examples,
        n_test=data.encoded("test").n_examples,
        n_epochs=plan.n_epochs or max(1, -(-n_updates // per_epoch)),
        n_updates=n_updates,
        created=now(),
        git_commit=git_commit(),
        versions=versions(),
        checksums=dict(corpus.checksums),
        notes=tuple(notes),
        variant=options.variant,
        updates_per_epoch=per_epoch,
        loop=loop,
    )


def settings_of(options: SnapshotOptions, info: RunInfo) -> dict[str, Any]:
    """What ``config.yaml`` says: the training's settings as the user gave them, and how vectors are read."""
    snapshot = SnapshotSettings(
        layers=None if options.layers is None else list(options.layers),
        max_examples=options.max_examples,
        dtype=options.dtype,
        final_norm=options.final_norm,
        batch_size=options.batch_size,
    )
    return {
        **options.settings,
        "task": {"name": info.task},
        "model": {"name": info.model, "source": info.model_source, "sentence_pooling": options.sentence_pooling},
        "snapshot": asdict(snapshot),
        "seed": options.seed,
        "variant": options.variant,
    }
