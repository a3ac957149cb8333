"""Locks between processes that write into the same place; the operating system drops them when a process ends."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from closerlook.errors import UserError

_NO_FLOCK = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
_POLL_SECONDS = 0.1


class HeldError(UserError):
    """Another process holds the lock."""


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock file while the block runs.

    Where the file system has no ``flock`` (some network and FUSE mounts), a file beside it stands for the lock; one
    that a killed process of this machine left behind is taken over.

    Args:
        path: The lock file; made if needed, with its folder. It stays, since deleting it would let two in.
        wait: Wait until it is free, instead of raising.

    Raises:
        HeldError: Another process holds it, and ``wait`` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise HeldError(f"another process holds {path}") from None
        except OSError as error:
            if error.errno not in _NO_FLOCK:
                raise
            with _owner_file(path.with_name(f"{path.name}.held"), wait=wait):
                yield
            return
        yield


@contextmanager
def _owner_file(path: Path, *, wait: bool) -> Iterator[None]:
    """The lock of file systems without ``flock``: a file that only one process can make."""
    while not _made(path):
        if _is_orphan(path):
            path.unlink(missing_ok=True)
        elif wait:
            time.sleep(_POLL_SECONDS)
        else:
            raise HeldError(
                f"another process holds {path} ({path.read_text().strip()}); this file system has no flock, so delete "
                "the file if that process is gone"
            )
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _made(path: Path) -> bool:
    try:
        with path.open("x") as handle:
            handle.write(f"process {os.getpid()} on {platform.node()}\n")
    except FileExistsError:
        return False
    return True


def _is_orphan(path: Path) -> bool:
    """Whether the process that made the file ran on this machine and is gone."""
    try:
        words = path.read_text().split()
    except OSError:  # let go of in this moment
        return False
    if len(words) != 4 or words[3] != platform.node():
        return False
    try:
        os.kill(int(words[1]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, ValueError):
        return False
    return False
