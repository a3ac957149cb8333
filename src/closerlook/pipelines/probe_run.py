"""Probe the stored snapshots of a run: label distances, centroids, classifiers; tables, dashboards, report."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from hydra.utils import instantiate

from closerlook.config import ProbeConfig, config_dir
from closerlook.errors import UserError
from closerlook.pipelines.example_files import write_example_files
from closerlook.pipelines.known_cells import KnownCells
from closerlook.pipelines.logging_targets import track_results
from closerlook.pipelines.probe_weights import compute_weights, plan_run_weights
from closerlook.pipelines.random_encoder import random_encoder_baseline
from closerlook.pipelines.scopes import plan_scoped, scoped_probes, union
from closerlook.probes.runner import NOTHING_TO_DO, FailedCell, OnCell, ProbeOutcome, run_probes
from closerlook.probes.space_probe import Scope, SpaceProbe
from closerlook.probes.weight_analysis import VectorChange, WeightAnalysis
from closerlook.representations.format import SnapshotError
from closerlook.representations.reader import SnapshotReader
from closerlook.results.rows import Place
from closerlook.results.run import RunError, RunResults
from closerlook.results.run_dir import RunDir
from closerlook.results.store import CellKey, ResultStore

log = logging.getLogger(__name__)

Probe = SpaceProbe | WeightAnalysis
"""What the ``probe`` group may hold."""

Watch = Callable[[int], OnCell]
"""Takes the number of cells, returns what is called after each of them: a progress bar."""


@dataclass(frozen=True)
class ProbeRunOutcome:
    """What probing a run gave.

    Attributes:
        run: The run.
        results: Everything measured, read back from disk.
        table: The rows of the cells that were asked for.
        probes: What was computed, what was kept and what failed.
        report: The HTML report; None when none was asked for.
        space: The page of all examples; None when none was asked for, or they were not looked at (``probe=[film]``).
        table_file: The tidy table on disk.
    """

    run: RunDir
    results: RunResults
    table: pd.DataFrame
    probes: ProbeOutcome
    report: Path | None
    space: Path | None
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


def probe(config: ProbeConfig, watch: Watch | None = None) -> ProbeRunOutcome:
    """Run the configured probes over a run's snapshots.

    Args:
        config: Settings of probe.py.
        watch: A progress bar.

    Raises:
        RunError: There is no run, a step, layer, split or probe that it does not have was asked for, or every cell
            failed.
        SnapshotError: A stored file is missing or damaged.
    """
    if config.run_dir is None:
        raise RunError(
            "run_dir is not set. Pass the directory that train.py printed, "
            "e.g. python probe.py run_dir=runs/bbc_topics/minilm_l6/seed-0"
        )
    run = RunDir(Path(config.run_dir), None if config.output_dir is None else Path(config.output_dir))
    done = probe_space(run, build_probes(config), config, watch or _unwatched)
    if done.outcome.failed and not len(done.store):
        raise RunError(_all_failed(done.outcome.failed))
    published = publish(run, config, done.store)
    table = done.store.table(_shown(done.outcome.wanted, done.scope))
    return ProbeRunOutcome(
        run,
        published.results,
        table,
        done.outcome,
        published.report,
        published.space,
        done.store.table_file,
    )


def probe_space(
    run: RunDir,
    probes: Sequence[Probe],
    config: ProbeConfig,
    watch: Watch,
    *,
    known: KnownCells | None = None,
    stored_only: bool = False,
) -> Probed:
    """Compute what is missing of a run's cells; each one is on disk before the next is taken.

    Args:
        run: The run.
        probes: The probes.
        config: Settings of probe.py.
        watch: Called with the number of cells before the first one.
        known: Cells of other runs, to be taken over where the space is the same.
        stored_only: Look at those of the splits that are stored, instead of raising when one is not.

    Raises:
        RunError: There is no run, or something was asked for that it does not store.
        SnapshotError: A stored file is missing or damaged.
    """
    run.info()  # says what is missing before anything else does
    plans = plan_run_weights(run, probes, config)
    spaces: list[SpaceProbe] = [one for one in probes if isinstance(one, SpaceProbe)]
    reader = _reader(run, required=bool(spaces) or not plans)
    if plans and reader is not None:
        spaces.append(VectorChange())
    scoped = [] if reader is None else scoped_probes(spaces, reader, config, stored_only=stored_only)
    scope = union(scoped)
    if config.verify and reader is not None:
        for step in scope.steps:
            reader.verify(step)
    store = run.store()
    if store.damaged or store.foreign:
        log.warning("%s: %s; their cells are computed again", store.path, store.left_out)
        store.mend()
    work = [] if reader is None else plan_scoped(reader, scoped)
    on_cell = watch(len(work) + sum(len(plan.keys) for plan in plans))
    outcome = NOTHING_TO_DO
    if reader is not None:
        if known is not None:
            known.give(reader, [one.key for one in work], store)
        outcome = run_probes(reader, work, store, n_jobs=config.n_jobs, on_cell=on_cell)
        if known is not None:
            known.learn(reader, store)
    for plan in plans:
        outcome += compute_weights(plan, store, on_cell)
        scope = scope.with_cells(plan.keys)
    if config.random_encoder:
        for one in scoped:
            random_encoder_baseline(run, one.probe, union([one]), store, config)
    return Probed(store, scope, outcome)


def _reader(run: RunDir, *, required: bool) -> SnapshotReader | None:
    """The run's snapshots; None where there are none and none are needed.

    Raises:
        SnapshotError: There are none, or a manifest is damaged.
    """
    try:
        return SnapshotReader(run.snapshots)
    except SnapshotError:
        if required or run.snapshots.exists():
            raise
        return None


class Published(NamedTuple):
    """What was made of a run's cells.

    Attributes:
        results: The results read back.
        report: The report; None when none is wanted.
        space: The page of all examples; None when none is wanted, or they were not looked at.
    """

    results: RunResults
    report: Path | None = None
    space: Path | None = None


def publish(run: RunDir, config: ProbeConfig, store: ResultStore) -> Published:
    """Write a run's table, report and page of examples, and send its results to the loggers."""
    store.write_table()
    made = Published(run.load())
    write_example_files(run, made.results)
    if config.report:
        from closerlook.report import build_report  # with plotly, which takes a second to load

        report = build_report(made.results, run.report_file)
        made = made._replace(report=report, space=_space_page(run))
        store.record_made(*filter(None, (report, made.space)))
    track_results(asdict(config), run.root, made.results)
    return made


