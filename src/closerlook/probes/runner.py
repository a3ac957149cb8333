"""Run probes over snapshots: all cores, finished cells kept, one callback per cell for the progress bar."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import joblib
from joblib.parallel import get_active_backend

from closerlook.probes.derived import plan_derived
from closerlook.probes.space_probe import Scope, SpaceProbe
from closerlook.representations.reader import SnapshotReader
from closerlook.results.rows import ResultRow
from closerlook.results.store import Cell, CellKey, ResultStore

OnCell = Callable[[CellKey], None]

_CELLS_AT_ONCE = 8
_WATCH_SECONDS = 1.0


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


def plan_cells(reader: SnapshotReader, probes: Sequence[SpaceProbe], scope: Scope) -> list[tuple[SpaceProbe, CellKey]]:
    """All independent cells of the probes, the last snapshot's first: what people look at first."""
    cells = [(probe, key) for probe in probes for key in probe.cells(reader, scope)]
    return sorted(cells, key=lambda item: -1 if item[1].step is None else item[1].step, reverse=True)


def run_probes(
    root: Path,
    probes: Sequence[SpaceProbe],
    scope: Scope,
    store: ResultStore,
    *,
    n_jobs: int | None = None,
    on_cell: OnCell | None = None,
    cells: Sequence[tuple[SpaceProbe, CellKey]] | None = None,
) -> ProbeOutcome:
    """Compute the cells that are not finished yet, and what follows from them.

    Cells go through joblib, so a Dask or Ray backend registered with joblib spreads them over a cluster
    that sees the same files. Each worker runs its BLAS on one thread.

    Args:
        root: The run's snapshots folder.
        probes: Probes to run.
        scope: What to look at.
        store: Where finished cells are kept; each one is on disk before the next is taken.
        n_jobs: Processes; None = 1 unless a joblib backend is set around the call, -1 = all cores.
        on_cell: Called after every cell, finished now or before.
        cells: The plan, when :func:`plan_cells` was called before.

    Returns:
        What was done. Failures are in it; they do not raise.
    """
    start = time.perf_counter()
    planned = list(cells) if cells is not None else plan_cells(SnapshotReader(root), probes, scope)
    todo = [(probe, key) for probe, key in planned if key not in store]
    report = on_cell or (lambda key: None)
    for _, key in planned:
        if key in store:
            report(key)
    failed = []
    for outcome in _compute_all(root, todo, scope, n_jobs):
        if isinstance(outcome, FailedCell):
            failed.append(outcome)
        else:
            store.add(outcome)
        report(outcome.key)
    wanted = tuple(key for _, key in planned) + tuple(_derive(store))
    seconds = time.perf_counter() - start
    return ProbeOutcome(wanted, len(todo) - len(failed), len(planned) - len(todo), tuple(failed), seconds)


def _compute_all(
    root: Path, todo: list[tuple[SpaceProbe, CellKey]], scope: Scope, n_jobs: int | None
) -> Iterator[Cell | FailedCell]:
    workers = joblib.effective_n_jobs(n_jobs)
    if workers == 1 or len(todo) == 1:
        reader = SnapshotReader(root) if todo else None
        for probe, key in todo:
            yield _compute(reader, probe, key, scope)
        return
    place = root.resolve()  # a worker on another machine stands in another directory
    work = [joblib.delayed(_compute_from)(place, probe, key, scope) for probe, key in todo]
    backend, _ = get_active_backend()
    options: dict[str, object] = {}
    if type(backend).__name__ == "LokyBackend":  # a registered cluster backend limits its own workers
        options = {"backend": "loky", "inner_max_num_threads": 1, "initializer": _end_with, "initargs": (os.getpid(),)}
    with joblib.parallel_config(**options):
        if backend.supports_return_generator:
            yield from joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered")(work)
            return
        size = _CELLS_AT_ONCE * workers  # Ray's backend answers when all is done: little at once, so little is lost
        for start in range(0, len(work), size):
            yield from joblib.Parallel(n_jobs=n_jobs)(work[start : start + size])


def _end_with(parent: int) -> None:
    """End this worker when the process that started it is gone: killed, it cannot tell its workers to end."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="closerlook-parent-watch", daemon=True).start()


def _compute_from(root: Path, probe: SpaceProbe, key: CellKey, scope: Scope) -> Cell | FailedCell:
    return _compute(SnapshotReader(root), probe, key, scope)


def _compute(reader: SnapshotReader | None, probe: SpaceProbe, key: CellKey, scope: Scope) -> Cell | FailedCell:
    start = time.perf_counter()
    try:
        if reader is None:
            raise ValueError("no snapshots to read")
        rows: list[ResultRow] = probe.compute(reader, key, scope)
    except Exception as error:  # one bad cell must not sink the others; the caller reports it
        return FailedCell(key, f"{type(error).__name__}: {error}", traceback.format_exc())
    return Cell(key, time.perf_counter() - start, tuple(rows))


def _derive(store: ResultStore) -> list[CellKey]:
    """Cells that follow from all finished ones; those whose inputs have not changed are kept."""
    plans = plan_derived(store.cells())
    for key, compute in plans:
        if key not in store:
            start = time.perf_counter()
            rows = tuple(compute())
            store.add(Cell(key, time.perf_counter() - start, rows))
    return [key for key, _ in plans]
