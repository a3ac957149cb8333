"""Arrays that a probe found, too large for rows: a file of their own beside the finished cells."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from closerlook.errors import UserError
from closerlook.files import replacing, sha256_of

if TYPE_CHECKING:
    from closerlook.results.store import CellKey

ARRAYS_FOLDER = "arrays"


@dataclass(frozen=True, eq=False)
class CellArrays:
    """What a probe returns among its rows when it has something about every example.

    Attributes:
        content: Arrays by name, of numbers or text; never objects.
    """

    content: dict[str, np.ndarray]


def arrays_file(folder: Path, key: CellKey) -> Path:
    """Where the arrays of a cell are. The name is a digest: what a stranger's cells say never becomes a path."""
    digest = hashlib.sha256(json.dumps([*key.place, key.digest]).encode("utf-8")).hexdigest()
    return folder / ARRAYS_FOLDER / f"{digest[:32]}.npz"


def write_arrays(path: Path, content: dict[str, np.ndarray]) -> str:
    """Write arrays, all or nothing, and return the file's checksum."""
    with replacing(path) as temporary:
        with temporary.open("wb") as handle:
            np.savez(handle, allow_pickle=False, **content)
        return sha256_of(temporary)


def read_arrays(path: Path, sha256: str) -> dict[str, np.ndarray]:
    """Read the arrays of a cell.

    Raises:
        UserError: The file is missing, or has other bytes than were written.
    """
    try:
        if sha256_of(path) == sha256:
            with np.load(path, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        pass
    raise UserError(
        f"{path} is damaged or missing: expected the arrays that were written with its cell. Delete the file and run "
        "the same probe.py command again: its cell is computed anew"
    )
