"""Being asked to stop, by a signal of a cluster or by Ctrl-C, is an error of its own."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
"""SIGTERM: a cluster takes the machine back; SIGUSR1, SIGUSR2: SLURM's warning that a job's time is nearly up."""


class Interrupted(BaseException):
    """The work was asked to stop; the run goes on from its last checkpoint when started again.

    Not an ``Exception``, like ``KeyboardInterrupt``: code that goes on after errors must not go on after this.

    Args:
        signum: The signal that asked.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum


@contextmanager
def on_signals(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Call ``handler`` for the signals that ask to stop, inside the block.

    Outside the main thread, where Python allows no handlers, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.signal(signum, handler) for signum in SIGNALS}
    try:
        yield
    finally:
        for signum, earlier in before.items():
            signal.signal(signum, earlier)


def interrupt(signum: int, frame: Any) -> None:
    """Raise :class:`Interrupted`: a handler for :func:`on_signals` that lets what is open be closed."""
    raise Interrupted(signum)


def hand_over(signum: int) -> None:
    """Pass a warning on to whoever waited for it before, now that the work is saved.

    A launcher for SLURM (submitit) puts its job back into the queue then, and ends the process.
    """
    if signum in (signal.SIGUSR1, signal.SIGUSR2) and callable(signal.getsignal(signum)):
        signal.raise_signal(signum)
