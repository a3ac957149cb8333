"""The main table (E1) and the cross-task matrix (E5): mean over seeds with interval, missing cells included."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from closerlook import measures as m
from closerlook.study import paper
from closerlook.study.cells import CLASSIFIERS, StudyCell, label_values, last_step, moments
from closerlook.study.intervals import seed_interval
from closerlook.study.join import Study

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
    """One cell of the main table.

    Attributes:
        model: The model.
        task: The task.
        n_seeds: Seeds that were tuned.
        n_probed: Seeds with results before and after tuning.
        n_labels: Labels in training; NaN when not measured.
        classifier: The probe whose accuracy is shown.
        moments: By measure, before and after.
        paper: The paper's cell, where the setting is the paper's.
        status: Empty when complete, else what is missing.
    """

    model: str
    task: str
    n_seeds: int
    n_probed: int
    n_labels: float
    classifier: str
    moments: dict[str, tuple[SeedMean, SeedMean]]
    paper: paper.Cell | None = None
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
        classifier: The probe whose accuracy it is: the one that most cells have; the others are NaN.
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


def summarise(study: Study, cells: Sequence[StudyCell]) -> StudySummary:
    """The main table, the cross-task matrices, and what is missing."""
    return StudySummary(tuple(_main_rows(cells)), tuple(_matrices(cells)), tuple(_missing(study, cells)))


def over_seeds(values: Sequence[float]) -> SeedMean:
    """Mean and interval of the values that are there."""
    known = tuple(float(value) for value in values if math.isfinite(value))
    if not known:
        return SeedMean(math.nan, math.nan, math.nan, 0)
    return SeedMean(float(np.mean(known)), *seed_interval(known), len(known))


def _main_rows(cells: Sequence[StudyCell]) -> list[MainRow]:
    """One row for each cell that is there or is missing."""
    own = {(cell.task, cell.model): cell for cell in cells if cell.own}
    rows = []
    for task, model in sorted(_expected(cells)):
        cell = own.get((task, model))
        nothing = (over_seeds([]), over_seeds([]))
        if cell is None:
            values = dict.fromkeys(MAIN_MEASURES, nothing)
            rows.append(MainRow(model, task, 0, 0, math.nan, "", values, status="no run"))
        else:
            rows.append(_main_row(cell))
    return rows


def _expected(cells: Sequence[StudyCell]) -> set[tuple[str, str]]:
    """Tasks and models that a complete study would have: of each variant, its tasks in all of its models.

    A variant is a sweep of its own: ``experiment=e3`` tunes on two tasks, and the others are not missing.
    """
    found: dict[str, tuple[set[str], set[str]]] = {}
    for cell in cells:
        if cell.own:
            tasks, models = found.setdefault(cell.variant, (set(), set()))
            tasks.add(cell.task)
            models.add(cell.model)
    return {pair for tasks, models in found.values() for pair in product(tasks, models)}


def _main_row(cell: StudyCell) -> MainRow:
    probed = [table for table in cell.tables.values() if len(table) and last_step(table) > 0]
    values = {measure: _before_after(cell, measure) for measure in MAIN_MEASURES}
    labels = [moments(t, m.N_LABELS, layer=cell.layer, split="train").after[0] for t in probed]
    status = "" if len(probed) == len(cell.runs) else f"{len(probed)} of {len(cell.runs)} seeds probed"
    running = sum(run.status != "finished" for run in cell.runs.values())
    if running:
        status = ", ".join(filter(None, (status, f"{running} not finished")))
    known = paper.E1.get((cell.paper_model, cell.task)) if cell.as_in_paper else None
    n_labels = over_seeds(labels).mean
    return MainRow(cell.model, cell.task, len(cell.runs), len(probed), n_labels, cell.classifier, values, known, status)


def _before_after(cell: StudyCell, measure: str, classifier: str = "") -> tuple[SeedMean, SeedMean]:
    probe = classifier or cell.classifier or None if measure == m.ACCURACY else None
    found = [
        moments(table, measure, layer=cell.layer, split=m.MEASURES[measure].split or "train", probe=probe)
        for table in cell.tables.values()
        if len(table)
    ]
    return over_seeds([one.before[0] for one in found]), over_seeds([one.after[0] for one in found])


def _matrices(cells: Sequence[StudyCell]) -> list[CrossMatrix]:
    """One matrix for each model that was looked into with a task it was not tuned on."""
    found = []
    for model in dict.fromkeys(cell.model for cell in cells if not cell.own):
        mine = {(cell.tuned_on, cell.task): cell for cell in cells if cell.model == model}
        rows = tuple(sorted({tuned for tuned, _ in mine}))
        columns = tuple(sorted({task for _, task in mine}))
        classifier = _commonest_classifier(list(mine.values()))
        parts = {name: np.full((len(rows), len(columns)), np.nan) for name in _CROSS_PARTS}
        for (i, tuned), (j, task) in product(enumerate(rows), enumerate(columns)):
            cell = mine.get((tuned, task))
            if cell is not None:
                for name, value in _cross_values(cell, classifier).items():
                    parts[name][i, j] = value
        found.append(CrossMatrix(model, rows, columns, **parts, classifier=classifier))
    return found


_CROSS_PARTS = ("change", "n_up", "n_down", "accuracy_before", "accuracy_after")


def _commonest_classifier(cells: Sequence[StudyCell]) -> str:
    """The probe whose accuracy most of the cells have, the one nearest to the paper's first; empty when none has."""
    counts = {name: sum(name in cell.classifiers for cell in cells) for name in CLASSIFIERS}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else ""


def _cross_values(cell: StudyCell, classifier: str) -> dict[str, float]:
    changes = []
    for table in cell.tables.values():
        if len(table):
            values = label_values(table, m.MIN_DISTANCE, layer=cell.layer)
            changes.append((values["after"] - values["before"]).dropna())
    changes = [change for change in changes if len(change)]
    before, after = _before_after(cell, m.ACCURACY, classifier)
    return {
        "change": over_seeds([float(c.mean()) for c in changes]).mean,
        "n_up": over_seeds([float((c > 0).sum()) for c in changes]).mean,
        "n_down": over_seeds([float((c < 0).sum()) for c in changes]).mean,
        "accuracy_before": before.mean,
        "accuracy_after": after.mean,
    }


def _missing(study: Study, cells: Sequence[StudyCell]) -> list[str]:
    """What a reader must not take for complete."""
    told = list(study.problems)
    own = {(cell.task, cell.model) for cell in cells if cell.own}
    absent = [f"{task}, {model}" for task, model in _expected(cells) - own]
    if absent:
        told.append(f"No run yet: {'; '.join(sorted(absent))}.")
    open_runs = [run.path for run in study.runs if run.status != "finished"]
    if open_runs:
        told.append(f"Not finished, so the last snapshot is not the end: {'; '.join(open_runs)}.")
    unprobed = [run.path for run in study.runs if not run.n_rows]
    if unprobed:
        told.append(f"Not probed yet: {'; '.join(unprobed)}.")
    return told
