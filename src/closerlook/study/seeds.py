"""One tidy table for all seeds of a condition: means with intervals, ready for the figures of a single run."""

from __future__ import annotations

import numpy as np
import pandas as pd

from closerlook import measures as m
from closerlook.results.rows import COLUMNS
from closerlook.results.tables import rows_of
from closerlook.study.conditions import Condition
from closerlook.study.effects import MIN_SEEDS, quantile

_WHERE = ["probe", "measure", "step", "layer", "split", "label", "other"]


def mean_over_seeds(condition: Condition, *measures: str) -> pd.DataFrame:
    """The mean of some measures over the condition's seeds.

    Args:
        condition: The condition.
        *measures: What is averaged. Never coordinates: principal axes of two runs have nothing to do with each other.

    Returns:
        Columns ``COLUMNS``: ``value`` is the mean over the seeds that have it, ``low`` and ``high`` Student's t 95 %
        interval over seeds (NaN with fewer than three), ``n`` the number of seeds. With one seed its own rows are
        given, intervals and sizes included.
    """
    tables = [table.loc[table["measure"].isin(measures), list(COLUMNS)] for table in condition.probed.values()]
    if len(tables) <= 1:
        return tables[0] if tables else first_seed(condition)
    grouped = pd.concat(tables, ignore_index=True).groupby(_WHERE, sort=False, dropna=False)
    found = grouped.agg(
        epoch=("epoch", "first"),
        value=("value", "mean"),
        error=("value", "sem"),
        n=("value", "count"),
        control=("control", "mean"),
        note=("note", "first"),
    ).reset_index()
    quantiles = {n: quantile(n - 1) if n >= MIN_SEEDS else np.nan for n in range(len(tables) + 1)}
    half = found["n"].map(quantiles) * found["error"]
    found = found.assign(low=found["value"] - half, high=found["value"] + half)
    return found[list(COLUMNS)].astype(tables[0].dtypes.to_dict())


def first_seed(condition: Condition) -> pd.DataFrame:
    """The table of the lowest seed that has results: for pictures that cannot be averaged; empty when there is none."""
    table = next(iter([*condition.probed.values(), *condition.tables.values()]))
    return table[list(COLUMNS)]


def closest_labels(table: pd.DataFrame, *, layer: int) -> list[str]:
    """The three labels that are closest to each other at step 0: the pair with the smallest distance, then its nearest.

    E4 of the paper follows the three closest POS labels. The third is the one whose larger distance to the two is
    smallest.
    """
    rows = rows_of(table, m.LABEL_DISTANCE, layer=layer, split="train")
    rows = rows[rows["step"] == 0].dropna(subset="value").sort_values("value", kind="stable")
    if rows.empty:
        return []
    pair = rows.iloc[0][["label", "other"]].tolist()
    both = pd.concat([rows, rows.rename(columns={"label": "other", "other": "label"})])
    near = both[both["other"].isin(pair) & ~both["label"].isin(pair)].groupby("label")["value"].agg(["max", "count"])
    known = near.loc[near["count"] == len(pair), "max"]
    return sorted([*pair, *([str(known.idxmin())] if len(known) else [])])
