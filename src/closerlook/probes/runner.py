"""Run probes over snapshots: all cores, finished cells kept, one callback per cell for the progress bar."""

from __future__ import annotations

import errno
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, fields
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError
from joblib.parallel import get_active_backend

from closerlook.errors import UserError
from closerlook.probes.derived import plan_derived
from closerlook.probes.space_probe import Scope, SpaceProbe
from closerlook.representations.format import SnapshotError
from closerlook.representations.reader import SnapshotReader
from closerlook.results.store import Cell, CellKey, ResultStore

OnCell = Callable[[CellKey], None]

_BUNDLES_AT_ONCE = 8
_WATCH_SECONDS = 1.0


class Work(NamedTuple):
    """One independent cell.

    Attributes:
        probe: What computes it.
        key: Its key.
        scope: What the probe looks at.
    """

    probe: SpaceProbe
    key: CellKey
    scope: Scope


@dataclass(frozen=True)
class FailedCell:
    """A piece of work that raised: its key, the error in one line, and the traceback."""

    key: CellKey
    error: str
    traceback: str


@dataclass(frozen=True)
class ProbeOutcome:
    """What running the probes gave.

    Attributes:
        wanted: Keys of all cells of the scope; the finished ones are in the store.
        n_computed: How many were computed now.
        n_kept: How many were finished before.
        failed: Cells that raised; the others are not harmed.
        seconds: Wall time.
    """

    wanted: tuple[CellKey, ...]
    n_computed: int
    n_kept: int
    failed: tuple[FailedCell, ...]
    seconds: float

    def __add__(self, other: ProbeOutcome) -> ProbeOutcome:
        return ProbeOutcome(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


NOTHING_TO_DO = ProbeOutcome((), 0, 0, (), 0.0)


def plan_cells(reader: SnapshotReader, probes: Sequence[SpaceProbe], scope: Scope) -> list[Work]:
    """All independent cells of the probes, in the order of :func:`last_first`."""
    return last_first([Work(probe, key, scope) for probe in probes for key in probe.cells(reader, scope)])


def last_first(work: Sequence[Work]) -> list[Work]:
    """The last snapshot's cells first: what people look at first; cells over all snapshots last."""
    return sorted(work, key=lambda one: -1 if one.key.place.step is None else one.key.place.step, reverse=True)


def run_probes(
    reader: SnapshotReader,
    work: Sequence[Work],
    store: ResultStore,
    *,
    n_jobs: int | None = None,
    on_cell: OnCell | None = None,
) -> ProbeOutcome:
    """Compute the cells that are not finished yet, and what follows from them.

    Cells go through joblib, so a Dask or Ray backend registered with joblib spreads them over a cluster
    that sees the same files. Each worker runs its BLAS on one thread.

    Args:
        reader: The run's snapshots.
        work: The cells, see :func:`plan_cells`.
        store: Where finished cells are kept; each one is on disk before the next is taken.
        n_jobs: Processes; None = 1 unless a joblib backend is set around the call, -1 = all cores.
        on_cell: Called after every cell, finished now or before.

    Returns:
        What was done. Cells that fail are in it; they do not raise.

    Raises:
        SnapshotError: Somebody replaced the snapshots meanwhile.
        UserError: The disk is full.
    """
    start = time.perf_counter()
    todo = [one for one in work if one.key not in store]
    report = on_cell or (lambda key: None)
    for one in work:
        if one.key in store:
            report(one.key)
    failed = []
    for outcome in _compute_all(reader, todo, n_jobs):
        if isinstance(outcome, FailedCell):
            failed.append(outcome)
        else:
            _keep(reader, store, outcome)
        report(outcome.key)
    wanted = tuple(one.key for one in work) + tuple(_derive(store))
    seconds = time.perf_counter() - start
    return ProbeOutcome(wanted, len(todo) - len(failed), len(work) - len(todo), tuple(failed), seconds)


def _keep(reader: SnapshotReader, store: ResultStore, cell: Cell) -> None:
    step = cell.key.place.step
    if not reader.is_as_read(reader.steps if step is None else (step,)):
        raise SnapshotError(
            f"the snapshots in {reader.root} were deleted or replaced while they were probed. "
            "Wait until train.py has ended, then run the same command again"
        )
    try:
        store.add(cell)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise UserError(
            f"the disk is full: could not write {store.path} ({error.strerror}). All cells finished before are kept. "
            "Make room, then run the same command again"
        ) from error


def _compute_all(reader: SnapshotReader, todo: list[Work], n_jobs: int | None) -> Iterator[Cell | FailedCell]:
    workers = joblib.effective_n_jobs(n_jobs)
    if workers == 1 or len(todo) == 1:
        for bundle in _bundles(todo):
            yield from _compute(reader, bundle)
        return
    left = {one.key: one for one in todo}
    while left:
        try:
            for outcomes in _spread(reader, _bundles(list(left.values())), n_jobs, workers):
                for outcome in outcomes:
                    del left[outcome.key]
                    yield outcome
        except TerminatedWorkerError:  # which cell it was is not known: those that were under way run alone
            for bundle in _bundles(list(left.values()))[: 2 * workers]:
                for one in bundle:
                    del left[one.key]
                    yield _compute_alone(reader, one)


def _bundles(todo: list[Work]) -> list[list[Work]]:
    """The work in pieces for one worker each: single cells, or chains of one layer and split.

    Probes that share what they compute first are in one chain, snapshot by snapshot.
    """
    bundles: list[list[Work]] = []
    open_chains: dict[object, list[Work]] = {}
    for one in todo:
        chain = one.key.place._replace(step=None, probe=one.probe.shares or one.probe.name), one.scope
        bundle = open_chains.get(chain)
        if bundle is None or sum(other.probe.name == one.probe.name for other in bundle) >= one.probe.chain:
            bundle = open_chains[chain] = []
            bundles.append(bundle)
        bundle.append(one)
    return bundles


def _spread(
    reader: SnapshotReader, bundles: list[list[Work]], n_jobs: int | None, workers: int
) -> Iterator[list[Cell | FailedCell]]:
    """Compute the bundles in other processes, in any order."""
    root = reader.root.resolve()  # a worker on another machine stands in another directory
    work = [joblib.delayed(_compute_from)(root, reader.identity, bundle) for bundle in bundles]
    backend, _ = get_active_backend()
    options: dict[str, object] = {}
    if type(backend).__name__ == "LokyBackend":  # a registered cluster backend limits its own workers
        options = {"backend": "loky", "inner_max_num_threads": 1, "initializer": _end_with, "initargs": (os.getpid(),)}
    with joblib.parallel_config(**options):
        if backend.supports_return_generator:
            yield from joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered")(work)
            return
        size = _BUNDLES_AT_ONCE * workers  # Ray's backend answers when all is done: little at once, so little is lost
        for start in range(0, len(work), size):
            yield from joblib.Parallel(n_jobs=n_jobs)(work[start : start + size])


def _end_with(parent: int) -> None:
    """End this worker when the process that started it is gone: killed, it cannot tell its workers to end."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="closerlook-parent-watch", daemon=True).start()


def _compute_alone(reader: SnapshotReader, one: Work) -> Cell | FailedCell:
    """Compute a cell in a process of its own: if that is killed, it was this cell."""
    with ProcessPoolExecutor(1, get_context("spawn"), _end_with, (os.getpid(),)) as pool:
        try:
            return pool.submit(_compute_from, reader.root.resolve(), reader.identity, [one]).result()[0]
        except BrokenProcessPool:
            error = (
                "the process was killed, by the kernel if memory ran out (see dmesg). Use fewer processes (n_jobs=1), "
                "or store fewer examples (snapshot.max_examples when training)"
            )
            return FailedCell(one.key, error, "")


def _compute_from(root: Path, identity: str, bundle: list[Work]) -> list[Cell | FailedCell]:
    return list(_compute(_reader(root, identity), bundle))


@lru_cache(maxsize=2)
def _reader(root: Path, identity: str) -> SnapshotReader:
    """A worker's reader: with many snapshots it takes longer to make than a cell."""
    return SnapshotReader(root)


def _compute(reader: SnapshotReader, bundle: list[Work]) -> Iterator[Cell | FailedCell]:
    """The cells of a bundle in order; after one that fails the chains begin anew."""
    chains = {}
    for name in dict.fromkeys(one.probe.name for one in bundle):
        work = [one for one in bundle if one.probe.name == name]
        chains[name] = iter(work[0].probe.compute_chain(reader, [one.key for one in work], work[0].scope))
    for i, (probe, key, _) in enumerate(bundle):
        start = time.perf_counter()
        try:
            found = next(chains[probe.name])
        except Exception as error:  # one bad cell must not sink the others; the caller reports it
            yield FailedCell(key, f"{type(error).__name__}: {error}", traceback.format_exc())
            if rest := bundle[i + 1 :]:
                yield from _compute(reader, rest)
            return
        yield Cell.of(key, time.perf_counter() - start, found)


def _derive(store: ResultStore) -> list[CellKey]:
    """Cells that follow from all finished ones; those whose inputs have not changed are kept."""
    plans = plan_derived(store.cells())
    for plan in plans:
        if plan.key not in store:
            start = time.perf_counter()
            rows = plan.compute()
            store.add(Cell.of(plan.key, time.perf_counter() - start, rows))
    return [plan.key for plan in plans]
