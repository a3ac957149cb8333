"""Runs compared where they are equally accurate, between two snapshots, and not where they happened to end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from closerlook import measures as m
from closerlook.results.tables import rows_of


class Moment(NamedTuple):
    """A moment between two snapshots: ``share`` of the way from step ``before`` to step ``after``."""

    before: int
    after: int
    share: float

    @property
    def step(self) -> float:
        """The moment in updates."""
        return self.before + self.share * (self.after - self.before)


def accuracy_course(table: pd.DataFrame, probe: str, layer: int) -> pd.Series:
    """Test accuracy of a probe by step, ascending; steps without one are left out."""
    rows = rows_of(table, m.ACCURACY, probe=probe, layer=layer, split="test").drop_duplicates("step", keep="last")
    return rows.set_index("step")["value"].dropna().sort_index().astype(float)


def common_accuracy(courses: Sequence[pd.Series]) -> float:
    """The highest accuracy that all courses reach; NaN where that is none above where each of them starts.

    Args:
        courses: See :func:`accuracy_course`.
    """
    if not courses or any(course.empty or course.index[0] != 0 for course in courses):
        return math.nan
    reached = min(float(course.max()) for course in courses)
    return reached if all(reached > course.iloc[0] for course in courses) else math.nan


def moment_of(course: pd.Series, accuracy: float) -> Moment:
    """When a course first reaches an accuracy, by linear interpolation between the snapshots around it.

    Args:
        course: See :func:`accuracy_course`; it starts below ``accuracy`` and reaches it.
        accuracy: The accuracy.
    """
    steps, values = course.index.to_numpy(), course.to_numpy()
    i = int(np.argmax(values >= accuracy))
    share = (accuracy - values[i - 1]) / (values[i] - values[i - 1])
    return Moment(int(steps[i - 1]), int(steps[i]), float(share))


def at_moment(by_step: pd.DataFrame, moment: Moment) -> pd.Series:
    """Values at a moment, interpolated; NaN where one of the two snapshots has none.

    Args:
        by_step: A row for each label or pair of labels, a column a step.
        moment: When.
    """
    before, after = (by_step.reindex(columns=[step])[step] for step in (moment.before, moment.after))
    return (1 - moment.share) * before + moment.share * after


def labels_by_step(table: pd.DataFrame, measure: str, *, layer: int, split: str = "train") -> pd.DataFrame:
    """A measure of each label (of each pair, for distances): a row a label, a column a step."""
    rows = rows_of(table, measure, layer=layer, split=split)
    index = ["label", "other"] if measure == m.LABEL_DISTANCE else "label"
    return rows.pivot_table(index=index, columns="step", values="value", aggfunc="last", dropna=False)
