"""Probe the stored snapshots of a run: label distances, centroids, classifiers; tables, dashboards, report."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from closerlook.config import config_dir
from closerlook.pipelines.known_cells import KnownCells
from closerlook.pipelines.logging_targets import track_results
from closerlook.pipelines.scopes import scoped_probes, union
from closerlook.probes.runner import FailedCell, OnCell, ProbeOutcome, plan_cells, run_probes
from closerlook.probes.space_probe import Scope, SpaceProbe
from closerlook.representations.reader import SnapshotReader
from closerlook.results.run import (
    REPORT_FILE,
    RESULTS_FOLDER,
    SNAPSHOTS_FOLDER,
    RunError,
    RunInfo,
    RunResults,
    load_run,
)
from closerlook.results.store import CellKey, ResultStore

log = logging.getLogger(__name__)

Watch = Callable[[int], OnCell]
"""Takes the number of cells, returns what is called after each of them: a progress bar."""


@dataclass(frozen=True)
class ProbeRunOutcome:
    """What probing a run gave.

    Attributes:
        run_dir: The run's directory.
        results: Everything measured, read back from disk.
        table: The rows of the cells that were asked for.
        n_computed: Cells computed now.
        n_kept: Cells that were finished before.
        failed: Cells that raised.
        seconds: Wall time of the probes.
        report: The HTML report; None when none was asked for.
        table_file: The tidy table on disk.
    """

    run_dir: Path
    results: RunResults
    table: pd.DataFrame
    n_computed: int
    n_kept: int
    failed: tuple[FailedCell, ...]
    seconds: float
    report: Path | None
    table_file: Path


@dataclass(frozen=True)
class Probed:
    """Finished cells of a run, before anything is written about them.

    Attributes:
        store: Where they are.
        scope: What was looked at.
        outcome: What was computed and what was kept.
    """

    store: ResultStore
    scope: Scope
    outcome: ProbeOutcome


def probe(config: DictConfig) -> ProbeRunOutcome:
    """Run the configured probes over a run's snapshots.

    Args:
        config: A composed ``probe`` configuration.

    Raises:
        RunError: There is no run, or a step, layer, split or probe that it does not have was asked for.
        SnapshotError: A stored file is missing or damaged.
    """
    settings: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    if settings["run_dir"] is None:
        raise RunError(
            "run_dir is not set. Pass the directory that train.py printed, "
            "e.g. python probe.py run_dir=runs/bbc_topics/minilm_l6/seed-0"
        )
    run_dir = Path(settings["run_dir"])
    with cell_bar() as watch:
        done = probe_run(run_dir, build_probes(config), settings, watch)
    results, report, table_file = publish(run_dir, settings, done.store)
    outcome = done.outcome
    return ProbeRunOutcome(
        run_dir, results, done.store.table(_shown(outcome.wanted, done.scope)), outcome.n_computed, outcome.n_kept,
        outcome.failed, outcome.seconds, report, table_file,
    )  # fmt: skip


def probe_run(
    run_dir: Path,
    probes: Sequence[SpaceProbe],
    settings: Mapping[str, Any],
    watch: Watch,
    *,
    known: KnownCells | None = None,
    stored_only: bool = False,
) -> Probed:
    """Compute what is missing of a run's cells; each one is on disk before the next is taken.

    Args:
        run_dir: The run's directory.
        probes: The probes.
        settings: Resolved settings of probe.py.
        watch: Called with the number of cells before the first one.
        known: Cells of other runs, to be taken over where the space is the same.
        stored_only: Look at those of the splits that are stored, instead of raising when one is not.

    Raises:
        RunError: There is no run, or something was asked for that it does not store.
        SnapshotError: A stored file is missing or damaged.
    """
    RunInfo.load(run_dir)  # says what is missing before anything else does
    reader = SnapshotReader(run_dir / SNAPSHOTS_FOLDER)
    scoped = scoped_probes(probes, reader, settings, stored_only=stored_only)
    scope = union(scoped)
    if settings["verify"]:
        for step in scope.steps:
            reader.verify(step)
    store = ResultStore(run_dir / RESULTS_FOLDER)
    if store.damaged:
        log.warning("%d damaged line(s) in %s are computed again", store.damaged, store.folder)
    cells = plan_cells(reader, scoped, scope)
    if known is not None:
        known.give(reader, [key for _, key in cells], store)
    outcome = run_probes(
        reader.root, scoped, scope, store, n_jobs=settings["n_jobs"], on_cell=watch(len(cells)), cells=cells
    )
    if known is not None:
        known.learn(reader, store)
    if settings["random_encoder"]:
        from closerlook.pipelines.random_encoder import random_encoder_baseline

        for one in scoped:
            random_encoder_baseline(run_dir, [one.probe], union([one]), store, n_jobs=settings["n_jobs"])
    return Probed(store, scope, outcome)


def publish(run_dir: Path, settings: dict[str, Any], store: ResultStore) -> tuple[RunResults, Path | None, Path]:
    """Write a run's table and report, and send its results to the loggers.

    Returns:
        The results read back, the report's path (None when none is wanted), and the table's path.
    """
    table_file = store.write_table()
    results = load_run(run_dir)
    report = _report(results, run_dir) if settings["report"] else None
    track_results(settings, run_dir, results)
    return results, report, table_file


def _shown(wanted: tuple[CellKey, ...], scope: Scope) -> list[CellKey]:
    """Cells at the layers and steps that were asked for; those over all snapshots too."""
    return [key for key in wanted if key.layer in scope.layers and (key.step is None or key.step in scope.steps)]


def build_probes(config: DictConfig) -> list[SpaceProbe]:
    """The probes of a configuration's ``probe`` group.

    Raises:
        RunError: None was chosen, or ``scopes`` names a probe that does not exist.
    """
    from hydra.utils import instantiate

    nodes = {name: node for name, node in (config.probe or {}).items() if node is not None}
    if not nodes:
        raise RunError("no probe chosen: got an empty probe group, expected e.g. probe=[direct,linear]")
    known = {path.stem for path in (config_dir() / "probe").glob("*.yaml")} | {str(name) for name in nodes}
    if unknown := sorted(set(config.scopes or {}) - known):
        raise RunError(f"scopes.{unknown[0]}: no such probe; expected one of {', '.join(sorted(known))}")
    return [instantiate(node) for node in nodes.values()]


@contextmanager
def cell_bar() -> Iterator[Watch]:
    """A progress bar over the cells of one run."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("[bold]probing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        TextColumn("[dim]{task.description}"),
    )  # fmt: skip
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("", total=None)

        def watch(total: int) -> OnCell:
            bar.update(task, total=total)
            return lambda key: bar.update(task, advance=1, description=cell_name(key))

        yield watch


def cell_name(key: CellKey) -> str:
    """A cell in words: ``direct train layer 6 step 75``."""
    where = "" if key.step is None else f" step {key.step}"
    return f"{key.probe} {key.split} layer {key.layer}{where}"


def _report(results: RunResults, run_dir: Path) -> Path:
    from closerlook.report import build_report

    return build_report(results, run_dir / REPORT_FILE)
