"""Stop at a good moment: SIGTERM (a cluster takes the machine back) and Ctrl-C wait for the end of the update."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytorch_lightning as pl

from closerlook.callbacks.interruption import SIGNALS, Interrupted

log = logging.getLogger(__name__)

_Handler = Callable[[int, Any], Any]


class GracefulStop(pl.Callback):
    """Lets Lightning stop between two updates, where a checkpoint can be taken that resumes bit for bit.

    Lightning stops after the current batch on SIGTERM; validation, however, it would leave half done, and
    Ctrl-C it obeys in the middle of an update. Here both wait: for the end of the update, and for validation
    and the checkpoint of the epoch when these are at work. A second Ctrl-C stops at once.

    Attributes:
        signum: The signal that asked to stop; None when none has come.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._lightning: _Handler | None = None
        self._before: dict[int, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signals over from Lightning."""
        if threading.current_thread() is not threading.main_thread():
            return
        handler = signal.getsignal(signal.SIGTERM)
        self._lightning = handler if callable(handler) else None
        self._before = {signum: signal.getsignal(signum) for signum in SIGNALS}

        def stop(signum: int, frame: Any) -> None:
            self._asked(trainer, signum)

        for signum in SIGNALS:
            signal.signal(signum, stop)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """What came during validation may be obeyed now."""
        if self.signum is not None:
            self._tell_lightning()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Hand the signals back."""
        self._restore()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Hand the signals back."""
        self._restore()

    def _asked(self, trainer: pl.Trainer, signum: int) -> None:
        if self.signum is not None and signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.signum = signum
        name = signal.Signals(signum).name
        log.warning("%s: stopping after this update and saving; the same command goes on from there", name)
        if not trainer.validating:
            self._tell_lightning()

    def _tell_lightning(self) -> None:
        if self._lightning is not None:
            with suppress(Interrupted):  # Lightning's handler calls the one before it, which raises
                self._lightning(signal.SIGTERM, None)

    def _restore(self) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self._before = {}
