"""Charts and tables of a Weights & Biases run: over layers, over training, and what each measure means."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import wandb

from closerlook import measures as m
from closerlook.figures.distances import label_distance_heatmap
from closerlook.figures.paths import centroid_paths
from closerlook.figures.theme import capital, name_of
from closerlook.figures.weights import weight_map
from closerlook.results.rows import OF_WEIGHTS
from closerlook.results.tables import SUMMARY_MEASURES, evenly, label_series, rows_of, splits_of
from closerlook.tracking import metric_names as names

MAX_TABLE_ROWS = 100_000
"""Larger tables are slow in the browser: they hold an even selection of the snapshots."""

_MAX_LINES = 12
_DISTANCES = {"epoch": "epoch", "step": "update", "label": "label", "other": "other", "value": "distance"}
_WEIGHTS = {"epoch": "epoch", "step": "update", "layer": "block", "label": "matrix"}
_SPACES = ["epoch", "update", "layer", "split", "probe", "measure", "value", "low", "high", "control", "n", "note"]
_ABOUT = ("name", "title", "question", "unit", "range", "higher", "control", "distrust", "source")


def wandb_table(frame: pd.DataFrame) -> wandb.Table:
    """A ``wandb.Table`` in which a missing number is empty."""
    rows: list[Any] = frame.astype(object).where(frame.notna(), None).to_numpy().tolist()
    return wandb.Table(columns=[str(name) for name in frame.columns], data=rows)


def distance_table(distances: pd.DataFrame) -> wandb.Table:
    """Label distances as a table: one row a pair and snapshot; an undefined distance is empty, with why."""
    columns = _DISTANCES | {"note": "note"}
    return wandb_table(_thinned(distances)[list(columns)].rename(columns=columns))


def _thinned(rows: pd.DataFrame) -> pd.DataFrame:
    steps = np.sort(rows["step"].unique())
    per_step = max(len(rows) // max(len(steps), 1), 1)
    return rows[rows["step"].isin(steps[evenly(len(steps), MAX_TABLE_ROWS // per_step)])]


def place_charts(table: pd.DataFrame, *, layer: int, split: str) -> dict[str, Any]:
    """By key: the distance matrix as a table and a heat map, minimum distances as lines, centroid paths."""
    where: dict[str, Any] = {"layer": layer, "split": split}
    charts: dict[str, Any] = {}
    distances = rows_of(table, m.LABEL_DISTANCE, **where)
    if len(distances):
        charts[names.DISTANCE_TABLE] = distance_table(distances)
        charts[names.DISTANCE_MAP] = label_distance_heatmap(table, **where, max_snapshots=20)
    series = label_series(table, m.MIN_DISTANCE, **where)
    if len(series):
        lines = ((str(label), series[label]) for label in series.columns)
        charts[names.MIN_DISTANCE_LINES] = _lines(lines, f"minimum distance of each label, layer {layer}, {split}")
    if len(rows_of(table, m.CENTROID_X, **where)):
        charts[names.CENTROID_PATHS] = centroid_paths(table, **where)
    return {names.chart(name, **where): content for name, content in charts.items()}


def layer_charts(table: pd.DataFrame) -> dict[str, Any]:
    """By key: each main measure against the layer, one line a snapshot."""
    charts = {}
    for measure in SUMMARY_MEASURES:
        for split in splits_of(table, measure):
            rows = rows_of(table, measure, split=split)
            rows = rows[rows["label"] == ""].drop_duplicates(["step", "layer"], keep="last")
            shots = rows.drop_duplicates("step").iloc[evenly(rows["step"].nunique(), _MAX_LINES)]
            courses = {
                f"epoch {shot.epoch:.3g}": rows[rows["step"] == shot.step].set_index("layer")["value"]
                for shot in shots.itertuples()
            }
            title = f"{capital(name_of(measure))} by layer, {split}"
            charts[names.layer_chart(measure, split=split)] = _lines(courses.items(), title, xname="layer")
    return charts


def weight_charts(table: pd.DataFrame) -> dict[str, Any]:
    """By key: the map of the weights' change, and all numbers of single matrices as a table."""
    rows = table[(table["probe"] == "weights") & (table["split"] == OF_WEIGHTS) & (table["label"] != "")]
    if rows.empty:
        return {}
    columns = _WEIGHTS | {name: name for name in ("measure", "value", "control", "n", "note")}
    shown = wandb_table(_thinned(rows)[list(columns)].rename(columns=columns))
    return {names.WEIGHT_MAP: weight_map(table, m.WEIGHT_CHANGE), names.WEIGHT_TABLE: shown}


def run_tables(table: pd.DataFrame) -> dict[str, Any]:
    """By key: all measures of spaces with the layer as a column, and what each of them means."""
    space = _thinned(table[(table["label"] == "") & (table["other"] == "")])
    if space.empty:
        return {}
    known = [m.MEASURES[name] for name in space["measure"].unique() if name in m.MEASURES]
    about = pd.DataFrame([{name: getattr(one, name) for name in _ABOUT} for one in known], columns=list(_ABOUT))
    spaces = space.rename(columns={"step": "update"})[_SPACES]
    return {names.SPACES_TABLE: wandb_table(spaces), names.ABOUT_TABLE: wandb_table(about)}


def _lines(courses: Iterable[tuple[str, pd.Series]], title: str, xname: str = names.EPOCH) -> Any:
    known = [(name, course.dropna()) for name, course in courses]
    known = [(name, course) for name, course in known if len(course)]
    return wandb.plot.line_series(
        xs=[[float(x) for x in course.index] for _, course in known],
        ys=[[float(value) for value in course] for _, course in known],
        keys=[name for name, _ in known],
        title=title,
        xname=xname,
        split_table=True,  # the tables behind charts are no panels beside them
    )
