"""Results into a Weights & Biases run: series over epochs, charts over layers, tables, summary values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
import wandb

from closerlook import measures as m
from closerlook.files import write_json
from closerlook.results.run import RunResults
from closerlook.results.tables import SUMMARY_MEASURES, change_of, layers_of, split_for, splits_of
from closerlook.tracking import metric_names as names
from closerlook.tracking.artifacts import artifact_name, declare_input
from closerlook.tracking.charts import layer_charts, place_charts, run_tables, wandb_table, weight_charts
from closerlook.tracking.wandb_record import read_record
from closerlook.tracking.wandb_run import harmless, is_online, open_run
from closerlook.tracking.wandb_settings import WandbSettings

LABEL_SERIES = (m.MIN_DISTANCE, m.CENTROID_DISPLACEMENT)
"""Measures of labels that become a series per label; with 46 labels every one more is 92 curves."""

_SERIES = ["probe", "measure", "split", "layer", "label"]
_defined: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()


def define_metrics(run: wandb.Run, keys: Iterable[str], *, hidden: bool = False) -> None:
    """Give every metric ``epoch`` as its axis, each by its exact name.

    A pattern such as ``probe/*`` would compete with other patterns, key by key, at random.

    Args:
        run: An open run.
        keys: The metrics.
        hidden: W&B makes no panel of its own for them; charts, tables and saved workspaces have them all the same.
    """
    known = _defined.setdefault(run, {names.EPOCH, names.UPDATE})
    for key in sorted(set(keys) - known):
        run.define_metric(key, step_metric=names.EPOCH, hidden=hidden)
        known.add(key)


def log_probed_run(
    settings: WandbSettings,
    results: RunResults,
    config: Mapping[str, Any],
    digests: Mapping[str, str],
    examples: pd.DataFrame | None = None,
) -> None:
    """Log a probed run as a job of its own, beside the run that was trained.

    Project, entity, group and tags are that run's unless the settings or the environment name others, and so are the
    settings in the configuration: results can be grouped by learning rate. Probing again goes on with the same run.

    Args:
        settings: Where and how to log.
        results: The run's results.
        config: The settings of the probing, under ``probing`` in the W&B configuration.
        digests: Digests of the snapshots, by name.
        examples: Some examples with their texts, for a table.
    """
    trained = read_record(results.run_dir).get("train", {})
    settings = settings.inherit(trained or (results.config.get("logger") or {}).get("wandb") or {})
    if settings.name is None and trained.get("name"):
        settings = replace(settings, name=f"{trained['name']} (probe)")
    both = dict(results.config) | {"probing": dict(config)}
    with open_run(settings, run_dir=results.run_dir, info=results.info, config=both, job_type="probe") as run:
        declare_input(run, name=artifact_name(results.info), digests=digests, path=trained.get("path"))
        log_results(run, results, settings.label_layers)
        if examples is not None and len(examples):
            _log_at_end(run, results.table, {names.EXAMPLES_TABLE: wandb_table(examples)})


@harmless
def log_results(run: wandb.Run, results: RunResults, label_layers: Sequence[int] | None = None) -> None:
    """Everything that was measured on a run, all snapshots in order; what this run was sent before is not sent again.

    Args:
        run: An open run, see :func:`closerlook.tracking.wandb_run.open_run`.
        results: The run's results.
        label_layers: Layers with a series per label, a distance table and figures; None takes the last one.
    """
    table = results.table
    layers = list(label_layers) if label_layers is not None else layers_of(table, m.MIN_DISTANCE)[-1:]
    constant = _constant(table)
    rows = list(_history(table[~constant], layers))
    shown = {_key(row) for row in table[(table["label"] == "") & table["layer"].isin(layers)].itertuples()}
    define_metrics(run, {key for row in rows for key in row if key in shown and key.startswith("probe/")})
    define_metrics(run, {key for row in rows for key in row}, hidden=True)
    with _remembered(run, results.run_dir) as sent:
        for row in rows:
            if new := _unsent(row, sent):
                run.log(new)
    run.summary.update(_constants(table[constant]) | summary_values(results))
    for layer in layers:  # last: tables need more of a server than numbers do
        for split in splits_of(table, m.MIN_DISTANCE):
            _log_at_end(run, table, place_charts(table, layer=layer, split=split))
    _log_at_end(run, table, layer_charts(table) | run_tables(table) | weight_charts(table))


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


def _constant(table: pd.DataFrame) -> pd.Series:
    """Rows of what the data alone decide (sizes, the commonest label): no series."""
    fixed = [name for name, one in m.MEASURES.items() if one.family == "counts"]
    return table["measure"].isin([*fixed, m.MAJORITY_ACCURACY])


def _constants(table: pd.DataFrame) -> dict[str, float]:
    known = table.dropna(subset=["value"]).drop_duplicates(_SERIES)
    return {_key(row): float(row.value) for row in known.itertuples()}  # type: ignore[arg-type]


@contextmanager
def _remembered(run: wandb.Run, run_dir: Path) -> Iterator[dict[str, dict[str, float]]]:
    """What a run was sent, by update and key, kept beside its files: rows that W&B has cannot be changed."""
    path = run_dir / "wandb" / f"sent-{run.id}.json"
    sent: dict[str, dict[str, float]] = {}
    if run.resumed:
        with suppress(OSError, ValueError):  # without it, everything is sent again
            sent = json.loads(path.read_text(encoding="utf-8"))
    yield sent
    if is_online(run):
        write_json(path, sent)


def _unsent(row: dict[str, float], sent: dict[str, dict[str, float]]) -> dict[str, float]:
    """The part of a row that is new or has changed, with its moment; empty when there is none."""
    moment = {name: row[name] for name in (names.EPOCH, names.UPDATE)}
    before = sent.setdefault(str(row[names.UPDATE]), {})
    new = {key: value for key, value in row.items() if key not in moment and before.get(key) != value}
    before.update(new)
    return moment | new if new else {}


@harmless
def _log_at_end(run: wandb.Run, table: pd.DataFrame, charts: dict[str, Any]) -> None:
    """Charts and tables over all snapshots, at the moment of the last one."""
    if charts:
        run.log({names.EPOCH: float(table["epoch"].max()), names.UPDATE: float(table["step"].max())} | charts)


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
