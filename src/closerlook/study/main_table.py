"""The main table (E1) and the cross-task matrix (E5): mean over seeds with interval, missing conditions included."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from closerlook.results import measures as m
from closerlook.study import paper
from closerlook.study.conditions import CLASSIFIERS, Condition, label_values, last_step, moments
from closerlook.study.effects import seed_interval
from closerlook.study.join import Study

MAIN_MEASURES = (m.ACCURACY, m.N_CLUSTERS, m.TRAIN_TEST_SIMILARITY, m.MEAN_MIN_DISTANCE, m.SIMILARITY_TO_FIRST)
"""Columns of the main table; the first three are the paper's."""

_SPLITS = {m.ACCURACY: "test", m.TRAIN_TEST_SIMILARITY: "train-test"}


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
        moments: By measure, before and after.
        paper: The paper's condition, where the setting is the paper's.
        status: Empty when complete, else what is missing.
    """

    model: str
    task: str
    n_seeds: int
    n_probed: int
    n_labels: float
    classifier: str
    moments: dict[str, tuple[SeedMean, SeedMean]]
    paper: paper.PrintedRow | None = None
    status: str = ""


@dataclass(frozen=True)
class CrossMatrix:
    """How tuning on one task changed the space of another, for one model.

    Attributes:
        model: The model.
        tuned_on: Tasks of the rows.
        probed: Tasks of the columns.
        change: (n_rows, n_columns) mean change of the minimum distance; NaN where not looked at.
        n_up: (n_rows, n_columns) labels whose minimum distance grew, mean over seeds.
        n_down: The same for those whose minimum distance shrank.
        accuracy_before: (n_rows, n_columns) accuracy before tuning, mean over seeds.
        accuracy_after: The same after tuning.
        classifier: The probe whose accuracy it is: the one that most conditions have; the others are NaN.
    """

    model: str
    tuned_on: tuple[str, ...]
    probed: tuple[str, ...]
    change: np.ndarray
    n_up: np.ndarray
    n_down: np.ndarray
    accuracy_before: np.ndarray
    accuracy_after: np.ndarray
    classifier: str = ""


@dataclass(frozen=True)
class StudySummary:
    """What a study's page opens with."""

    rows: tuple[MainRow, ...]
    matrices: tuple[CrossMatrix, ...]
    missing: tuple[str, ...] = field(default=())


def summarise(study: Study, conditions: Sequence[Condition]) -> StudySummary:
    """The main table, the cross-task matrices, and what is missing."""
    return StudySummary(tuple(_main_rows(conditions)), tuple(_matrices(conditions)), tuple(_missing(study, conditions)))


def over_seeds(values: Sequence[float]) -> SeedMean:
    """Mean and interval of the values that are there."""
    known = tuple(float(value) for value in values if math.isfinite(value))
    if not known:
        return SeedMean(math.nan, math.nan, math.nan, 0)
    return SeedMean(float(np.mean(known)), *seed_interval(known), len(known))


def _main_rows(conditions: Sequence[Condition]) -> list[MainRow]:
    """One row for each condition that is there or is missing."""
    own = {(condition.task, condition.model): condition for condition in conditions if condition.own}
    rows = []
    for task, model in sorted(_expected(conditions)):
        condition = own.get((task, model))
        nothing = (over_seeds([]), over_seeds([]))
        if condition is None:
            values = dict.fromkeys(MAIN_MEASURES, nothing)
            rows.append(MainRow(model, task, 0, 0, math.nan, "", values, status="no run"))
        else:
            rows.append(_main_row(condition))
    return rows


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
    probed = [table for table in condition.tables.values() if len(table) and last_step(table) > 0]
    values = {measure: _before_after(condition, measure) for measure in MAIN_MEASURES}
    labels = [moments(t, m.N_LABELS, layer=condition.layer, split="train").after[0] for t in probed]
    status = "" if len(probed) == len(condition.runs) else f"{len(probed)} of {len(condition.runs)} seeds probed"
    running = sum(run.status != "finished" for run in condition.runs.values())
    if running:
        status = ", ".join(filter(None, (status, f"{running} not finished")))
    known = paper.E1.get((condition.paper_model, condition.task)) if condition.as_in_paper else None
    n_labels = over_seeds(labels).mean
    return MainRow(condition.model, condition.task, len(condition.runs), len(probed), n_labels, condition.classifier, values, known, status)


def _before_after(condition: Condition, measure: str, classifier: str = "") -> tuple[SeedMean, SeedMean]:
    probe = classifier or condition.classifier or None if measure == m.ACCURACY else None
    found = [
        moments(table, measure, layer=condition.layer, split=_SPLITS.get(measure, "train"), probe=probe)
        for table in condition.tables.values()
        if len(table)
    ]
    return over_seeds([one.before[0] for one in found]), over_seeds([one.after[0] for one in found])


def _matrices(conditions: Sequence[Condition]) -> list[CrossMatrix]:
    """One matrix for each model that was looked into with a task it was not tuned on."""
    found = []
    for model in dict.fromkeys(condition.model for condition in conditions if not condition.own):
        mine = {(condition.tuned_on, condition.task): condition for condition in conditions if condition.model == model}
        rows = tuple(sorted({tuned for tuned, _ in mine}))
        columns = tuple(sorted({task for _, task in mine}))
        classifier = _commonest_classifier(list(mine.values()))
        parts = {name: np.full((len(rows), len(columns)), np.nan) for name in _CROSS_PARTS}
        for (i, tuned), (j, task) in product(enumerate(rows), enumerate(columns)):
            condition = mine.get((tuned, task))
            if condition is not None:
                for name, value in _cross_values(condition, classifier).items():
                    parts[name][i, j] = value
        found.append(CrossMatrix(model, rows, columns, **parts, classifier=classifier))
    return found


_CROSS_PARTS = ("change", "n_up", "n_down", "accuracy_before", "accuracy_after")


def _commonest_classifier(conditions: Sequence[Condition]) -> str:
    """The probe whose accuracy most of the conditions have, the one nearest to the paper's first; empty when none has."""
    counts = {name: sum(name in condition.classifiers for condition in conditions) for name in CLASSIFIERS}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else ""


def _cross_values(condition: Condition, classifier: str) -> dict[str, float]:
    changes = []
    for table in condition.tables.values():
        if len(table):
            values = label_values(table, m.MIN_DISTANCE, layer=condition.layer)
            changes.append((values["after"] - values["before"]).dropna())
    changes = [change for change in changes if len(change)]
    before, after = _before_after(condition, m.ACCURACY, classifier)
    return {
        "change": over_seeds([float(c.mean()) for c in changes]).mean,
        "n_up": over_seeds([float((c > 0).sum()) for c in changes]).mean,
        "n_down": over_seeds([float((c < 0).sum()) for c in changes]).mean,
        "accuracy_before": before.mean,
        "accuracy_after": after.mean,
    }


def _missing(study: Study, conditions: Sequence[Condition]) -> list[str]:
    """What a reader must not take for complete."""
    told = list(study.problems)
    own = {(condition.task, condition.model) for condition in conditions if condition.own}
    absent = [f"{task}, {model}" for task, model in _expected(conditions) - own]
    if absent:
        told.append(f"No run yet: {'; '.join(sorted(absent))}.")
    open_runs = [run.path for run in study.runs if run.status != "finished"]
    if open_runs:
        told.append(f"Not finished, so the last snapshot is not the end: {'; '.join(open_runs)}.")
    unprobed = [run.path for run in study.runs if not run.n_rows]
    if unprobed:
        told.append(f"Not probed yet: {'; '.join(unprobed)}.")
    return told
