"""Probe the stored snapshots of a run: label distances, centroids, classifiers; tables, dashboards, report."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from closerlook.analysis.runner import FailedCell, plan_cells, run_probes
from closerlook.analysis.space_probe import Scope, SpaceProbe
from closerlook.pipelines.logging_targets import track_results
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
    RunInfo.load(run_dir)  # says what is missing before anything else does
    reader = SnapshotReader(run_dir / SNAPSHOTS_FOLDER)
    scope = choose_scope(reader, settings["steps"], settings["layers"], settings["splits"])
    if settings["verify"]:
        for step in scope.steps:
            reader.verify(step)
    probes = build_probes(config)
    store = ResultStore(run_dir / RESULTS_FOLDER)
    if store.damaged:
        log.warning("%d damaged line(s) in %s are computed again", store.damaged, store.folder)
    outcome = _with_progress(reader, probes, scope, store, settings["n_jobs"])
    if settings["random_encoder"]:
        from closerlook.pipelines.random_encoder import random_encoder_baseline

        random_encoder_baseline(run_dir, probes, scope, store, n_jobs=settings["n_jobs"])
    table_file = store.write_table()
    results = load_run(run_dir)
    report = _report(results, run_dir) if settings["report"] else None
    track_results(settings, run_dir, results)
    return ProbeRunOutcome(
        run_dir, results, store.table(_shown(outcome.wanted, scope)), outcome.n_computed, outcome.n_kept,
        outcome.failed, outcome.seconds, report, table_file,
    )  # fmt: skip


def _shown(wanted: tuple[CellKey, ...], scope: Scope) -> list[CellKey]:
    """Cells at the layers and steps that were asked for; those over all snapshots too."""
    return [key for key in wanted if key.layer in scope.layers and (key.step is None or key.step in scope.steps)]


def build_probes(config: DictConfig) -> list[SpaceProbe]:
    """The probes of a configuration's ``probe`` group.

    Raises:
        RunError: None was chosen.
    """
    from hydra.utils import instantiate

    nodes = {name: node for name, node in (config.probe or {}).items() if node is not None}
    if not nodes:
        raise RunError("no probe chosen: got an empty probe group, expected e.g. probe=[direct,linear]")
    return [instantiate(node) for node in nodes.values()]


def choose_scope(reader: SnapshotReader, steps: Any, layers: Any, splits: list[str]) -> Scope:
    """Turn ``all``, ``first_last``, ``last`` and lists into steps, layers and splits that are there.

    Raises:
        RunError: Something was asked for that is not stored.
        SnapshotError: A table of examples is damaged.
    """
    chosen_steps = _choose("steps", steps, reader.steps, {"all": reader.steps, "first_last": _ends(reader.steps)})
    chosen_layers = _choose("layers", layers, reader.layers, {"all": reader.layers, "last": reader.layers[-1:]})
    missing = [split for split in splits if split not in reader.splits]
    if missing or not splits:
        raise RunError(f"splits={splits}: the run stores {list(reader.splits)}")
    for split in splits:
        reader.examples(split)  # a damaged table would fail every cell
    return Scope(chosen_steps, chosen_layers, tuple(splits))


def _choose(name: str, wanted: Any, stored: tuple[int, ...], words: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    if isinstance(wanted, str) and wanted in words:
        return words[wanted]
    values = [wanted] if isinstance(wanted, int) else wanted
    if isinstance(values, list) and values and all(isinstance(v, int) and v in stored for v in values):
        return tuple(sorted(set(values)))
    shown = list(stored) if len(stored) <= 20 else f"{list(stored[:10])} ... {stored[-1]} ({len(stored)} in all)"
    raise RunError(f"{name}={wanted}: expected {', '.join(words)} or a list of what the run stores: {shown}")


def _ends(steps: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(dict.fromkeys((steps[0], steps[-1])))


def _with_progress(
    reader: SnapshotReader, probes: list[SpaceProbe], scope: Scope, store: ResultStore, n_jobs: int
) -> Any:
    """Run the probes under one progress bar."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    cells = plan_cells(reader, probes, scope)
    columns = (
        TextColumn("[bold]probing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        TextColumn("[dim]{task.description}"),
    )  # fmt: skip
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("", total=len(cells))
        on_cell = _advance(bar, task)
        return run_probes(reader.root, probes, scope, store, n_jobs=n_jobs, on_cell=on_cell, cells=cells)


def _advance(bar: Any, task: Any) -> Callable[[CellKey], None]:
    def on_cell(key: CellKey) -> None:
        where = "" if key.step is None else f" step {key.step}"
        bar.update(task, advance=1, description=f"{key.probe} {key.split} layer {key.layer}{where}")

    return on_cell


def _report(results: RunResults, run_dir: Path) -> Path:
    from closerlook.report import build_report

    return build_report(results, run_dir / REPORT_FILE)
