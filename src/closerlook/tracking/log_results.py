"""Results into a Weights & Biases run: series over epochs, tables, figures, summary values, artifacts."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from closerlook import measures as m
from closerlook.redaction import redact
from closerlook.results.run import RunInfo, RunResults
from closerlook.results.tables import (
    SUMMARY_MEASURES,
    change_of,
    evenly,
    label_series,
    layers_of,
    rows_of,
    snapshots_of,
    split_for,
    splits_of,
)
from closerlook.tracking import metric_names as names
from closerlook.tracking.runs import is_online, sync_hint

if TYPE_CHECKING:
    from wandb import Run

log = logging.getLogger(__name__)

MAX_TABLE_ROWS = 100_000
"""Larger tables are slow in the browser: they hold an even selection of the snapshots."""

LABEL_SERIES = (m.MIN_DISTANCE, m.CENTROID_DISPLACEMENT)
"""Measures of labels that become a series per label; with 46 labels every one more is 92 curves."""

_defined: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()
_P = ParamSpec("_P")


def harmless(work: Callable[_P, None]) -> Callable[_P, None]:
    """W&B trouble becomes one warning: the results are on disk, and the work must go on."""

    @wraps(work)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            work(*args, **kwargs)
        except Exception as error:  # whatever W&B raises
            target: Any = args[0]
            hint = sync_hint(target) if hasattr(target, "settings") else "see the run directory"
            log.warning("W&B: %s failed (%s: %s). To send what is on disk: %s",
                        work.__name__.strip("_"), type(error).__name__, redact(str(error)), hint)  # fmt: skip

    return guarded


def define_metrics(run: Run, keys: Iterable[str]) -> None:
    """Give every metric ``epoch`` as its axis, each by its exact name.

    A pattern such as ``probe/*`` would compete with other patterns, key by key, at random.
    """
    known = _defined.setdefault(run, {names.EPOCH, names.UPDATE})
    for key in sorted(set(keys) - known):
        run.define_metric(key, step_metric=names.EPOCH)
        known.add(key)


@harmless
def log_results(run: Run, results: RunResults, label_layers: Sequence[int] | None = None) -> None:
    """Everything that was measured on a run, all snapshots in order.

    Args:
        run: An open run, see :func:`closerlook.tracking.runs.open_run`.
        results: The run's results.
        label_layers: Layers with a series per label, a distance table and figures; None takes the last one.
    """
    table = results.table
    layers = list(label_layers) if label_layers is not None else layers_of(table, m.MIN_DISTANCE)[-1:]
    rows = list(_history(table, layers))
    define_metrics(run, (key for row in rows for key in row))
    for row in rows:
        run.log(row)
    run.summary.update(summary_values(results))
    for layer in layers:  # last: tables need more of a server than numbers do
        for split in splits_of(table, m.MIN_DISTANCE):
            _log_charts(run, table, layer, split)


@harmless
def log_live(target: Any, table: pd.DataFrame) -> None:
    """Results of a probe that runs while training.

    Args:
        target: A W&B run, or any Lightning logger.
        table: Tidy results of any number of snapshots; pairs of labels are left out.
    """
    run = getattr(target, "experiment", target)
    for row in _history(table, sorted(table["layer"].unique())):
        if hasattr(run, "define_metric"):
            define_metrics(run, row)
            run.log(row)
        else:
            moment = int(row.pop(names.UPDATE))
            target.log_metrics(row, step=moment)


def _history(table: pd.DataFrame, label_layers: Sequence[int]) -> Iterator[dict[str, float]]:
    """One dictionary a snapshot: the moment, measures of spaces, and of labels at some layers.

    Undefined values are left out: a gap in the curve. Of labels, :data:`LABEL_SERIES` only.
    """
    known = table[(table["other"] == "") & table["value"].notna()]
    wanted = known["layer"].isin(label_layers) & known["measure"].isin(LABEL_SERIES)
    known = known[(known["label"] == "") | wanted]
    for _, rows in known.groupby("step", sort=True):
        moment = {names.EPOCH: float(rows["epoch"].iloc[0]), names.UPDATE: float(rows["step"].iloc[0])}
        values = rows["value"].to_numpy(dtype=float)
        yield moment | {_key(row): float(value) for row, value in zip(rows.itertuples(), values, strict=True)}


def _key(row: Any) -> str:
    where = {"split": row.split, "layer": int(row.layer)}
    if row.label:
        return names.label_metric(row.probe, row.measure, row.label, **where)
    return names.space_metric(row.probe, row.measure, **where)


@harmless
def _log_charts(run: Run, table: pd.DataFrame, layer: int, split: str) -> None:
    """The distance matrix as a table and a heat map, minimum distances as a line chart, centroid paths."""
    from closerlook.figures.distances import label_distance_heatmap
    from closerlook.figures.paths import centroid_paths

    where: dict[str, Any] = {"layer": layer, "split": split}
    charts: dict[str, Any] = {}
    distances = rows_of(table, m.LABEL_DISTANCE, **where)
    if len(distances):
        charts[names.DISTANCE_TABLE] = distance_table(distances)
        charts[names.DISTANCE_MAP] = label_distance_heatmap(table, **where, max_snapshots=20)
    series = label_series(table, m.MIN_DISTANCE, **where)
    if len(series):
        charts[names.MIN_DISTANCE_LINES] = _lines(series, f"minimum distance of each label, layer {layer}, {split}")
    if len(rows_of(table, m.CENTROID_X, **where)):
        charts[names.CENTROID_PATHS] = centroid_paths(table, **where)
    moment = snapshots_of(table).iloc[-1]
    now = {names.EPOCH: float(moment["epoch"]), names.UPDATE: float(moment["step"])}
    run.log(now | {names.chart(name, **where): content for name, content in charts.items()})


def distance_table(distances: pd.DataFrame) -> Any:
    """Label distances as a ``wandb.Table``: one row a pair and snapshot; an undefined distance is empty, with why."""
    steps = np.sort(distances["step"].unique())
    per_step = max(len(distances) // max(len(steps), 1), 1)
    kept = steps[evenly(len(steps), MAX_TABLE_ROWS // per_step)]
    columns = {"epoch": "epoch", "step": "update", "label": "label", "other": "other", "value": "distance",
               "note": "note"}  # fmt: skip
    return wandb_table(distances.loc[distances["step"].isin(kept), list(columns)].rename(columns=columns))


def wandb_table(frame: pd.DataFrame) -> Any:
    """A ``wandb.Table`` in which a missing number is empty."""
    import wandb

    rows: list[Any] = frame.astype(object).where(frame.notna(), None).to_numpy().tolist()
    return wandb.Table(columns=[str(name) for name in frame.columns], data=rows)


def _lines(series: pd.DataFrame, title: str) -> Any:
    import wandb

    lines = [(str(label), series[label].dropna()) for label in series.columns]
    lines = [(label, line) for label, line in lines if len(line)]
    return wandb.plot.line_series(
        xs=[[float(epoch) for epoch in line.index] for _, line in lines],
        ys=[[float(value) for value in line] for _, line in lines],
        keys=[label for label, _ in lines],
        title=title,
        xname=names.EPOCH,
    )


def summary_values(results: RunResults) -> dict[str, float]:
    """Before, after and change of the main measures at the last layer, for the table of runs."""
    table = results.table
    found: dict[str, float] = {}
    splits = splits_of(table, m.MEAN_MIN_DISTANCE) or ["test"]
    layers = layers_of(table, m.MEAN_MIN_DISTANCE) or layers_of(table, m.ACCURACY)
    for measure in SUMMARY_MEASURES if layers else ():
        for split in dict.fromkeys(split_for(measure, split) for split in splits):
            change = change_of(table, measure, layer=layers[-1], split=split)
            moments = {"before": change.before, "after": change.after, "change": change.after - change.before}
            found |= {
                names.summary_metric(moment, measure, split=split, layer=layers[-1]): value
                for moment, value in moments.items()
                if np.isfinite(value)
            }
    return found


def artifact_name(info: RunInfo) -> str:
    """Name of the artifact that stands for a run's snapshots; W&B allows letters, digits, ``-``, ``_`` and ``.``."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", f"snapshots-{info.title}")[:128]


@harmless
def log_snapshots_artifact(
    run: Run, snapshots_dir: Path, *, name: str, metadata: Mapping[str, Any] | None = None
) -> None:
    """Declare the snapshots as an output of the run: an artifact that refers to the files and copies nothing.

    Args:
        run: An open run.
        snapshots_dir: The folder of the snapshots.
        name: See :func:`artifact_name`.
        metadata: What to keep beside it, e.g. digests.
    """
    import wandb

    artifact = wandb.Artifact(name, type="hidden-states", metadata=redact(dict(metadata or {})))
    artifact.add_reference(Path(snapshots_dir).resolve().as_uri())
    run.log_artifact(artifact)


@harmless
def declare_input(run: Run, *, name: str, digests: Mapping[str, str], path: str | None = None) -> None:
    """Declare what a run read: by digest in its configuration, and as an artifact where there is a server.

    Args:
        run: An open run.
        name: The artifact's name, see :func:`artifact_name`.
        digests: Digests of what was read, by name.
        path: ``entity/project`` of the run that made it; None takes this run's.
    """
    run.config.update({"inputs": {name: dict(digests)}}, allow_val_change=True)
    if is_online(run):  # offline, use_artifact raises: there is no server to ask
        run.use_artifact(f"{path or f'{run.entity}/{run.project}'}/{name}:latest")
