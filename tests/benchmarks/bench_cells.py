"""What a cell costs beside the probe's own work: CPU milliseconds at 10 and at 171 snapshots of 7 layers.

Run: python tests/benchmarks/bench_cells.py [n_jobs]. The probe does nothing but hash its vectors' checksum; what is
left is planning, reading, keeping and tabulating. The goal is 5 ms a cell, flat in the number of snapshots.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from closerlook.probes.runner import plan_cells, run_probes
from closerlook.probes.space_probe import Finding, OneSpaceProbe, Scope, where
from closerlook.representations.reader import SnapshotReader
from closerlook.representations.writer import SnapshotWriter, publish, write_examples
from closerlook.results.rows import ResultRow
from closerlook.results.store import CellKey, ResultStore

LAYERS = tuple(range(7))
SPLITS = ("train", "test")
N, D = 64, 16


@dataclass(frozen=True)
class Nothing(OneSpaceProbe):
    """Reads the vectors and says how many there are, for each of ten labels."""

    name: str = "nothing"

    def compute(self, reader: SnapshotReader, key: CellKey, scope: Scope) -> Sequence[Finding]:
        """Ten rows."""
        at = where(reader, key)
        n = len(reader.vectors(at.place.step or 0, at.place.split, at.place.layer))
        n_labels = len(set(reader.labels(at.place.split).tolist()))
        return [ResultRow(*at, "n_examples", f"label {i}", value=float(n)) for i in range(n_labels)]


def store_snapshots(root: Path, n_snapshots: int) -> None:
    """Snapshots of random vectors."""
    rng = np.random.default_rng(0)
    sizes, n_features = dict.fromkeys(SPLITS, N), dict.fromkeys(SPLITS, D)
    for split in SPLITS:
        ids = [f"{split}{i}" for i in range(N)]
        labels = [f"label {i % 10}" for i in range(N)]
        write_examples(root, split, pd.DataFrame({"example_id": ids, "text_id": ids, "label": labels, "form": ids}))
    for step in range(n_snapshots):
        rows = {split: range(N) for split in SPLITS}
        writer = SnapshotWriter(root, step, layers=LAYERS, dtype="float32", rows=rows, n_features=n_features)
        for split in SPLITS:
            vectors = rng.normal(size=(N, D)).astype(np.float32)
            writer.write(split, np.arange(N), {layer: vectors + layer for layer in LAYERS})
        writer.close()
        publish(root, step, epoch=step / 10, layers=LAYERS, dtype="float32", n_features=n_features, n_examples=sizes)


def cpu() -> float:
    """CPU seconds of this process and its ended children."""
    return sum(os.times()[:4])


def measure(n_snapshots: int, n_jobs: int) -> None:
    """Print CPU and wall milliseconds a cell: all of it, and when all cells are finished."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "snapshots"
        store_snapshots(root, n_snapshots)
        for again in (False, True):
            start, used = time.perf_counter(), cpu()
            reader = SnapshotReader(root)
            work = plan_cells(reader, [Nothing()], Scope(reader.steps, reader.layers, reader.splits))
            store = ResultStore(Path(folder) / "results")
            run_probes(reader, work, store, n_jobs=n_jobs)
            store.write_table()
            n = len(work)
            wall, spent = (1000 * (time.perf_counter() - start) / n, 1000 * (cpu() - used) / n)
            name = "kept" if again else "computed"
            print(
                f"{n_snapshots:4d} snapshots, {n:5d} cells {name:>8}: {spent:6.2f} ms CPU, {wall:6.2f} ms wall a cell"
            )


if __name__ == "__main__":
    for count in (10, 171):
        measure(count, int(sys.argv[1]) if len(sys.argv) > 1 else 1)
