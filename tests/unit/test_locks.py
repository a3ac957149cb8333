"""Locks between processes, also where the file system has no flock."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from closerlook.locks import HeldError, locked


@pytest.fixture(params=["flock", errno.ENOSYS, errno.ENOLCK])
def lock(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock file, on a file system with flock and on ones without."""
    if request.param != "flock":

        def missing(*_: object) -> None:
            raise OSError(request.param, os.strerror(request.param))

        monkeypatch.setattr(fcntl, "flock", missing)
    return tmp_path / "folder" / ".lock"


def test_one_at_a_time(lock: Path) -> None:
    with locked(lock), pytest.raises(HeldError, match="another process holds"), locked(lock, wait=False):
        pass
    with locked(lock, wait=False):
        pass


def test_waiting_ends_when_the_other_lets_go(lock: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with locked(lock):
            order.append("second")

    thread = threading.Thread(target=second)
    with locked(lock):
        thread.start()
        time.sleep(0.3)
        order.append("first")
    thread.join(timeout=10)
    assert order == ["first", "second"]


def test_it_is_let_go_of_after_an_error(lock: Path) -> None:
    with pytest.raises(RuntimeError, match="trouble"), locked(lock):
        raise RuntimeError("trouble")
    with locked(lock, wait=False):
        pass


def test_what_a_killed_process_left_behind_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()

    def missing(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", missing)
    held = tmp_path / ".lock.held"
    held.write_text(f"process {gone.pid} on {platform.node()}\n")
    with locked(tmp_path / ".lock", wait=False):
        pass
    held.write_text("process 1 on another-machine\n")
    with (
        pytest.raises(HeldError, match=r"process 1 on another-machine.*delete the file"),
        locked(tmp_path / ".lock", wait=False),
    ):
        pass
