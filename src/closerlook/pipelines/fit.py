"""Train and test one module in a run directory: trainer, callbacks, and what ends a training from outside."""

from __future__ import annotations

import os
import pickle  # its errors only
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.utilities.exceptions import MisconfigurationException, SIGTERMException
from torch.multiprocessing.spawn import ProcessException

from closerlook.callbacks.checkpoint import AtomicCheckpointIO
from closerlook.callbacks.graceful_stop import GracefulStop
from closerlook.callbacks.live_probe import LiveProbeCallback, Sink
from closerlook.callbacks.planned_length import PlannedLength
from closerlook.callbacks.snapshot import RunSnapshots
from closerlook.config import TrainConfig
from closerlook.data.datamodule import CorpusDataModule
from closerlook.interruption import Interrupted, on_signals
from closerlook.pipelines.instances import check_names, make
from closerlook.private_interfaces import forks, kill_training_processes, training_processes, wrap_fit
from closerlook.results.run import RunError
from closerlook.results.run_dir import RunDir

_STOPPED = 128 + signal.SIGTERM
"""Exit status of a forked training process that was asked to stop and has saved."""


class Listeners(NamedTuple):
    """Who hears of the length of the training (updates, updates of an epoch), and of the tables of live probes."""

    length: Callable[[int, int], None]
    live_probe: Sink


_NOT_HERE: dict[str, tuple[Callable[[Any], bool], str]] = {
    "strategy": (
        lambda value: isinstance(value, str) and "spawn" in value,
        "processes that are spawned cannot be handed the run; use trainer=ddp_cpu (forks) or trainer.strategy=ddp",
    ),
    "overfit_batches": (
        bool,
        "batches are made anew in each epoch; task.limit_train_texts=64 trains on a few texts (debug=overfit)",
    ),
    "limit_train_batches": (
        lambda value: value is not None and value <= 0,
        "nothing would be trained; finetuning.epochs=0 stores the untuned space",
    ),
    "accumulate_grad_batches": (lambda value: value is not None and value < 1, "expected 1 or more batches an update"),
}
"""Settings of the trainer that this training cannot follow: when, and what to do instead."""


def check_nodes(config: TrainConfig) -> None:
    """Refuse settings that the trainer, the optimizer or a callback does not have, before anything is done.

    Raises:
        RunError: There is such a setting or no such class, or the trainer is told what this training cannot do.
    """
    check_names(config.trainer, "trainer")
    for name, (holds, instead) in _NOT_HERE.items():
        if holds(value := config.trainer.get(name)):
            raise RunError(f"trainer.{name}={value}: {instead}")
    lengths = {name: config.trainer.get(name) for name in ("max_epochs", "max_steps")}
    if all(value in (None, -1) for value in lengths.values()):
        raise RunError(
            "the training has no end: neither trainer.max_epochs nor trainer.max_steps is a number, and the learning "
            "rate falls to zero over one of them. Set finetuning.epochs or trainer.max_steps; trainer.max_time may end "
            "it earlier"
        )
    check_names(config.optimizer, "optimizer")
    for name, node in (config.callbacks or {}).items():
        if node is not None:
            check_names(node, f"callbacks.{name}")


def n_processes(config: TrainConfig) -> int:
    """How many processes a trainer's settings ask for, over all machines."""
    devices = config.trainer.get("devices", 1)
    if isinstance(devices, list):
        devices = len(devices)
    if not isinstance(devices, int) or devices < 1:  # "auto" or -1: all there are
        devices = max(1, torch.cuda.device_count())
    return devices * int(config.trainer.get("num_nodes", 1))


def make_trainer(
    config: TrainConfig, run: RunDir, data: CorpusDataModule, loggers: list[Any], listeners: Listeners
) -> pl.Trainer:
    """The trainer that the settings describe, with the callbacks that every run has.

    Args:
        config: The settings.
        run: Where the run is written.
        data: Without a validation split in it, nothing is validated.
        loggers: Where metrics go.
        listeners: Who hears of its length and of live probes.

    Raises:
        RunError: The trainer, a callback or a plugin has no such setting, or refuses its value.
    """
    options: dict[str, Any] = {} if "validation" in data.splits else {"limit_val_batches": 0}
    plugins = [make(node, "trainer.plugins") for node in config.trainer.get("plugins") or []]
    return make(
        {key: value for key, value in config.trainer.items() if key != "plugins"},
        "trainer",
        callbacks=_callbacks(config, run, listeners),
        logger=loggers,
        default_root_dir=str(run.root),
        plugins=[*plugins, AtomicCheckpointIO()],
        **options,
    )


