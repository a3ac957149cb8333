"""The cells of a study: all seeds of one model, tuned on one task and probed on one; and what is read from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from closerlook import measures as m
from closerlook.results.tables import rows_of
from closerlook.study import paper
from closerlook.study.join import Study, StudyRun

CLASSIFIERS = ("mlp_grid", "mlp", "linear")
"""Probes whose accuracy is read, the one nearest to the paper's first."""


@dataclass(frozen=True)
class StudyCell:
    """All seeds of one setting.

    Attributes:
        model: The model, with the variant where a study has several.
        task: The task that it is probed on.
        tuned_on: The task that it was tuned on.
        runs: Its runs by seed.
        tables: Tidy results by seed; empty ones for runs that are not probed yet.
    """

    model: str
    task: str
    tuned_on: str
    runs: dict[int, StudyRun]
    tables: dict[int, pd.DataFrame]

    @property
    def own(self) -> bool:
        """Whether it is probed on the task that it was tuned on."""
        return self.task == self.tuned_on

    @property
    def variant(self) -> str:
        """What its runs' directories say besides the seed; empty for plain runs."""
        return next(iter(self.runs.values())).variant

    @property
    def title(self) -> str:
        """``task, model`` or ``task in model tuned on other``."""
        return f"{self.task}, {self.model}" if self.own else f"{self.task}, {self.model} tuned on {self.tuned_on}"

    @cached_property
    def layer(self) -> int:
        """The last block: the layer that the paper's tables are about."""
        return next(iter(self.runs.values())).info.n_layers

    @cached_property
    def classifier(self) -> str:
        """The probe whose accuracy is read: one that every probed seed has; empty when there is none."""
        return next(iter(self.classifiers), "")

    @cached_property
    def classifiers(self) -> tuple[str, ...]:
        """The probes whose accuracy every probed seed has, the one nearest to the paper's first."""
        probed = [set(t.loc[t["measure"] == m.ACCURACY, "probe"]) for t in self.tables.values() if len(t)]
        return tuple(name for name in CLASSIFIERS if probed and all(name in found for found in probed))

    @property
    def as_in_paper(self) -> bool:
        """Whether model and data are the paper's, so that its figures may stand beside."""
        info = next(iter(self.runs.values())).info
        known = paper.N_TRAIN.get(self.task)
        return info.model in paper.MODELS and known == info.n_train

    @property
    def paper_model(self) -> str:
        """The model's name in the paper's tables."""
        return next(iter(self.runs.values())).info.model


def cells_of(study: Study) -> list[StudyCell]:
    """The cells of a study, ordered by task, tuned-on task and model; runs of one seed twice: the later path stands."""
    groups: dict[tuple[str, str, str], dict[int, StudyRun]] = {}
    several = len({run.variant for run in study.runs}) > 1
    for run in study.runs:
        model = run.model if several else run.info.model
        groups.setdefault((run.info.task, run.tuned_on, model), {})[run.info.seed] = run
    tables = dict(iter(study.table.groupby("run", sort=False)))
    empty = study.table.iloc[:0]
    return [
        StudyCell(model, task, tuned_on, runs, {seed: tables.get(run.path, empty) for seed, run in runs.items()})
        for (task, tuned_on, model), runs in sorted(groups.items(), key=lambda item: item[0])
    ]


@dataclass(frozen=True)
class Moments:
    """A number of the whole space before and after, with its interval and its count; NaN where missing.

    Attributes:
        before: (value, low, high) at step 0.
        after: (value, low, high) at the last step.
        n: What it was computed from; 0 when unknown.
    """

    before: tuple[float, float, float]
    after: tuple[float, float, float]
    n: int = 0

    @property
    def change(self) -> float:
        """After less before."""
        return self.after[0] - self.before[0]


def moments(table: pd.DataFrame, measure: str, *, layer: int, split: str, probe: str | None = None) -> Moments:
    """A measure of the space at step 0 and at the table's last step; the table must be of one run."""
    rows = rows_of(table, measure, probe=probe, layer=layer, split=split)
    rows = rows[rows["label"] == ""].drop_duplicates("step", keep="last").set_index("step")
    last = last_step(table)
    counts = rows["n"].dropna()
    return Moments(_triple(rows, 0), _triple(rows, last), int(counts.iloc[-1]) if len(counts) else 0)


def last_step(table: pd.DataFrame) -> int:
    """The last step that was probed; -1 when only step 0 was, or nothing."""
    steps = table["step"]
    return int(steps.max()) if len(steps) and steps.max() > 0 else -1


def _triple(rows: pd.DataFrame, step: int) -> tuple[float, float, float]:
    if step not in rows.index:
        return (math.nan, math.nan, math.nan)
    value, low, high = (float(rows[name].to_numpy()[rows.index.get_loc(step)]) for name in ("value", "low", "high"))
    return value, low, high


def label_values(table: pd.DataFrame, measure: str, *, layer: int, split: str = "train") -> pd.DataFrame:
    """A measure of each label: index label, columns ``before`` (step 0) and ``after`` (last step)."""
    rows = rows_of(table, measure, layer=layer, split=split)
    wide = rows.pivot_table(index="label", columns="step", values="value", aggfunc="last", dropna=False)
    last = last_step(table)
    columns = {"before": wide.get(0), "after": wide.get(last)}
    return pd.DataFrame({k: v if v is not None else np.nan for k, v in columns.items()}, index=wide.index)


def distances(table: pd.DataFrame, *, layer: int, split: str, moment: str) -> pd.Series:
    """Label distances before (step 0) or after (last step), by (label, other)."""
    step = 0 if moment == "before" else last_step(table)
    rows = rows_of(table, m.LABEL_DISTANCE, layer=layer, split=split)
    rows = rows[rows["step"] == step].drop_duplicates(["label", "other"], keep="last")
    return rows.set_index(["label", "other"])["value"]


def matrices(*vectors: pd.Series) -> tuple[np.ndarray, ...]:
    """Distance vectors as (n, n) matrices over the labels that all of them have; NaN where undefined."""
    labels = sorted(set.intersection(*({x for pair in v.index for x in pair} for v in vectors)))
    place = {label: i for i, label in enumerate(labels)}
    found = []
    for vector in vectors:
        matrix = np.full((len(labels), len(labels)), np.nan)
        named = zip(vector.index.tolist(), vector.to_numpy(dtype=float), strict=True)
        kept = [(place[a], place[b], v) for (a, b), v in named if a in place and b in place]
        if kept:
            i, j, values = (np.array(column) for column in zip(*kept, strict=True))
            matrix[i.astype(int), j.astype(int)] = matrix[j.astype(int), i.astype(int)] = values
        found.append(matrix)
    return tuple(found)
