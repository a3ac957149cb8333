"""The main table (E1) and the cross-task matrix (E5): mean over seeds with interval, missing conditions included."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from closerlook import measures as m
from closerlook.study import paper
from closerlook.study.conditions import CLASSIFIERS, Condition, by_seed, label_values, last_step
from closerlook.study.effects import seed_interval
from closerlook.study.join import Study
from closerlook.study.method_pairs import methods_of
from closerlook.study.method_table import MethodRow, method_rows

MAIN_MEASURES = (m.ACCURACY, m.N_CLUSTERS, m.TRAIN_TEST_SIMILARITY, m.MEAN_MIN_DISTANCE, m.SIMILARITY_TO_FIRST)
"""Columns of the main table; the first three are the paper's."""


@dataclass(frozen=True)
class SeedMean:
    """A number over seeds: mean and Student's t interval (NaN with fewer than three seeds), and how many seeds."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def half(self) -> float:
        """Half the interval's width; NaN where there is none."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class MainRow:
    """One condition of the main table.

    Attributes:
        model: The model.
        task: The task.
        n_seeds: Seeds that were tuned.
        n_probed: Seeds with results before and after tuning.
        n_labels: Labels in training; NaN when not measured.
        classifier: The probe whose accuracy is shown.
        before_after: By measure, before and after.
        paper: The paper's row, where the setting is the paper's.
        status: Empty when complete, else what is missing.
    """

    model: str
    task: str
    n_seeds: int
    n_probed: int
    n_labels: float
    classifier: str
    before_after: dict[str, tuple[SeedMean, SeedMean]]
    paper: paper.PrintedRow | None = None
    status: str = ""


@dataclass(frozen=True)
class CrossMatrix:
    """How tuning on one task changed the space of another, for one model.

    Attributes:
        model: The model.
        tuned_on: Tasks of the rows.
        probed: Tasks of the columns.
        classifier: The probe whose accuracy it is: the one that most conditions have; the others are NaN.
        change: (n_rows, n_columns) mean change of the minimum distance; NaN where not looked at.
        n_up: (n_rows, n_columns) labels whose minimum distance grew, mean over seeds.
        n_down: The same for those whose minimum distance shrank.
        accuracy_before: (n_rows, n_columns) accuracy before tuning, mean over seeds.
        accuracy_after: The same after tuning.
    """

    model: str
    tuned_on: tuple[str, ...]
    probed: tuple[str, ...]
    classifier: str
    change: np.ndarray
    n_up: np.ndarray
    n_down: np.ndarray
    accuracy_before: np.ndarray
    accuracy_after: np.ndarray


@dataclass(frozen=True)
class StudySummary:
    """What a study's page opens with."""

    rows: tuple[MainRow, ...]
    matrices: tuple[CrossMatrix, ...]
    missing: tuple[str, ...] = ()
    methods: tuple[MethodRow, ...] = ()


def summarise(study: Study, conditions: Sequence[Condition]) -> StudySummary:
    """The main table, the cross-task matrices, and what is missing."""
    models = dict.fromkeys(condition.model for condition in conditions if not condition.own)
    matrices = tuple(_matrix(model, conditions) for model in models)
    methods = method_rows(methods_of(conditions))
    return StudySummary(_main_rows(conditions), matrices, tuple(_missing(study, conditions)), methods)


def over_seeds(values: Sequence[float]) -> SeedMean:
    """Mean and interval of the values that are there."""
    known = [float(value) for value in values if math.isfinite(value)]
    if not known:
        return SeedMean(math.nan, math.nan, math.nan, 0)
    return SeedMean(float(np.mean(known)), *seed_interval(known), len(known))


def _main_rows(conditions: Sequence[Condition]) -> tuple[MainRow, ...]:
    """One row for each condition that is there or is missing."""
    own = {(condition.task, condition.model): condition for condition in conditions if condition.own}
    nothing = dict.fromkeys(MAIN_MEASURES, (over_seeds([]), over_seeds([])))
    return tuple(
        _main_row(own[task, model])
        if (task, model) in own
        else MainRow(model, task, 0, 0, math.nan, "", nothing, status="no run")
        for task, model in sorted(_expected(conditions))
    )


