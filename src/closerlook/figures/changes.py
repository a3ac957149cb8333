"""A number before and after: at the first and at the last snapshot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from closerlook import measures as m
from closerlook.figures.select import rows_of, snapshots_of

SUMMARY_MEASURES = (
    m.N_CLUSTERS,
    m.MEAN_MIN_DISTANCE,
    m.ACCURACY,
    m.SIMILARITY_TO_FIRST,
    m.TRAIN_TEST_SIMILARITY,
    m.MEAN_DISPLACEMENT,
)
"""What is shown before and after, in tables and as summary values."""


@dataclass(frozen=True)
class Change:
    """A measure of one layer and split at the first and at the last snapshot; NaN where it is missing."""

    before: float
    after: float

    @property
    def known(self) -> bool:
        """Whether both values are there."""
        return bool(np.isfinite(self.before) and np.isfinite(self.after))


def change_of(table: pd.DataFrame, measure: str, *, layer: int, split: str, probe: str | None = None) -> Change:
    """A space measure before and after: at the first and the last snapshot of the whole table."""
    rows = rows_of(table, measure, probe=probe, layer=layer, split=split)
    by_step = rows[rows["label"] == ""].drop_duplicates("step", keep="last").set_index("step")["value"]
    steps = snapshots_of(table)["step"]
    if steps.empty:
        return Change(float("nan"), float("nan"))
    return Change(float(by_step.get(steps.iloc[0], np.nan)), float(by_step.get(steps.iloc[-1], np.nan)))


def split_for(measure: str, split: str) -> str:
    """The split under which a measure is stored: accuracy is always of test, some measures use both."""
    return (m.MEASURES[measure].split if measure in m.MEASURES else "") or split