def _callbacks(config: TrainConfig, run: RunDir, listeners: Listeners) -> list[pl.Callback]:
    named = {name: node for name, node in (config.callbacks or {}).items() if node is not None}
    callbacks: list[pl.Callback] = [make(node, f"callbacks.{name}") for name, node in named.items()]
    if not config.trainer.get("enable_progress_bar", True):
        callbacks = [callback for callback in callbacks if not isinstance(callback, ProgressBar)]
    if config.snapshot.enabled:
        size = config.finetuning.eval_batch_size
        callbacks.insert(0, RunSnapshots(run.snapshots, config.snapshot, default_batch_size=size))
    for callback in callbacks:
        if isinstance(callback, LiveProbeCallback):
            callback.attach(run.results, listeners.live_probe)
    return [GracefulStop(), PlannedLength(listeners.length), *callbacks]


def fit(trainer: pl.Trainer, module: pl.LightningModule, data: CorpusDataModule, checkpoint: Path | None) -> None:
    """Train; when a signal asked to stop, raise once everything is saved.

    Raises:
        Interrupted: SIGTERM or Ctrl-C came.
        RunError: One of several training processes was killed, or Lightning refuses a setting when training starts.
    """
    stop = next(callback for callback in trainer.callbacks if isinstance(callback, GracefulStop))  # type: ignore[attr-defined]
    path = str(checkpoint) if checkpoint else None
    try:
        with _passing_signals_to_workers(trainer, stop):
            trainer.fit(module, datamodule=data, ckpt_path=path, weights_only=True)
    except SIGTERMException:
        raise Interrupted(stop.signum or signal.SIGTERM) from None
    except MisconfigurationException as error:
        raise RunError(f"the trainer cannot be used so: {' '.join(str(error).split())[:500]}") from error
    except ProcessException as error:
        if getattr(error, "exit_code", None) == _STOPPED:
            raise Interrupted(stop.signum or signal.SIGTERM) from None
        if (killed := _killed_worker(trainer)) is not None:
            raise RunError(
                f"a training process was killed: {killed} (out of memory? the kernel ends processes with SIGKILL; "
                "see dmesg). The others have ended. The same command goes on from the last checkpoint"
            ) from error
        raise
    except SystemExit:  # Lightning's answer to Ctrl-C
        if trainer.interrupted:
            raise Interrupted(signal.SIGINT) from None
        raise
    if trainer.interrupted or stop.signum is not None:
        raise Interrupted(stop.signum or signal.SIGINT)


@contextmanager
def _passing_signals_to_workers(trainer: pl.Trainer, stop: GracefulStop) -> Iterator[None]:
    """Where this process only waits for others that train, pass a signal on to them and go on waiting."""
    if training_processes(trainer) is None:
        yield
        return
    waiting = os.getpid()
    if forks(trainer):
        wrap_fit(trainer, lambda fit: _saving(trainer, fit))

    def forward(signum: int, frame: Any) -> None:
        if os.getpid() != waiting:  # a forked process that has not begun to train
            raise Interrupted(signum)
        if stop.signum == signum == signal.SIGINT:
            raise KeyboardInterrupt
        stop.signum = signum
        if not training_processes(trainer):
            raise Interrupted(signum)
        kill_training_processes(trainer, signal.SIGTERM)  # a terminal sends them SIGINT too: twice stops at once

    with on_signals(forward):
        yield


def _saving(trainer: pl.Trainer, fit: Callable[..., Any]) -> Callable[..., Any]:
    """What runs in each forked process: it takes the last checkpoint when training is asked to stop."""
    waiting = os.getpid()

    def fit_and_save(*args: Any, **kwargs: Any) -> Any:
        try:
            return fit(*args, **kwargs)
        except (SIGTERMException, Interrupted) as stop:
            if os.getpid() == waiting:
                raise
            if isinstance(stop, SIGTERMException):
                for callback in trainer.checkpoint_callbacks:
                    callback.on_exception(trainer, trainer.lightning_module, stop)
            raise SystemExit(_STOPPED) from None

    return fit_and_save


def _killed_worker(trainer: pl.Trainer) -> str | None:
    """How a training process was ended from outside, e.g. ``process 1 of 2 by SIGKILL``; None when none was."""
    processes = training_processes(trainer) or []
    for number, process in enumerate(processes):
        if process.exitcode is not None and process.exitcode < 0 and process.exitcode != -signal.SIGTERM:
            return f"process {number} of {len(processes)} by {signal.Signals(-process.exitcode).name}"
    return None


def step_of(checkpoint: Path | None) -> int | None:
    """The number of updates at a checkpoint; None without one.

    Raises:
        RunError: It is no checkpoint, or holds Python objects, which are never unpickled.
    """
    if checkpoint is None:
        return None
    try:
        return int(torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["global_step"])
    except (pickle.UnpicklingError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"the checkpoint {checkpoint} cannot be read: got {type(error).__name__}, expected tensors and plain "
            "values of a run of train.py (Python objects are never unpickled). Pass another one with ckpt_path=..."
        ) from error
