"""One tidy table for all seeds of a cell: means with intervals, ready for the figures of a single run."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import t as student_t

from closerlook import measures as m
from closerlook.results.rows import COLUMNS
from closerlook.results.tables import rows_of
from closerlook.study.cells import StudyCell
from closerlook.study.intervals import MIN_SEEDS

AVERAGED = (
    m.N_CLUSTERS,
    m.N_LABELS,
    m.N_CONTRADICTIONS,
    m.MIN_DISTANCE,
    m.MEAN_MIN_DISTANCE,
    m.SIMILARITY_TO_FIRST,
    m.TRAIN_TEST_SIMILARITY,
    m.CENTROID_DISPLACEMENT,
    m.MEAN_DISPLACEMENT,
    m.RELATIVE_DISPLACEMENT,
    m.ACCURACY,
    "subtest_accuracy",
    "unseen_accuracy",
    "memorisation_gap",
)
"""What is averaged over seeds. Coordinates are not: principal axes of two runs have nothing to do with each other."""

_WHERE = ["probe", "measure", "step", "layer", "split", "label", "other"]


def mean_over_seeds(cell: StudyCell) -> pd.DataFrame:
    """The mean of each number over the cell's seeds.

    Args:
        cell: The cell.

    Returns:
        Columns ``COLUMNS``: ``value`` is the mean over the seeds that have it, ``low`` and ``high`` Student's t 95 %
        interval over seeds (NaN with fewer than three), ``n`` the number of seeds. With one seed its own rows are
        given, intervals and sizes included.
    """
    tables = [table.loc[table["measure"].isin(AVERAGED), list(COLUMNS)] for table in cell.tables.values() if len(table)]
    if not tables:
        return next(iter(cell.tables.values()))[list(COLUMNS)].iloc[:0]
    if len(tables) == 1:
        return tables[0]
    joined = pd.concat(tables, ignore_index=True)
    grouped = joined.groupby(_WHERE, sort=False, dropna=False)
    found = grouped.agg(
        epoch=("epoch", "first"), value=("value", "mean"), spread=("value", "std"), n=("value", "count"),
        control=("control", "mean"), note=("note", "first"),
    ).reset_index()  # fmt: skip
    count = found["n"].to_numpy(dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        half = student_t.ppf(0.975, np.maximum(count - 1, 1)) * found["spread"].to_numpy() / np.sqrt(count)
    half = np.where(count >= MIN_SEEDS, half, np.nan)
    found = found.assign(low=found["value"] - half, high=found["value"] + half)
    return found[list(COLUMNS)].astype(tables[0].dtypes.to_dict())


def first_seed(cell: StudyCell) -> pd.DataFrame:
    """The table of the lowest seed that has results: for pictures that cannot be averaged; empty when there is none."""
    for _, table in sorted(cell.tables.items()):
        if len(table):
            return table[list(COLUMNS)]
    return next(iter(cell.tables.values()))[list(COLUMNS)]


def closest_labels(table: pd.DataFrame, *, layer: int, split: str = "train", n: int = 3) -> list[str]:
    """The labels that are closest to each other at step 0: the pair with the smallest distance, then its nearest.

    E4 of the paper follows the three closest POS labels. A label is added when its largest distance to those chosen
    is smallest.
    """
    rows = rows_of(table, m.LABEL_DISTANCE, layer=layer, split=split)
    rows = rows[rows["step"] == 0].dropna(subset="value").sort_values("value", kind="stable")
    if rows.empty:
        return []
    pairs = zip(rows["label"], rows["other"], rows["value"].to_numpy(dtype=float), strict=True)
    near = {frozenset((a, b)): float(value) for a, b, value in pairs}
    labels = sorted(set(rows["label"]) | set(rows["other"]))
    chosen = [str(rows["label"].iloc[0]), str(rows["other"].iloc[0])]
    while len(chosen) < min(n, len(labels)):
        rest = [label for label in labels if label not in chosen]
        chosen.append(min(rest, key=lambda x: max(near.get(frozenset((x, c)), np.inf) for c in chosen)))
    return sorted(chosen)
