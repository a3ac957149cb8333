"""Layout of a snapshot folder, and the manifest that makes a snapshot complete.

::

    snapshots/
      examples/train.parquet        one row an example, in the order of the vectors
      step-00000120/
        manifest.json               written last: a folder without it is not a snapshot
        train/layer-06.part-000.npy (n_rows, n_features), C order; one part per process that wrote

Plain ``.npy`` files are memory-mapped, so one layer is read without touching the others.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FORMAT_VERSION = 1
MANIFEST_FILE = "manifest.json"
EXAMPLES_FOLDER = "examples"
STEP_PREFIX = "step-"
_CHUNK = 1 << 22


class SnapshotError(ValueError):
    """A snapshot that is missing, unfinished, damaged or of another format; the message says which file."""


@dataclass(frozen=True)
class Part:
    """One array file of a layer.

    Attributes:
        file: Path below the snapshot's folder.
        start: Position of its first row among the split's examples.
        n_rows: Number of its rows.
        sha256: Checksum of the file's bytes.
    """

    file: str
    start: int
    n_rows: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a complete snapshot holds.

    Attributes:
        step: Number of optimizer updates so far; 0 = before training.
        epoch: The same moment in epochs.
        layers: Layers stored; 0 = embeddings, L = output of block L.
        dtype: ``float32`` or ``float16``.
        n_features: Length of a vector, by split.
        n_examples: Number of examples, by split.
        parts: Files by ``split/layer``, ordered by their first row.
        format_version: :data:`FORMAT_VERSION` of the code that wrote it.
    """

    step: int
    epoch: float
    layers: tuple[int, ...]
    dtype: str
    n_features: dict[str, int]
    n_examples: dict[str, int]
    parts: dict[str, tuple[Part, ...]]
    format_version: int = FORMAT_VERSION

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries and lists."""
        return asdict(self)

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read the manifest of a snapshot folder.

        Raises:
            SnapshotError: It is missing, damaged, or of another format version.
        """
        path = folder / MANIFEST_FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            version = content["format_version"]
        except FileNotFoundError:
            raise SnapshotError(f"{folder} is not a complete snapshot: it has no {MANIFEST_FILE}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise SnapshotError(f"{path} is damaged ({error}). Delete {folder} and train again.") from error
        if version != FORMAT_VERSION:
            raise SnapshotError(
                f"{path} has format version {version}, this code reads {FORMAT_VERSION}. "
                "Use the version of closerlook that wrote it, or train again."
            )
        content["layers"] = tuple(content["layers"])
        content["parts"] = {k: tuple(Part(**part) for part in v) for k, v in content["parts"].items()}
        return cls(**content)


def step_folder(step: int) -> str:
    """Folder name of the snapshot at a step."""
    return f"{STEP_PREFIX}{step:08d}"


def part_file(split: str, layer: int, part: int) -> str:
    """Path, below the snapshot's folder, of one array file."""
    return f"{split}/layer-{layer:02d}.part-{part:03d}.npy"


def part_key(split: str, layer: int) -> str:
    """Key of a layer's files in :attr:`Manifest.parts`."""
    return f"{split}/layer-{layer:02d}"


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
