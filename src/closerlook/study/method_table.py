"""The table of methods: what each trains, how accurate it ends, and its space where all are equally accurate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from closerlook import measures as m
from closerlook.study.conditions import Condition, by_seed, means
from closerlook.study.matched import accuracy_course
from closerlook.study.method_pairs import HEAD, Matched, Methods, match, mean_of


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
        matched: The highest accuracy that all methods but the head alone reach.
        updates: When this method reaches it.
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
    updates: float = math.nan
    growth: float = math.nan
    similarity_to_first: float = math.nan
    train_test: float = math.nan
    other_tasks: float = math.nan


def method_rows(methods: Sequence[Methods]) -> tuple[MethodRow, ...]:
    """A row for each method, task by task, those that train most first."""
    rows = []
    for one in methods:
        matched = match({name: condition for name, condition in one.own.items() if name != HEAD})
        found = [_row(one, name, condition, matched) for name, condition in one.own.items()]
        rows += sorted(found, key=lambda row: -row.trained)
    return tuple(rows)


def _row(one: Methods, name: str, condition: Condition, matched: Matched) -> MethodRow:
    info = condition.info
    trained = math.nan if info.n_trained is None else float(info.n_trained)
    shared = {seed for seed in matched.seeds if name in matched.moments[seed]}
    values = {} if not shared else _at_moment(condition, matched, name)
    return MethodRow(
        task=one.task,
        model=one.model,
        method=name,
        n_seeds=len(condition.probed),
        trained=trained,
        share=trained / info.n_parameters if info.n_parameters else math.nan,
        accuracy=means(list(by_seed(condition, m.ACCURACY, split="test", probe=condition.classifier).values())),
        other_tasks=mean_of([_change(other) for other in one.others.get(name, ())]),
        **values,
    )


def _at_moment(condition: Condition, matched: Matched, name: str) -> dict[str, float]:
    growths, updates = [], []
    for seed in matched.seeds:
        before = matched.first(name, seed, m.MIN_DISTANCE).mean()
        growths.append(float(matched.labels(name, seed, m.MIN_DISTANCE).mean() / before) if before > 0 else math.nan)
        updates.append(matched.moments[seed][name].step)
    return {
        "matched": mean_of(list(matched.accuracy.values())),
        "updates": mean_of(updates),
        "growth": mean_of(growths),
        "similarity_to_first": _series(condition, matched, name, m.SIMILARITY_TO_FIRST, "train"),
        "train_test": _series(condition, matched, name, m.TRAIN_TEST_SIMILARITY, "train-test"),
    }


def _series(condition: Condition, matched: Matched, name: str, measure: str, split: str) -> float:
    """A measure of whole spaces at the moment, between the two snapshots around it."""
    found = []
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
