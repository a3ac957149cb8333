"""Stop at a good moment: SIGTERM (a cluster takes the machine back) and Ctrl-C wait for the end of the update."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies.launchers import _MultiProcessingLauncher
from pytorch_lightning.utilities.exceptions import SIGTERMException

from closerlook.callbacks.interruption import SIGNALS, Interrupted

log = logging.getLogger(__name__)

STOPPED = 128 + signal.SIGTERM
"""Exit status of a forked training process that was asked to stop and has saved."""


class GracefulStop(pl.Callback):
    """Lets Lightning stop between two updates, where a checkpoint can be taken that resumes bit for bit.

    Lightning's own handler leaves validation and accumulated gradients half done, obeys Ctrl-C in the middle of an
    update, and with several processes exchanges messages inside the handler, which hangs when the others are at
    another place. Here the handler only notes the signal. At the end of every update, of validation and of an epoch
    all processes ask each other whether one of them was told to stop, and stop together. A second Ctrl-C stops at
    once, and so does any signal before the first update, when there is nothing to save.

    It must be the first callback: the snapshot before training may take long.

    Attributes:
        signum: The signal that asked to stop; None when none has come.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._updating = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signals over from Lightning, which puts back those from before it when it ends."""
        self._updating = False
        if threading.current_thread() is threading.main_thread():
            for signum in SIGNALS:
                signal.signal(signum, self._asked)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """From here on there is something to save."""
        self._updating = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop after an update; after the last one of an epoch, its validation comes first."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0 and not trainer.is_last_batch:
            self._stop_together(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """What came during validation may be obeyed now."""
        if trainer.is_last_batch:
            self._stop_together(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop after the snapshot and the checkpoint of the epoch."""
        self._stop_together(trainer)

    def _asked(self, signum: int, frame: Any) -> None:
        if not self._updating:
            raise Interrupted(signum)
        if self.signum == signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.signum = signum
        name = signal.Signals(signum).name
        log.warning("%s: stopping after this update and saving; the same command goes on from there", name)

    def _stop_together(self, trainer: pl.Trainer) -> None:
        if trainer.world_size > 1:
            asked = torch.tensor(self.signum or 0, device=trainer.strategy.root_device)
            torch.distributed.all_reduce(asked, op=torch.distributed.ReduceOp.MAX)
            self.signum = int(asked) or None
        if self.signum is not None:
            trainer._signal_connector.received_sigterm = True  # what its loops look at; its handler would set it


@contextmanager
def passing_signals_to_workers(trainer: pl.Trainer, stop: GracefulStop) -> Iterator[None]:
    """Where this process only waits for forked ones that train, pass a signal on to them and go on waiting.

    Args:
        trainer: The trainer, before ``fit``.
        stop: Notes the signal.

    Raises:
        Interrupted: The signal came before the processes were started.
        KeyboardInterrupt: Ctrl-C came a second time.
    """
    launcher, waiting = trainer.strategy.launcher, os.getpid()
    if not isinstance(launcher, _MultiProcessingLauncher) or threading.current_thread() is not threading.main_thread():
        yield
        return
    if launcher.is_interactive_compatible:  # forked, not spawned, which would have to pickle this
        trainer._fit_impl = _saving(trainer)  # type: ignore[method-assign]

    def forward(signum: int, frame: Any) -> None:
        if os.getpid() != waiting:  # a forked process that has not begun to train
            raise Interrupted(signum)
        if stop.signum == signum == signal.SIGINT:
            raise KeyboardInterrupt
        stop.signum = signum
        if not launcher.procs:
            raise Interrupted(signum)
        launcher.kill(signal.SIGTERM)  # not SIGINT, which a terminal has sent them, too: twice stops at once

    before = {signum: signal.signal(signum, forward) for signum in SIGNALS}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _saving(trainer: pl.Trainer) -> Callable[..., Any]:
    """``Trainer._fit_impl`` that takes the last checkpoint when training is asked to stop.

    Lightning calls ``on_exception`` in the process that started the training, which has not trained.
    """
    fit, waiting = trainer._fit_impl, os.getpid()

    def fit_and_save(*args: Any, **kwargs: Any) -> Any:
        try:
            return fit(*args, **kwargs)
        except SIGTERMException as stop:
            if os.getpid() != waiting:
                for callback in trainer.checkpoint_callbacks:
                    callback.on_exception(trainer, trainer.lightning_module, stop)
                raise SystemExit(STOPPED) from None
            raise
        except Interrupted:
            if os.getpid() != waiting:
                raise SystemExit(STOPPED) from None
            raise

    return fit_and_save


def killed_worker(trainer: pl.Trainer) -> str | None:
    """How a forked training process was ended from outside, e.g. ``process 1 of 2 by SIGKILL``; None when none was."""
    launcher = trainer.strategy.launcher
    processes = launcher.procs if isinstance(launcher, _MultiProcessingLauncher) else []
    for number, process in enumerate(processes):
        if process.exitcode is not None and process.exitcode < 0 and process.exitcode != -signal.SIGTERM:
            return f"process {number} of {len(processes)} by {signal.Signals(-process.exitcode).name}"
    return None
