"""Read snapshots back: one layer at a time, memory-mapped, each file compared with its checksum first."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from closerlook.files import sha256_of
from closerlook.representations.format import (
    CONTEXT,
    HEAD_FILE,
    MANIFEST_FILE,
    OUTPUTS_FILE,
    STEP_PREFIX,
    Manifest,
    Part,
    SnapshotError,
    TunedHead,
    examples_file,
    part_key,
    read_examples,
    step_folder,
)


class SnapshotReader:
    """The complete snapshots of a run, in the order of their steps.

    Unfinished folders are invisible. The list is read when the object is made.

    Args:
        root: The run's snapshots folder.

    Raises:
        SnapshotError: The folder is missing or holds no complete snapshot.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        folders = sorted(self.root.glob(f"{STEP_PREFIX}*")) if self.root.is_dir() else []
        self.manifests: dict[int, Manifest] = {}
        self._stamps: dict[int, tuple[int, ...] | None] = {}
        self._examples: dict[str, pd.DataFrame] = {}
        self._labels: dict[str, np.ndarray] = {}
        self._intact: set[Path] = set()
        for folder in folders:
            stamp = _stamp(folder)
            manifest = Manifest.read(folder)
            self.manifests[manifest.step] = manifest
            self._stamps[manifest.step] = stamp
        if not self.manifests:
            raise SnapshotError(
                f"no complete snapshot in {self.root}: expected folders {STEP_PREFIX}00000000 and so on. "
                "train.py writes them; check that snapshot.enabled was not false."
            )

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps of the complete snapshots, ascending."""
        return tuple(sorted(self.manifests))

    @property
    def layers(self) -> tuple[int, ...]:
        """Layers that every snapshot holds, ascending."""
        common = set.intersection(*(set(m.layers) for m in self.manifests.values()))
        return tuple(sorted(common))

    @property
    def all_layers(self) -> tuple[int, ...]:
        """Layers that some snapshot holds, ascending: of models of several depths, more than all have."""
        return tuple(sorted(set().union(*(set(m.layers) for m in self.manifests.values()))))

    def has(self, step: int, layer: int) -> bool:
        """Whether a snapshot holds a layer."""
        return step in self.manifests and layer in self.manifests[step].layers

    def apart(self, first: int, step: int, split: str, layer: int) -> str:
        """Why vectors of two snapshots cannot be subtracted from each other; empty where they can.

        That is so of models of different widths or depths, and of models that were trained apart.
        """
        a, b = self._manifest(first), self._manifest(step)
        if layer not in a.layers:
            return f"the first snapshot has no layer {layer}"
        if a.n_features[split] != b.n_features[split]:
            return f"the spaces have {a.n_features[split]} and {b.n_features[split]} features; only equal ones subtract"
        if a.coordinates != b.coordinates:
            return "the encoder does not come from that of the first snapshot, so they have no coordinates in common"
        return ""

    def alike(self, split: str, layer: int) -> tuple[int, ...]:
        """The snapshots whose vectors of a layer can be subtracted from those of the first one that has it."""
        there = [step for step in self.steps if self.has(step, layer)]
        return tuple(step for step in there if not self.apart(there[0], step, split, layer))

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits that every snapshot holds, in the order in which they were written."""
        manifests = list(self.manifests.values())
        return tuple(s for s in manifests[0].n_examples if all(s in m.n_examples for m in manifests))

    def epoch(self, step: int) -> float:
        """The moment of a snapshot in epochs."""
        return self._manifest(step).epoch

    def examples(self, split: str) -> pd.DataFrame:
        """The examples of a split: columns ``example_id, text_id, label, form, context``, a row a vector.

        Raises:
            SnapshotError: There is no such split, or its table is damaged.
        """
        if split not in self._examples:  # of 171 snapshots, each would read and hash it again
            self._examples[split] = self._read_examples(split)
        return self._examples[split]

    def labels(self, split: str) -> np.ndarray:
        """(n_examples,) label names of a split."""
        if split not in self._labels:
            self._labels[split] = self.examples(split)["label"].to_numpy(dtype=object).astype(str)
        return self._labels[split]

    @property
    def identity(self) -> str:
        """What tells these snapshots from others that were in the same folder before."""
        return repr(sorted(self._stamps.items()))

    def is_as_read(self, steps: Iterable[int]) -> bool:
        """Whether these snapshots are still the ones on disk: nobody deleted or replaced them meanwhile."""
        return all(_stamp(self.root / step_folder(step)) == self._stamps[step] for step in steps)

    def vectors(self, step: int, split: str, layer: int) -> np.ndarray:
        """(n_examples, n_features) vectors of one layer, read-only; a memory map when one process wrote it.

        Raises:
            SnapshotError: No such snapshot, split or layer, or a file is missing or differs from its checksum.
        """
        manifest = self._manifest(step)
        parts = manifest.parts.get(part_key(split, layer))
        if parts is None:
            raise SnapshotError(
                f"snapshot at step {step} has no layer {layer} of split {split!r}: "
                f"got layers {list(manifest.layers)} and splits {list(manifest.n_examples)}"
            )
        arrays = [self._load(step, part, manifest.n_features[split]) for part in parts]
        array = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        array.flags.writeable = False
        return array

    def head(self, step: int) -> TunedHead | None:
        """The linear head that was tuned together with a space; None where none was stored.

        Raises:
            SnapshotError: There is no such snapshot, or the file is missing or differs from its checksum.
        """
        checksum = self._manifest(step).head
        if not checksum:
            return None
        path = self.root / step_folder(step) / HEAD_FILE
        self._require_intact(path, checksum)
        with np.load(path, allow_pickle=False) as stored:
            return TunedHead(int(stored["layer"]), stored["classes"], stored["weights"], stored["bias"])

    def outputs(self, step: int, split: str) -> tuple[np.ndarray, np.ndarray] | None:
        """What the tuned head says of the examples: (n_classes,) names, and (n_examples, n_classes) before the softmax.

        From the file that a snapshot of a whole model has, or the linear head of our own trainings on its layer.

        Returns:
            None where there is no head.

        Raises:
            SnapshotError: A file is missing or differs from its checksum.
        """
        manifest = self._manifest(step)
        if manifest.outputs:
            path = self.root / step_folder(step) / OUTPUTS_FILE
            self._require_intact(path, manifest.outputs)
            with np.load(path, allow_pickle=False) as stored:
                return stored["classes"].astype(str), stored[f"scores.{split}"]
        head = self.head(step)
        if head is None or not self.has(step, head.layer):
            return None
        return head.classes.astype(str), self.vectors(step, split, head.layer) @ head.weights.T + head.bias

    def outputs_digest(self, step: int, split: str) -> str:
        """Digest of what :meth:`outputs` gives; empty where there is no head."""
        manifest = self._manifest(step)
        if manifest.outputs or not manifest.head:
            return manifest.outputs
        return f"{manifest.head}-{self.checksum(step, split, manifest.layers[-1])}"

    def checksum(self, step: int, split: str, layer: int) -> str:
        """Digest of the stored vectors, as recorded when they were written."""
        return "-".join(part.sha256[:16] for part in self._manifest(step).parts[part_key(split, layer)])

    def verify(self, step: int) -> None:
        """Compare all files of a snapshot with their checksums.

        Raises:
            SnapshotError: A file is missing or its bytes have changed; the message names it.
        """
        for parts in self._manifest(step).parts.values():
            for part in parts:
                self._require_intact(self.root / step_folder(step) / part.file, part.sha256)
        self.head(step)

    def _read_examples(self, split: str) -> pd.DataFrame:
        path = examples_file(self.root, split)
        if not path.exists():
            raise SnapshotError(f"no split {split!r} in {self.root}: got splits {', '.join(self.splits)}")
        table, checksum = read_examples(path), sha256_of(path)
        for manifest in self.manifests.values():
            expected = manifest.n_examples.get(split, len(table))
            if len(table) != expected or manifest.examples.get(split, checksum) != checksum:
                raise SnapshotError(
                    f"{path} is damaged: got {len(table)} examples or other bytes than snapshot {manifest.step} was "
                    f"written with, expected {expected}. Run the same train.py command with overwrite=true."
                )
        return _with_context(table)

    def _manifest(self, step: int) -> Manifest:
        if step not in self.manifests:
            raise SnapshotError(f"no snapshot at step {step} in {self.root}: got steps {list(self.steps)}")
        return self.manifests[step]

    def _load(self, step: int, part: Part, n_features: int) -> np.ndarray:
        path = self.root / step_folder(step) / part.file
        if path not in self._intact:  # 20 ms for 30 MB, once a reader
            self._require_intact(path, part.sha256)
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError, OverflowError) as error:  # a header may claim more than there is
            raise SnapshotError(
                f"{path} cannot be read ({error}). Delete {path.parent.parent} and run train.py again."
            ) from error
        if array.shape != (part.n_rows, n_features):
            raise SnapshotError(
                f"{path} is damaged: got shape {array.shape}, its manifest says {(part.n_rows, n_features)}. "
                f"Delete {path.parent.parent} and run train.py again."
            )
        return array

    def _require_intact(self, path: Path, sha256: str) -> None:
        if not _is_intact(path, sha256):
            raise SnapshotError(
                f"{path} is damaged or missing: expected the bytes of the checksum that was written with it. "
                f"Delete the folder {path.parent.parent} and run the same train.py command again."
            )
        self._intact.add(path)


def _is_intact(path: Path, sha256: str) -> bool:
    """Whether a file is there and has its checksum."""
    try:
        return sha256_of(path) == sha256
    except OSError:
        return False


def _stamp(folder: Path) -> tuple[int, ...] | None:
    """What tells a snapshot from another one at the same step; None when there is none."""
    try:
        stat = (folder / MANIFEST_FILE).stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def stored_examples(root: Path) -> dict[str, pd.DataFrame]:
    """The tables of examples in a snapshots folder by split, train first, whether or not snapshots are there.

    Raises:
        SnapshotError: A table is damaged.
    """
    paths = sorted(examples_file(root, "train").parent.glob("*.parquet"), key=lambda path: (path.stem != "train", path))
    return {path.stem: _with_context(read_examples(path)) for path in paths}


def _with_context(table: pd.DataFrame) -> pd.DataFrame:
    return table if CONTEXT in table else table.assign(**{CONTEXT: ""})  # earlier versions stored none
