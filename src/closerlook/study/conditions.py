"""The conditions of a study: all seeds of one model, tuned on one task and probed on one; what is read from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from closerlook import measures as m
from closerlook.geometry.confidence import Interval
from closerlook.results.run import RunInfo
from closerlook.results.tables import rows_of
from closerlook.study import paper
from closerlook.study.join import Study, StudyRun

CLASSIFIERS = ("mlp_grid", "mlp", "linear")
"""Probes whose accuracy is read, the one nearest to the paper's first."""


@dataclass(frozen=True)
class Condition:
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
        """The variant of its runs; empty for plain runs."""
        return next(iter(self.runs.values())).variant

    @property
    def title(self) -> str:
        """``task, model`` or ``task in model tuned on other``."""
        return f"{self.task}, {self.model}" if self.own else f"{self.task}, {self.model} tuned on {self.tuned_on}"

    @property
    def info(self) -> RunInfo:
        """What its runs have in common: model, task, layers."""
        return next(iter(self.runs.values())).info

    @property
    def layer(self) -> int:
        """The last block: the layer that the paper's tables are about."""
        return self.info.n_layers

    @cached_property
    def probed(self) -> dict[int, pd.DataFrame]:
        """The tables that hold something, by seed in order."""
        return {seed: table for seed, table in sorted(self.tables.items()) if len(table)}

    @cached_property
    def space_values(self) -> dict[int, dict[_Series, BeforeAfter]]:
        """All numbers of whole spaces before and after tuning, by seed."""
        return {seed: space_values(table) for seed, table in self.probed.items()}

    @property
    def classifier(self) -> str | None:
        """The probe whose accuracy is read: one that every probed seed has; None when there is none."""
        return next(iter(self.classifiers), None)

    @cached_property
    def classifiers(self) -> tuple[str, ...]:
        """The probes whose accuracy every probed seed has, the one nearest to the paper's first."""
        found = [set(t.loc[t["measure"] == m.ACCURACY, "probe"]) for t in self.probed.values()]
        return tuple(name for name in CLASSIFIERS if found and all(name in probes for probes in found))

    @property
    def in_paper(self) -> paper.PrintedRow | None:
        """The paper's row of the main table, where model and data are the paper's."""
        same = paper.N_TRAIN.get(self.task) == self.info.n_train
        return paper.E1.get((self.info.model, self.task)) if same else None


def conditions_of(study: Study) -> list[Condition]:
    """The conditions, ordered by task, tuned-on task and model; of two runs of one seed the later path stands."""
    groups: dict[tuple[str, str, str], dict[int, StudyRun]] = {}
    several = len({run.variant for run in study.runs}) > 1
    for run in study.runs:
        model = run.model if several else run.info.model
        groups.setdefault((run.info.task, run.tuned_on, model), {})[run.info.seed] = run
    tables = dict(iter(study.table.groupby("run", sort=False)))
    empty = study.table.iloc[:0]
    return [
        Condition(model, task, tuned_on, runs, {seed: tables.get(run.path, empty) for seed, run in runs.items()})
        for (task, tuned_on, model), runs in sorted(groups.items(), key=lambda item: item[0])
    ]


class Estimate(NamedTuple):
    """A number with its own 95 % interval; NaN where missing."""

    value: float
    low: float
    high: float
    n: float

    @property
    def interval(self) -> Interval:
        """Both ends."""
        return Interval(self.low, self.high)


_MISSING = Estimate(math.nan, math.nan, math.nan, math.nan)


class BeforeAfter(NamedTuple):
    """A number of the whole space at step 0 and at the last step."""

    before: Estimate
    after: Estimate

    @property
    def change(self) -> float:
        """After less before; NaN when either is missing."""
        return self.after.value - self.before.value


class _Series(NamedTuple):
    """Which number of the whole space."""

    probe: str
    measure: str
    layer: int
    split: str


