"""Write snapshots: streaming, bounded in memory, complete or absent."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from closerlook.files import replacing, sha256_of, write_json
from closerlook.representations.format import (
    CONTEXT,
    HEAD_FILE,
    MANIFEST_FILE,
    OUTPUTS_FILE,
    Manifest,
    Outputs,
    Part,
    SnapshotError,
    TunedHead,
    examples_file,
    part_file,
    part_key,
    read_examples,
    step_folder,
)
from closerlook.results.sealed import write_sealed

EXAMPLE_COLUMNS = ("example_id", "text_id", "label", "form")


def write_examples(root: Path, split: str, examples: pd.DataFrame) -> None:
    """Write the examples of a split, once for all snapshots of a run.

    Args:
        root: The run's snapshots folder.
        split: The split's name.
        examples: Columns :data:`EXAMPLE_COLUMNS`, perhaps :data:`CONTEXT`, in the order of the vectors' rows.

    Raises:
        SnapshotError: The folder already holds other examples, so its snapshots would be mixed up, or a damaged
            table of them.
    """
    path = examples_file(root, split)
    columns = list(EXAMPLE_COLUMNS)
    context = examples.get(CONTEXT, "")
    examples = examples.loc[:, columns].assign(**{CONTEXT: context}).reset_index(drop=True).astype("str")
    if path.exists():
        if not read_examples(path)[columns].astype("str").equals(examples[columns]):  # earlier versions had no context
            raise SnapshotError(
                f"{path} lists other examples than this run snapshots. "
                "Choose another run directory, or delete the old one."
            )
        return
    with replacing(path) as temporary:
        examples.to_parquet(temporary, index=False)


class SnapshotWriter:
    """One process's share of one snapshot.

    Rows arrive in any order and go straight to memory-mapped files in a temporary folder. When every
    process has called :meth:`close`, one of them calls :func:`publish`, which writes the manifest and
    renames the folder into place. Until then no reader sees the snapshot.

    Args:
        root: The run's snapshots folder.
        step: Number of optimizer updates so far.
        layers: Layers to store.
        dtype: ``float32`` or ``float16``.
        rows: By split, the range of example positions that this process writes.
        n_features: By split, the length of a vector.
        part: This process's rank.
    """

    def __init__(
        self,
        root: Path,
        step: int,
        *,
        layers: Sequence[int],
        dtype: str,
        rows: dict[str, range],
        n_features: dict[str, int],
        part: int = 0,
    ) -> None:
        self.folder = _temporary_folder(root, step)
        self.layers = tuple(layers)
        self._rows = rows
        self._part = part
        self._arrays: dict[tuple[str, int], np.memmap] = {}
        self._seen = {split: np.zeros(len(positions), dtype=bool) for split, positions in rows.items()}
        for split, positions in rows.items():
            (self.folder / split).mkdir(parents=True, exist_ok=True)
            for layer in self.layers:
                self._arrays[split, layer] = np.lib.format.open_memmap(
                    self.folder / part_file(split, layer, part),
                    mode="w+",
                    dtype=np.dtype(dtype),
                    shape=(len(positions), n_features[split]),
                )

    def write(self, split: str, positions: np.ndarray, vectors: dict[int, np.ndarray]) -> None:
        """Store the vectors of some examples.

        Args:
            split: The split's name.
            positions: (n,) positions of the examples in the split, within this process's range.
            vectors: By layer, (n, n_features).

        Raises:
            SnapshotError: A vector is not finite, or does not fit into the stored type.
        """
        rows = positions - self._rows[split].start
        for layer in self.layers:
            target = self._arrays[split, layer]
            with np.errstate(over="ignore"):
                values = vectors[layer].astype(target.dtype, copy=False)
            if not np.isfinite(values).all():
                bad = positions[~np.isfinite(values).all(axis=1)][0]
                raise SnapshotError(
                    f"the vector of {split} example {bad} at layer {layer} is not finite as {target.dtype}: "
                    "got NaN or infinity, expected numbers. Lower the learning rate, or set snapshot.dtype=float32."
                )
            target[rows] = values
        self._seen[split][rows] = True

    def close(self) -> None:
        """Flush to disk and record the parts of this process.

        Raises:
            SnapshotError: Some example of this process's range was never written.
        """
        for split, seen in self._seen.items():
            if not seen.all():
                raise SnapshotError(f"snapshot misses {int((~seen).sum())} of {len(seen)} {split} examples")
        parts = {}
        for (split, layer), array in self._arrays.items():
            array.flush()
            file = part_file(split, layer, self._part)
            rows = self._rows[split]
            part = Part(file, rows.start, len(rows), sha256_of(self.folder / file))
            parts[part_key(split, layer)] = asdict(part)
        self._arrays.clear()
        write_json(self.folder / f"parts-{self._part:03d}.json", parts)

    def abort(self) -> None:
        """Drop everything written so far."""
        self._arrays.clear()
        shutil.rmtree(self.folder, ignore_errors=True)


def publish(
    root: Path,
    step: int,
    *,
    epoch: float,
    layers: Sequence[int],
    dtype: str,
    n_features: dict[str, int],
    n_examples: dict[str, int],
    n_parts: int = 1,
    head: TunedHead | None = None,
    coordinates: str = "",
    outputs: Outputs | None = None,
) -> Path:
    """Make a snapshot visible once all its parts are closed: manifest first, then one rename.

    Returns:
        The snapshot's folder.

    Raises:
        SnapshotError: A process has not closed its part.
    """
    temporary = _temporary_folder(root, step)
    parts: dict[str, list[Part]] = {}
    for index in range(n_parts):
        record = temporary / f"parts-{index:03d}.json"
        if not record.exists():
            raise SnapshotError(f"snapshot at step {step}: process {index} of {n_parts} has not finished its part")
        for key, part in json.loads(record.read_text(encoding="utf-8")).items():
            parts.setdefault(key, []).append(Part(**part))
        record.unlink()
    ordered = {key: tuple(sorted(group, key=lambda part: part.start)) for key, group in parts.items()}
    tables = {split: examples_file(root, split) for split in n_examples}
    examples = {split: sha256_of(path) for split, path in tables.items() if path.exists()}
    checksum = "" if head is None else _write_head(temporary / HEAD_FILE, head)
    manifest = Manifest(
        step,
        epoch,
        tuple(layers),
        dtype,
        n_features,
        n_examples,
        ordered,
        examples,
        checksum,
        coordinates,
        "" if outputs is None else _write_outputs(temporary / OUTPUTS_FILE, outputs),
    )
    write_sealed(temporary / MANIFEST_FILE, asdict(manifest))
    final = root / step_folder(step)
    if final.exists():  # the same step again, after a resume: the new one is as good, and complete
        shutil.rmtree(final)
    os.replace(temporary, final)
    return final


def _write_head(path: Path, head: TunedHead) -> str:
    """Store a head; returns its checksum."""
    np.savez(path, layer=np.array(head.layer), classes=head.classes, weights=head.weights, bias=head.bias)
    return sha256_of(path)


def _write_outputs(path: Path, outputs: Outputs) -> str:
    """Store what a head says of the examples; returns the file's checksum."""
    scores: dict[str, Any] = {f"scores.{split}": values for split, values in outputs.scores.items()}
    np.savez(path, classes=outputs.classes, **scores)
    return sha256_of(path)


def discard_unfinished(root: Path) -> list[str]:
    """Remove what an interrupted process left behind; returns the names of the removed folders."""
    leftovers = sorted(root.glob(".writing-*")) if root.exists() else []
    for folder in leftovers:
        shutil.rmtree(folder, ignore_errors=True)
    return [folder.name for folder in leftovers]


def _temporary_folder(root: Path, step: int) -> Path:
    return Path(root) / f".writing-{step_folder(step)}"