def _expected(conditions: Sequence[Condition]) -> set[tuple[str, str]]:
    """Tasks and models that a complete study would have: of each variant, its tasks in all of its models.

    A variant is a sweep of its own: ``experiment=e3`` tunes on two tasks, and the others are not missing.
    """
    found: dict[str, tuple[set[str], set[str]]] = {}
    for condition in conditions:
        if condition.own:
            tasks, models = found.setdefault(condition.variant, (set(), set()))
            tasks.add(condition.task)
            models.add(condition.model)
    return {pair for tasks, models in found.values() for pair in product(tasks, models)}


def _main_row(condition: Condition) -> MainRow:
    n_probed = sum(last_step(table) > 0 for table in condition.probed.values())
    running = sum(run.status != "finished" for run in condition.runs.values())
    status = [f"{n_probed} of {len(condition.runs)} seeds probed"] if n_probed < len(condition.runs) else []
    return MainRow(
        model=condition.model,
        task=condition.task,
        n_seeds=len(condition.runs),
        n_probed=n_probed,
        n_labels=_before_after(condition, m.N_LABELS)[1].mean,
        classifier=condition.classifier or "",
        before_after={measure: _before_after(condition, measure) for measure in MAIN_MEASURES},
        paper=condition.in_paper,
        status=", ".join([*status, *([f"{running} not finished"] if running else [])]),
    )


def _before_after(condition: Condition, measure: str, classifier: str | None = None) -> tuple[SeedMean, SeedMean]:
    probe = classifier or condition.classifier if measure == m.ACCURACY else None
    split = m.MEASURES[measure].split or "train"
    found = by_seed(condition, measure, split=split, probe=probe).values()
    return over_seeds([one.before.value for one in found]), over_seeds([one.after.value for one in found])


def _matrix(model: str, conditions: Sequence[Condition]) -> CrossMatrix:
    """The matrix of a model that was looked into with a task it was not tuned on."""
    mine = {(one.tuned_on, one.task): one for one in conditions if one.model == model}
    rows, columns = (tuple(sorted({pair[i] for pair in mine})) for i in (0, 1))
    classifier = _commonest_classifier(list(mine.values()))
    parts = {name: np.full((len(rows), len(columns)), np.nan) for name in _CROSS_PARTS}
    for (tuned_on, task), condition in mine.items():
        for name, value in _cross_values(condition, classifier).items():
            parts[name][rows.index(tuned_on), columns.index(task)] = value
    return CrossMatrix(model, rows, columns, classifier, **parts)


_CROSS_PARTS = ("change", "n_up", "n_down", "accuracy_before", "accuracy_after")


def _commonest_classifier(conditions: Sequence[Condition]) -> str:
    """The probe whose accuracy most conditions have, the one nearest to the paper's first; empty when none has."""
    counts = {name: sum(name in condition.classifiers for condition in conditions) for name in CLASSIFIERS}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else ""


def _cross_values(condition: Condition, classifier: str) -> dict[str, float]:
    values = [label_values(table, m.MIN_DISTANCE, layer=condition.layer) for table in condition.probed.values()]
    changes = [(found["after"] - found["before"]).dropna() for found in values]
    changes = [change for change in changes if len(change)]
    before, after = _before_after(condition, m.ACCURACY, classifier)
    return {
        "change": over_seeds([change.mean() for change in changes]).mean,
        "n_up": over_seeds([(change > 0).sum() for change in changes]).mean,
        "n_down": over_seeds([(change < 0).sum() for change in changes]).mean,
        "accuracy_before": before.mean,
        "accuracy_after": after.mean,
    }


def _missing(study: Study, conditions: Sequence[Condition]) -> list[str]:
    """What a reader must not take for complete."""
    lines = list(study.problems)
    own = {(condition.task, condition.model) for condition in conditions if condition.own}
    absent = sorted(f"{task}, {model}" for task, model in _expected(conditions) - own)
    unfinished = [run.path for run in study.runs if run.status != "finished"]
    unprobed = [run.path for run in study.runs if not run.n_rows]
    for what, names in (
        ("No run yet", absent),
        ("Not finished, so the last snapshot is not the end", unfinished),
        ("Not probed yet", unprobed),
    ):
        if names:
            lines.append(f"{what}: {'; '.join(names)}.")
    return lines