def space_values(table: pd.DataFrame) -> dict[_Series, BeforeAfter]:
    """All numbers of whole spaces before and after tuning; the table must be of one run."""
    last = last_step(table)
    rows = table[(table["label"] == "") & table["step"].isin([0, last])]
    found: dict[_Series, dict[int, Estimate]] = {}
    keys = zip(*(rows[name].tolist() for name in _Series._fields), strict=True)
    numbers = rows[list(Estimate._fields)].astype("float64").to_numpy().tolist()
    for key, step, values in zip(keys, rows["step"].tolist(), numbers, strict=True):
        found.setdefault(_Series(*key), {})[step] = Estimate(*values)
    return {key: BeforeAfter(steps.get(0, _MISSING), steps.get(last, _MISSING)) for key, steps in found.items()}


def by_seed(
    condition: Condition, measure: str, *, split: str, probe: str | None = None, layer: int | None = None
) -> dict[int, BeforeAfter]:
    """A measure of a whole space before and after, by seed that has results.

    Args:
        condition: The condition.
        measure: The measure.
        split: The split.
        probe: The probe that measured it; None takes the usual one.
        layer: The layer; None takes the last.
    """
    wanted = _Series(
        m.MEASURES[measure].probe if probe is None else probe,
        measure,
        condition.layer if layer is None else layer,
        split,
    )
    nothing = BeforeAfter(_MISSING, _MISSING)
    return {seed: values.get(wanted, nothing) for seed, values in condition.space_values.items()}


def means(found: Sequence[BeforeAfter]) -> tuple[float, float]:
    """Mean before and after over the seeds that have both."""
    both = [(one.before.value, one.after.value) for one in found if math.isfinite(one.change)]
    before, after = np.mean(both, axis=0).tolist() if both else (math.nan, math.nan)
    return before, after


def last_step(table: pd.DataFrame) -> int:
    """The last step that was probed; -1 when only step 0 was, or nothing."""
    steps = table["step"]
    return int(steps.max()) if len(steps) and steps.max() > 0 else -1


def label_values(table: pd.DataFrame, measure: str, *, layer: int, split: str = "train") -> pd.DataFrame:
    """A measure of each label: index label, columns ``before`` (step 0) and ``after`` (last step)."""
    rows = rows_of(table, measure, layer=layer, split=split)
    wide = rows.pivot_table(index="label", columns="step", values="value", aggfunc="last", dropna=False)
    wide = wide.reindex(columns=[0, last_step(table)])
    return wide.set_axis(["before", "after"], axis=1)


def distances(table: pd.DataFrame, *, layer: int, split: str) -> tuple[pd.Series, pd.Series]:
    """Label distances before (step 0) and after (last step), by (label, other)."""
    rows = rows_of(table, m.LABEL_DISTANCE, layer=layer, split=split).drop_duplicates(
        ["step", "label", "other"], keep="last"
    )
    found = rows.set_index(["label", "other"])
    return found.loc[found["step"] == 0, "value"], found.loc[found["step"] == last_step(table), "value"]


def matrices(vectors: Sequence[pd.Series]) -> tuple[list[str], np.ndarray]:
    """Distance vectors as symmetric matrices over the labels that all of them have.

    Args:
        vectors: Distances by (label, other).

    Returns:
        The labels, and (n_vectors, n_labels, n_labels) distances, NaN where undefined and on the diagonal.
    """
    labels = sorted(set.intersection(*({name for pair in v.index for name in pair} for v in vectors)))
    found = np.full((len(vectors), len(labels), len(labels)), np.nan)
    for matrix, vector in zip(found, vectors, strict=True):
        if labels:
            i, j = (pd.Index(labels).get_indexer(vector.index.get_level_values(k)) for k in (0, 1))
            kept = (i >= 0) & (j >= 0)
            values = vector.to_numpy(dtype=float)[kept]
            matrix[i[kept], j[kept]] = matrix[j[kept], i[kept]] = values
    return labels, found