def _space_page(run: RunDir) -> Path | None:
    """The page of all examples; what is wrong with it does not keep a run's numbers from being reported."""
    from closerlook.report import build_space_page

    try:
        return build_space_page(run, run.space_file)
    except UserError as error:
        log.warning("%s is not written: %s", run.space_file, error)
        return None


def build_probes(config: ProbeConfig) -> list[Probe]:
    """The probes of a configuration's ``probe`` group.

    Raises:
        RunError: None was chosen, or ``scopes`` names a probe that does not exist.
    """
    nodes: dict[str, Any] = {name: node for name, node in (config.probe or {}).items() if node is not None}
    if not nodes:
        raise RunError("no probe chosen: got an empty probe group, expected e.g. probe=[direct,linear]")
    known = {path.stem for path in (config_dir() / "probe").glob("*.yaml")} | set(nodes)
    if unknown := sorted(set(config.scopes or {}) - known):
        raise RunError(f"scopes.{unknown[0]}: no such probe; expected one of {', '.join(sorted(known))}")
    return [instantiate(node) for node in nodes.values()]


def place_name(place: Place) -> str:
    """A place in words: ``direct train layer 6 step 75``."""
    step = "" if place.step is None else f" step {place.step}"
    return f"{place.probe} {place.split} layer {place.layer}{step}"


def failures(failed: Sequence[FailedCell]) -> list[str]:
    """What went wrong and how often, the commonest first, each with the place of its first cell."""
    first = {one.error: one for one in reversed(failed)}
    counts = Counter(one.error for one in failed)
    return [
        f"{error} ({n} {'cell' if n == 1 else 'cells'}, e.g. {place_name(first[error].key.place)})"
        for error, n in counts.most_common()
    ]


def _all_failed(failed: Sequence[FailedCell]) -> str:
    causes = failures(failed)
    more = f" and {len(causes) - 3} other errors" if len(causes) > 3 else ""
    return f"all {len(failed)} cells failed, so there are no results: {'; '.join(causes[:3])}{more}"


def _shown(wanted: tuple[CellKey, ...], scope: Scope) -> list[CellKey]:
    """Cells at the layers and steps that were asked for; those over all snapshots too."""
    steps = {None, *scope.steps}
    return [key for key in wanted if key.place.layer in scope.layers and key.place.step in steps]


def _unwatched(n_cells: int) -> OnCell:
    return lambda key: None
