"""A run directory that is written from somebody else's training loop: the same files as train.py writes."""

from __future__ import annotations

import copy
import logging
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml  # type: ignore[import-untyped]
from pytorch_lightning.utilities.seed import isolate_rng
from torch import nn

from closerlook.data.datamodule import CorpusDataModule
from closerlook.data.given_texts import Given, given_corpus
from closerlook.locks import HeldError, locked
from closerlook.models.encoder import PooledEncoder
from closerlook.models.loop_description import Progress, describe, model_name, settings_of
from closerlook.models.snapshot_options import Plan, SnapshotOptions
from closerlook.models.stored_space import (
    Moment,
    Process,
    choose_examples,
    choose_layers,
    evaluating,
    store_examples,
    store_space,
)
from closerlook.models.watched_encoder import find_encoder, watched
from closerlook.representations.format import STEP_PREFIX, step_folder
from closerlook.representations.writer import discard_unfinished
from closerlook.results.run import RunError, RunState
from closerlook.results.run_dir import RunDir

log = logging.getLogger(__name__)

RUNNING, FINISHED = "running", "finished"


class SnapshotRun:
    """A run directory whose snapshots are of a model that this package does not train.

    Args:
        path: The directory; ``probe.py run_dir=<path>`` reads it.
        tokenizer: The model's fast tokenizer.
        texts: The texts, see :func:`given_corpus`.
        labels: Their labels.
        options: What is stored.
        loop: What trains the model.

    Raises:
        DataError: Texts and labels do not go together.
    """

    def __init__(
        self, path: str | Path, tokenizer: Any, texts: Given, labels: Given, options: SnapshotOptions, loop: str
    ) -> None:
        self.run, self.options, self.loop = RunDir(Path(path)), options, loop
        self.corpus = given_corpus(
            texts,
            labels,
            name=options.task_name,
            label_names=options.label_names,
            test_fraction=options.test_fraction,
            allow_dropped_words=options.allow_dropped_words,
        )
        self._tokenizer = copy.deepcopy(tokenizer)  # padding and truncation are state of a fast tokenizer
        self._data: CorpusDataModule | None = None
        self._chosen: dict[str, np.ndarray] = {}

    def begin(self, step: int, *, resumed: bool = False) -> None:
        """Make room for snapshots from a step on; call it on one process, before the first one.

        Those of later steps belong to a training that was broken off, or to another one.

        Args:
            step: The step of the next snapshot.
            resumed: The training goes on from a checkpoint of this step: later snapshots are taken again.

        Raises:
            RunError: There are such snapshots and neither ``overwrite`` nor ``resumed`` says what they are; or the
                directory is that of a run of train.py.
        """
        if self.run.info_file.exists() and not self.run.info().loop:
            raise RunError(
                f"{self.run.root} holds a run of train.py or another task's space; expected a directory of this "
                "training's own. Choose another path"
            )
        discard_unfinished(self.run.snapshots)
        there = _steps(self.run.snapshots)
        later = [one for one in there if one > step or (one == step and not resumed)]
        if later and not (resumed or self.options.overwrite):
            raise RunError(
                f"{self.run.root} holds snapshots up to step {there[-1]}, and the next one is of step {step}: they "
                "would be mixed up. Choose another path, or delete them from this step on with overwrite=True"
            )
        if later:
            log.warning("%s: %d snapshot(s) from step %d on are deleted", self.run.root, len(later), later[0])
            _delete(self.run, later, everything=later == there)

    def store(
        self,
        model: nn.Module,
        step: int,
        *,
        epoch: float | None,
        plan: Plan | None = None,
        process: Process | None = None,
    ) -> None:
        """Store one snapshot of a model as it is now; nothing of it, and no random number, is changed.

        Args:
            model: The model, on its device.
            step: Updates of the optimizer so far.
            epoch: The same in epochs; None = not known.
            plan: How long the training is going to be.
            process: Which of several processes this is; all of them call this. None = the only one.

        Raises:
            RunError: Another process writes there, or the model has another shape than at earlier steps.
            ModelError: The model's encoder is not clear, or the tokenizer is not the model's.
            AlignmentError: A text is too long, or gives no subword.
            SnapshotError: A vector is not finite, other examples are stored there, or there is no such layer.
        """
        process = process or Process()
        found = find_encoder(model, self.options.encoder)
        with isolate_rng(), evaluating(found):
            encoder, data = self._look_at(model, found)
            layers = choose_layers(self.options.layers, encoder.n_layers)
            with self._only_writer(process):
                if process.rank == 0:
                    self._describe(encoder, data, step, epoch, plan or Plan())
                process.wait("closerlook-run-described")
                store_space(
                    self.run.snapshots,
                    Moment(step, float(step) if epoch is None else round(epoch, 6)),
                    encoder,
                    data,
                    self._chosen,
                    layers=layers,
                    dtype=self.options.dtype,
                    batch_size=self.options.batch_size,
                    process=process,
                )

    def record(self, status: str) -> None:
        """Write how the training stands: ``running`` or ``finished``; killed, it leaves ``running`` behind."""
        changed = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.run.save_state(RunState(status, changed=changed, pid=os.getpid(), host=platform.node()))

    def _look_at(self, model: nn.Module, found: Any) -> tuple[PooledEncoder, CorpusDataModule]:
        options = self.options
        loaded = watched(
            model,
            found,
            self._tokenizer,
            name=model_name(options, found),
            sentence_pooling=options.sentence_pooling,
        )
        if self._data is None:
            self._data = CorpusDataModule(
                self.corpus,
                self._tokenizer,
                batch_size=options.batch_size,
                allow_truncation=options.allow_truncation,
                allow_dropped_words=options.allow_dropped_words,
                **loaded.encoding_options(options.max_length),
            )
            self._data.setup()
            self._chosen = choose_examples(self._data, None, options.max_examples)
        return PooledEncoder(loaded, self.corpus.level, final_norm=options.final_norm), self._data

    @contextmanager
    def _only_writer(self, process: Process) -> Iterator[None]:
        """Hold the directory while a snapshot is written; the first process does so for all."""
        if process.rank:
            yield
            return
        try:
            with locked(self.run.lock_file, wait=False):
                yield
        except HeldError:
            raise RunError(
                f"another process is at work in {self.run.root}: two trainings cannot write into one run. Choose "
                "another path"
            ) from None

    def _describe(
        self, encoder: PooledEncoder, data: CorpusDataModule, step: int, epoch: float | None, plan: Plan
    ) -> None:
        """Write what the run is, its settings and its examples, as far as they are not there yet."""
        store_examples(self.run.snapshots, data, self._chosen)
        known = describe(self.options, self.loop, encoder, data, Progress(step, epoch, plan))
        if not self.run.info_file.exists():
            self.run.save_config(yaml.safe_dump(settings_of(self.options, known), sort_keys=False, allow_unicode=True))
            self.run.save_info(known)
            return
        before = self.run.info()
        if (before.n_layers, before.hidden_size) != (known.n_layers, known.hidden_size):
            raise RunError(
                f"{self.run.root} is of an encoder of {before.n_layers} blocks and {before.hidden_size} features, got "
                f"one of {known.n_layers} and {known.hidden_size}. Choose another path for another model"
            )
        longer = known.n_updates > before.n_updates or known.updates_per_epoch != before.updates_per_epoch
        if longer or known.checksums != before.checksums:
            self.run.save_info(replace(known, created=before.created))


def _steps(snapshots: Path) -> list[int]:
    """Steps of the snapshots that are there, ascending."""
    names = [path.name.removeprefix(STEP_PREFIX) for path in snapshots.glob(f"{STEP_PREFIX}*")]
    return sorted(int(name) for name in names if name.isdecimal())


def _delete(run: RunDir, steps: list[int], *, everything: bool) -> None:
    """Delete snapshots; when none is left, also what was made of them."""
    for step in steps:
        shutil.rmtree(run.snapshots / step_folder(step))
    if not everything:
        return
    shutil.rmtree(run.snapshots / "examples", ignore_errors=True)
    for file in (run.store().path, run.store().table_file, run.report_file, run.history_file, run.config_file):
        file.unlink(missing_ok=True)
    run.unseal(run.config_file, run.history_file)
    run.info_file.unlink(missing_ok=True)
