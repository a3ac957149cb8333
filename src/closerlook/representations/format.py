"""Layout of a snapshot folder, and the manifest that makes a snapshot complete.

::

    snapshots/
      examples/train.parquet        one row an example, in the order of the vectors
      step-00000120/
        manifest.json               written last: a folder without it is not a snapshot
        train/layer-06.part-000.npy (n_rows, n_features), C order; one part per process that wrote
        head.npz                    the linear head that was tuned with this space, if there is one
        outputs.npz                 what a head of another kind says of each example, if there is one

Plain ``.npy`` files are memory-mapped, so one layer is read without touching the others. The manifest has the
checksum of every file and one of itself: a flipped bit anywhere is an error that names the file, never a number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from closerlook.errors import UserError
from closerlook.results.sealed import read_sealed

FORMAT_VERSION = 1
MANIFEST_FILE = "manifest.json"
HEAD_FILE = "head.npz"
OUTPUTS_FILE = "outputs.npz"
EXAMPLES_FOLDER = "examples"
STEP_PREFIX = "step-"
CONTEXT = "context"
"""Column of examples: the sentence around a word or two; empty where the form is the whole text, or it is not known."""


class SnapshotError(UserError):
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


class TunedHead(NamedTuple):
    """The linear classifier that was tuned together with a space.

    Attributes:
        layer: The layer that it reads.
        classes: (n_classes,) labels, in the order of the rows.
        weights: (n_classes, n_features).
        bias: (n_classes,).
    """

    layer: int
    classes: np.ndarray
    weights: np.ndarray
    bias: np.ndarray


class Outputs(NamedTuple):
    """What a tuned head says of each example, before the softmax.

    Attributes:
        classes: (n_classes,) names, in the order of the columns.
        scores: By split, (n_examples, n_classes) float32.
    """

    classes: np.ndarray
    scores: dict[str, np.ndarray]


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
        examples: SHA-256 of the table of examples, by split.
        head: SHA-256 of :data:`HEAD_FILE`; empty when there is none.
        outputs: SHA-256 of :data:`OUTPUTS_FILE`; empty when there is none.
        coordinates: Names what the axes are: vectors of snapshots with another name cannot be subtracted from these,
            even where they are as long. Empty for all snapshots of one training.
        format_version: :data:`FORMAT_VERSION` of the code that wrote it.
    """

    step: int
    epoch: float
    layers: tuple[int, ...]
    dtype: str
    n_features: dict[str, int]
    n_examples: dict[str, int]
    parts: dict[str, tuple[Part, ...]]
    examples: dict[str, str] = field(default_factory=dict)
    head: str = ""
    coordinates: str = ""
    outputs: str = ""
    format_version: int = FORMAT_VERSION

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read the manifest of a snapshot folder.

        Raises:
            SnapshotError: It is missing, damaged, or of another format version.
        """
        path = folder / MANIFEST_FILE
        try:
            content = read_sealed(path)
            version = content["format_version"]
            manifest = cls._parse(content) if version == FORMAT_VERSION else None
        except FileNotFoundError:
            raise SnapshotError(
                f"{folder} is not a complete snapshot: it has no {MANIFEST_FILE}. "
                "Delete the folder and run the same train.py command again."
            ) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise _damaged(folder, f"{type(error).__name__}: {error}") from error
        if manifest is None:
            raise SnapshotError(
                f"{path} has format version {version}, this code reads {FORMAT_VERSION}. "
                "Use the version of closerlook that wrote it, or train again."
            )
        if folder.name != step_folder(manifest.step):
            raise _damaged(folder, f"it is of step {manifest.step}, expected that of its folder")
        return manifest

    @classmethod
    def _parse(cls, content: dict[str, Any]) -> Manifest:
        content["layers"] = tuple(content["layers"])
        content["parts"] = {k: tuple(Part(**part) for part in v) for k, v in content["parts"].items()}
        outside = [p.file for parts in content["parts"].values() for p in parts if not _is_inside(p.file)]
        if outside:
            raise ValueError(f"got the file {outside[0]}, expected one below its folder")
        return cls(**content)


def _damaged(folder: Path, why: str) -> SnapshotError:
    return SnapshotError(
        f"{folder / MANIFEST_FILE} is damaged ({why}). Delete {folder} and run the same train.py command again."
    )


def _is_inside(file: str) -> bool:
    path = PurePosixPath(file)
    return not path.is_absolute() and ".." not in path.parts


def step_folder(step: int) -> str:
    """Folder name of the snapshot at a step."""
    return f"{STEP_PREFIX}{step:08d}"


def part_file(split: str, layer: int, part: int) -> str:
    """Path, below the snapshot's folder, of one array file."""
    return f"{split}/layer-{layer:02d}.part-{part:03d}.npy"


def part_key(split: str, layer: int) -> str:
    """Key of a layer's files in :attr:`Manifest.parts`."""
    return f"{split}/layer-{layer:02d}"


def examples_file(root: Path, split: str) -> Path:
    """The table of a split's examples."""
    return Path(root) / EXAMPLES_FOLDER / f"{split}.parquet"


def read_examples(path: Path) -> pd.DataFrame:
    """A table of examples.

    Raises:
        SnapshotError: It is damaged.
    """
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are ValueErrors and OSErrors
        raise SnapshotError(
            f"{path} is damaged: got {type(error).__name__} ({str(error)[:100]}), expected a table of examples. "
            "Run the same train.py command with overwrite=true."
        ) from error
