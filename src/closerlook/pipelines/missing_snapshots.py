"""Snapshots of a finished run that are gone: taken again where their weights still are, named where they are not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from closerlook.config import TrainConfig
from closerlook.models.encoder_settings import SnapshotSettings
from closerlook.models.stored_space import Moment, choose_examples, choose_layers, store_examples, store_space
from closerlook.models.tuned_weights import load_tuned
from closerlook.pipelines.build import to_evaluate
from closerlook.representations.format import MANIFEST_FILE, Manifest, SnapshotError, TunedHead, step_folder
from closerlook.results.run import RunError, RunInfo
from closerlook.results.run_dir import RunDir

if TYPE_CHECKING:
    from closerlook.pipelines.fine_tune import Parts

log = logging.getLogger(__name__)


def snapshot_steps(info: RunInfo, settings: SnapshotSettings) -> set[int]:
    """The updates after which a snapshot is taken."""
    per_epoch = info.updates_per_epoch or 1
    steps = {epoch * per_epoch for epoch in range(settings.every_n_epochs, info.n_epochs + 1, settings.every_n_epochs)}
    steps = {step for step in steps if step <= info.n_updates} | {info.n_updates}
    if settings.every_n_updates:
        steps |= set(range(settings.every_n_updates, info.n_updates + 1, settings.every_n_updates))
    return steps | ({0} if settings.before_training else set())


def take_missing(config: TrainConfig, run: RunDir, prepare: Callable[[], Parts]) -> tuple[int, ...]:
    """Take those snapshots of a finished run again that are not there, or not whole.

    The untuned space comes from the model, the last and the best one from their checkpoints; the others are named in a
    warning, since their weights are nowhere.

    Args:
        config: The settings that the run was trained with.
        run: The run; nothing else writes into it.
        prepare: Makes the data and the untuned encoder, where they are needed.

    Returns:
        The steps that were taken again.

    Raises:
        RunError: A checkpoint is damaged.
    """
    missing = _missing(config.snapshot, run) if config.snapshot.enabled else set()
    sources = _checkpoints(run) if missing else {}
    lost = sorted(missing - sources.keys() - {0})
    if lost:
        named = ", ".join(map(str, lost[:5])) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")
        log.warning(
            "%s: the snapshots after updates %s are gone, and no checkpoint holds their weights; overwrite=true trains "
            "the run again", run.root, named,
        )  # fmt: skip
    steps = sorted(missing - set(lost))
    if steps:
        log.info("taking the snapshots after updates %s again", ", ".join(map(str, steps)))
        parts = prepare()
        for step in steps:  # 0 comes first: after it, the encoder is tuned
            _take(config, run, parts, step, sources.get(step))
    return tuple(steps)


def _missing(settings: SnapshotSettings, run: RunDir) -> set[int]:
    history = run.history()
    last = 0 if history.empty else int(history["step"].max())  # of the test, which comes after the last update
    wanted = {step for step in snapshot_steps(run.info(), settings) if step <= last} | {last}
    return {step for step in wanted if not _is_whole(run.snapshots / step_folder(step))}


def _is_whole(folder: Path) -> bool:
    """Whether a snapshot and all of its files are there; what is in them is looked at when they are read."""
    try:
        manifest = Manifest.read(folder) if (folder / MANIFEST_FILE).is_file() else None
    except SnapshotError:
        return False
    return manifest is not None and all(
        (folder / part.file).is_file() for parts in manifest.parts.values() for part in parts
    )


def _checkpoints(run: RunDir) -> dict[int, Path]:
    """By step, a checkpoint with the weights after it."""
    found = {}
    for path in (run.last_checkpoint.with_name("best.ckpt"), run.last_checkpoint):
        if path.is_file():
            run.require_intact(path)
            with suppress(KeyError):
                found[int(_load(path)["global_step"])] = path
    return found


def _load(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise RunError(f"{path} cannot be read ({type(error).__name__}); expected a checkpoint of train.py") from error
    return content


def _take(config: TrainConfig, run: RunDir, parts: Parts, step: int, checkpoint: Path | None) -> None:
    data, settings = parts.built.data, config.snapshot
    encoder = to_evaluate(parts.built.encoder)
    head = None
    if checkpoint is not None:
        state = _load(checkpoint)["state_dict"]
        load_tuned(encoder, state)
        if encoder.final_norm or not encoder.facts.final_norm:
            weights, bias = (state[f"head.{name}"].float().numpy() for name in ("weight", "bias"))
            head = TunedHead(encoder.n_layers, np.array(parts.built.corpus.label_names), weights, bias)
    chosen = choose_examples(data, settings.splits, settings.max_examples)
    store_examples(run.snapshots, data, chosen)
    store_space(
        run.snapshots,
        Moment(step, run.info().epoch_of(step)),
        encoder,
        data,
        chosen,
        layers=choose_layers(settings.layers, encoder.n_layers),
        dtype=settings.dtype,
        batch_size=settings.batch_size or config.finetuning.eval_batch_size,
        head=head,
    )
