"""The table of methods: what each trains, how accurate it ends, and its space where full tuning is as accurate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from closerlook import measures as m
from closerlook.study.conditions import Condition, by_seed, means
from closerlook.study.matched import accuracy_course
from closerlook.study.method_pairs import FULL, HEAD, Matched, Methods, match, mean_of


class Beside(NamedTuple):
    """A number of a method, and that of full tuning at the same accuracy; NaN where not measured."""

    method: float = math.nan
    full: float = math.nan


_NOTHING = Beside()


@dataclass(frozen=True)
class MethodRow:
    """A way in which one model was tuned on one task; numbers are means over seeds, NaN where not measured.

    Attributes:
        task: The task.
        model: The model.
        method: The method.
        n_seeds: Seeds that were probed.
        trained: Weights that are trained.
        share: The same as a share of all weights.
        accuracy: Test accuracy before tuning and at the last snapshot.
        matched: The highest accuracy that this method and full tuning both reach.
        updates: When they reach it.
        growth: Mean minimum distance there, over that before tuning.
        similarity_to_first: Of label distances, there.
        train_test: Train-test similarity there.
        other_tasks: Change of accuracy on other tasks at the last snapshot, mean over them.
    """

    task: str
    model: str
    method: str
    n_seeds: int
    trained: float
    share: float
    accuracy: tuple[float, float]
    matched: float = math.nan
    updates: Beside = _NOTHING
    growth: Beside = _NOTHING
    similarity_to_first: Beside = _NOTHING
    train_test: Beside = _NOTHING
    other_tasks: float = math.nan


def method_rows(methods: Sequence[Methods]) -> tuple[MethodRow, ...]:
    """A row for each method, task by task, those that train most first."""
    found = [_row(one, name, condition) for one in methods for name, condition in one.own.items()]
    return tuple(sorted(found, key=lambda row: (row.task, row.model, -row.trained, row.method)))


def _row(one: Methods, name: str, condition: Condition) -> MethodRow:
    info = condition.info
    trained = math.nan if info.n_trained is None else float(info.n_trained)
    matched = match({FULL: one.own[FULL], name: condition}) if FULL in one.own and name not in (FULL, HEAD) else None
    row = MethodRow(
        task=one.task,
        model=one.model,
        method=name,
        n_seeds=len(condition.probed),
        trained=trained,
        share=trained / info.n_parameters if info.n_parameters else math.nan,
        accuracy=means(list(by_seed(condition, m.ACCURACY, split="test", probe=condition.classifier).values())),
        other_tasks=mean_of([_change(other) for other in one.others.get(name, ())]),
    )
    return row if matched is None or matched.reason else _with_moment(row, matched)


def _with_moment(row: MethodRow, matched: Matched) -> MethodRow:
    """The row with what is compared at equal accuracy."""

    def both(value: Callable[[str], float]) -> Beside:
        return Beside(value(row.method), value(FULL))

    return replace(
        row,
        matched=mean_of(list(matched.accuracy.values())),
        updates=both(lambda one: mean_of([moments[one].step for moments in matched.moments.values()])),
        growth=both(lambda one: _growth(matched, one)),
        similarity_to_first=both(lambda one: _series(matched, one, m.SIMILARITY_TO_FIRST, "train")),
        train_test=both(lambda one: _series(matched, one, m.TRAIN_TEST_SIMILARITY, "train-test")),
    )


def _growth(matched: Matched, name: str) -> float:
    grown = []
    for seed in matched.seeds:
        before, there = (float(values(name, seed, m.MIN_DISTANCE).mean()) for values in (matched.first, matched.labels))
        grown.append(there / before if before > 0 else math.nan)
    return mean_of(grown)


def _series(matched: Matched, name: str, measure: str, split: str) -> float:
    """A measure of whole spaces at the moment, between the two snapshots around it."""
    condition, found = matched.conditions[name], []
    for seed in matched.seeds:
        table, moment = condition.probed[seed], matched.moments[seed][name]
        rows = table[
            (table["measure"] == measure) & (table["layer"] == condition.layer) & (table["split"] == split)
            & (table["label"] == "") & (table["probe"] == m.MEASURES[measure].probe)
        ].drop_duplicates("step", keep="last")  # fmt: skip
        ends = rows.set_index("step")["value"].reindex([moment.before, moment.after]).to_numpy(dtype=float)
        found.append(float((1 - moment.share) * ends[0] + moment.share * ends[1]))
    return mean_of(found)


def _change(other: Condition) -> float:
    """Change of accuracy on a task that the encoder was not tuned on."""
    if other.classifier is None:
        return math.nan
    courses = [accuracy_course(table, other.classifier, other.layer) for table in other.probed.values()]
    return mean_of([float(course.iloc[-1] - course.iloc[0]) for course in courses if len(course) > 1])
