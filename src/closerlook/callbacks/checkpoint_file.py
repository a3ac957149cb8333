"""Where checkpoints are, and whether one is whole; light, so that a plan of many runs is made at once."""

from __future__ import annotations

import zipfile
from pathlib import Path

from closerlook.results.run import RunError

LAST_FILE = "last.ckpt"
CHECKPOINTS_FOLDER = "checkpoints"


def check_checkpoint(path: Path) -> None:
    """Compare every record of a checkpoint with its checksum (CRC-32, which torch writes).

    Raises:
        RunError: The file is cut off or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        damaged = f"its table of contents ({error})"
    if damaged is not None:
        raise RunError(
            f"the checkpoint {path} is damaged: {damaged} fails its checksum, so the run cannot go on from it. "
            "Pass another one with ckpt_path=..., or train again from the start with overwrite=true"
        )
