"""Snapshots in a training by Hugging Face's Trainer, or one made from it, such as sentence-transformers'."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from closerlook.callbacks.snapshot_schedule import check_schedule
from closerlook.data.given_texts import Given
from closerlook.models.snapshot_options import Plan, SnapshotOptions
from closerlook.models.snapshot_run import FINISHED, RUNNING, SnapshotRun
from closerlook.representations.format import SnapshotError


class SnapshotTrainerCallback(TrainerCallback):
    """Store the space of a model's encoder while a ``transformers.Trainer`` trains it.

    ::

        from closerlook.callbacks import SnapshotTrainerCallback
        trainer.add_callback(SnapshotTrainerCallback("runs/mine", tokenizer, texts, labels, every_n_updates=50))
        trainer.train()

    and then ``python probe.py run_dir=runs/mine``. What holds for :class:`SnapshotCallback` holds here, but for several
    processes: the first one stores all examples while the others wait for it in their next exchange of gradients.

    Args:
        path: The run's directory.
        tokenizer: The model's fast tokenizer.
        texts: Texts, pairs of texts (tuples) or lists of words; in one sequence, or by split.
        labels: A label a text, or a list with one a word; split as ``texts``.
        every_n_updates: Also store one every so many optimizer updates; None = at epoch ends only.
        every_n_epochs: Store one at the end of every so many epochs; the last epoch always.
        before_training: Store the space before the first update (step 0).
        **options: What is stored, and where the encoder is: see :class:`SnapshotOptions`.

    Raises:
        DataError: Texts and labels do not go together.
        SnapshotError: An interval is not positive.
    """

    def __init__(
        self,
        path: str | Path,
        tokenizer: Any,
        texts: Given,
        labels: Given,
        *,
        every_n_updates: int | None = None,
        every_n_epochs: int = 1,
        before_training: bool = True,
        **options: Any,
    ) -> None:
        check_schedule(every_n_updates, every_n_epochs)
        self._run = SnapshotRun(path, tokenizer, texts, labels, SnapshotOptions(**options), "transformers.Trainer")
        self.every_n_updates, self.every_n_epochs, self.before_training = (
            every_n_updates,
            every_n_epochs,
            before_training,
        )
        self._last_step: int | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Make room, and store the space before the first update.

        Raises:
            SnapshotError: The weights are spread over several devices.
            RunError: The directory holds snapshots of another training.
        """
        spread = "deepspeed" if args.deepspeed else "fsdp" if args.fsdp else None
        if spread:
            raise SnapshotError(
                f"snapshots need the whole encoder on every device: got TrainingArguments({spread}=...), expected one "
                "device or DDP. Leave it out, or store snapshots of saved checkpoints afterwards"
            )
        if state.is_world_process_zero:
            self._run.begin(state.global_step, resumed=state.global_step > 0)
            self._run.record(RUNNING)
        if self.before_training and state.global_step == 0:
            self._take(state, kwargs["model"])

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """The space every so many updates."""
        if self.every_n_updates is not None and state.global_step % self.every_n_updates == 0:
            self._take(state, kwargs["model"])

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The space at the end of an epoch; the last one always, also when training stops within it."""
        last = control.should_training_stop or state.global_step >= state.max_steps
        if last or round(state.epoch or 0) % self.every_n_epochs == 0:
            self._take(state, kwargs["model"])

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Record that it is over; ``load_best_model_at_end`` may have put other weights in by now."""
        if state.is_world_process_zero:
            self._run.record(FINISHED)

    def _take(self, state: TrainerState, model: nn.Module) -> None:
        if not state.is_world_process_zero or state.global_step == self._last_step:
            return
        per_epoch = max(1, round(state.max_steps / state.num_train_epochs)) if state.num_train_epochs else None
        plan = Plan(state.max_steps, state.num_train_epochs, per_epoch)
        self._run.store(model, state.global_step, epoch=float(state.epoch or 0.0), plan=plan)
        self._last_step = state.global_step
