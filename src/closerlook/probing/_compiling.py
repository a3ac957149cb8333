"""Where numba keeps what it compiled: its own places, else a temporary folder, else nowhere.

An installed package may be read-only and a container may have no home to write to. Numba then raises while it reads
the decorators, before anything can be asked of the probe. ``CACHE`` says what to pass to them as ``cache``.
"""

import os
import tempfile
from pathlib import Path

import numba


def _is_cacheable() -> bool:
    """Whether numba finds a folder that it can write to."""
    try:
        numba.njit(cache=True)(_is_cacheable)
    except RuntimeError:
        return False
    return True


def _offer_temporary_folder() -> None:
    """Have numba write to a temporary folder of this user's own: compiled code that others wrote must not be run."""
    folder = Path(tempfile.gettempdir()) / f"closerlook-numba-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid == os.getuid() and not folder.stat().st_mode & 0o022:
            numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
    except OSError:
        return


if not _is_cacheable():
    _offer_temporary_folder()
CACHE = _is_cacheable()
