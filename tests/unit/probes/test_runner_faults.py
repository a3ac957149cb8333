"""What probing costs beside the probes' own work, and what happens when something goes wrong meanwhile."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from closerlook.errors import UserError
from closerlook.probes.runner import ProbeOutcome, plan_cells, run_probes
from closerlook.probes.space_probe import Finding, OneSpaceProbe, Scope, SpaceProbe, where
from closerlook.representations import reader as reader_module
from closerlook.representations.format import Manifest, SnapshotError
from closerlook.representations.reader import SnapshotReader
from closerlook.results.rows import ResultRow
from closerlook.results.store import CellKey, ResultStore


@dataclass(frozen=True)
class Sum(OneSpaceProbe):
    """The sum of a space; kills its process at a step, if one is set."""

    deadly_step: int | None = None
    name: str = "sum"

    def compute(self, reader: SnapshotReader, key: CellKey, scope: Scope) -> Sequence[Finding]:
        at = where(reader, key)
        if at.place.step == self.deadly_step and at.place[:3] == ("sum", 1, "train"):
            os.kill(os.getpid(), signal.SIGKILL)
        vectors = reader.vectors(at.place.step or 0, at.place.split, at.place.layer)
        reader.labels(at.place.split)
        return [ResultRow(*at, "sum", value=float(vectors.sum()))]


@dataclass(frozen=True)
class Chained(Sum):
    """Says how many cells were computed before in the same chain; fails at step 5 of layer 0."""

    name: str = "chained"
    chain: ClassVar[int] = 3

    def compute_chain(
        self, reader: SnapshotReader, keys: Sequence[CellKey], scope: Scope
    ) -> Iterator[Sequence[Finding]]:
        for i, key in enumerate(keys):
            if key.place[1:] == (0, "train", 5):
                raise FloatingPointError("no convergence")
            yield [ResultRow(*where(reader, key), "before", value=float(i))]


def run(root: Path, probe: SpaceProbe, scope: Scope, store: ResultStore, n_jobs: int = 1) -> ProbeOutcome:
    reader = SnapshotReader(root)
    return run_probes(reader, plan_cells(reader, [probe], scope), store, n_jobs=n_jobs)


def test_every_file_is_read_and_hashed_once(
    snapshots: Path, scope: Scope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader for each cell and a hash of the examples for each manifest took 101 ms a cell at 171 snapshots."""
    reads: Counter[str] = Counter()
    digests: Counter[str] = Counter()
    sha256_of, read, digest = reader_module.sha256_of, Manifest.read, SpaceProbe.digest

    def counted_sha(path: Path) -> str:
        reads[str(path)] += 1
        return sha256_of(path)

    def counted_read(folder: Path) -> Manifest:
        reads[str(folder)] += 1
        return read(folder)

    def counted_digest(self: SpaceProbe, *inputs: str) -> str:
        digests[" ".join(inputs)] += 1
        return digest(self, *inputs)

    monkeypatch.setattr(reader_module, "sha256_of", counted_sha)
    monkeypatch.setattr(Manifest, "read", counted_read)
    monkeypatch.setattr(SpaceProbe, "digest", counted_digest)
    outcome = run(snapshots, Sum(), scope, ResultStore(tmp_path))
    assert outcome.n_computed == 12
    assert set(reads.values()) == {1}
    assert len(reads) == 3 + 12 + 2  # manifests, vector files, tables of examples
    assert sum(digests.values()) == 12


@pytest.mark.slow
def test_a_killed_worker_costs_its_own_cell_only(snapshots: Path, scope: Scope, tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    outcome = run(snapshots, Sum(deadly_step=5), scope, store, n_jobs=2)
    (failed,) = outcome.failed
    assert failed.key.place == ("sum", 1, "train", 5)
    assert "the process was killed" in failed.error
    assert "n_jobs=1" in failed.error
    assert outcome.n_computed == 11
    expected = ResultStore(tmp_path / "alone")
    run(snapshots, Sum(), scope, expected)
    table = expected.table()
    lost = (table.layer == 1) & (table.split == "train") & (table.step == 5)
    assert store.table().value.tolist() == table[~lost].value.tolist()


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_chain_goes_to_one_worker_and_goes_on_after_a_failure(
    snapshots: Path, scope: Scope, tmp_path: Path, n_jobs: int
) -> None:
    store = ResultStore(tmp_path)
    outcome = run(snapshots, Chained(), scope, store, n_jobs)
    assert [one.key.place[1:] for one in outcome.failed] == [(0, "train", 5)]
    found = store.table().set_index(["layer", "split", "step"]).value
    assert [found[1, "train", step] for step in (10, 5, 0)] == [0, 1, 2]  # the last snapshot first
    assert [found[0, "train", step] for step in (10, 0)] == [0, 0]  # begun anew


@dataclass(frozen=True)
class Overtaken(Sum):
    """Another process trains anew while a cell of step 5 is computed."""

    def compute(self, reader: SnapshotReader, key: CellKey, scope: Scope) -> Sequence[Finding]:
        found = super().compute(reader, key, scope)
        if key.place.step == 5:
            shutil.rmtree(reader.root / "step-00000005")
        return found


def test_snapshots_replaced_meanwhile_stop_the_probing(snapshots: Path, scope: Scope, tmp_path: Path) -> None:
    root = tmp_path / "snapshots"
    shutil.copytree(snapshots, root)
    store = ResultStore(tmp_path / "results")
    with pytest.raises(SnapshotError, match=r"deleted or replaced while they were probed.*run the same command again"):
        run(root, Overtaken(), scope, store)
    assert set(store.table().step) == {10}


def test_a_full_disk_is_one_error_and_keeps_what_is_finished(
    snapshots: Path, scope: Scope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ResultStore(tmp_path)
    add, n_added = ResultStore.add, 0

    def full_after_five(self: ResultStore, cell: object) -> None:
        nonlocal n_added
        n_added += 1
        if n_added > 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        add(self, cell)  # type: ignore[arg-type]

    monkeypatch.setattr(ResultStore, "add", full_after_five)
    with pytest.raises(UserError, match=r"the disk is full.*All cells finished before are kept. Make room"):
        run(snapshots, Sum(), scope, store)
    monkeypatch.undo()
    assert len(ResultStore(tmp_path)) == 5
    assert run(snapshots, Sum(), scope, ResultStore(tmp_path)).n_kept == 5
