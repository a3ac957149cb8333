"""Being asked to stop, by SIGTERM (a cluster takes the machine back) or Ctrl-C, is an error of its own."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)


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
def stoppable() -> Iterator[None]:
    """SIGTERM inside the block raises :class:`Interrupted`, so that what is open is closed.

    Python does so for Ctrl-C. Outside the main thread, where Python allows no handlers, nothing changes.
    """

    def stop(signum: int, frame: Any) -> None:
        raise Interrupted(signum)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.signal(signum, stop) for signum in SIGNALS}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
