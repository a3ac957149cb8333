"""Who moved, who was learned when, who was forgotten: read back from the table, a row an example."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from closerlook import measures as m
from closerlook.results.packed import unpack
from closerlook.results.readings import ReadingSeries

LEARNED, FORGOTTEN, NEVER, ALWAYS, UNREAD = "learned", "forgotten", "never learned", "right throughout", ""
"""What became of an example: wrong at first and right at the end, right once and wrong at the end, and so on."""


def read_movement(table: pd.DataFrame, *, layer: int, split: str) -> tuple[pd.DataFrame, str] | None:
    """How far each example moved: a row an example, columns as in ``closerlook.probes.movement.Movement``.

    Args:
        table: The tidy table with what is stored example by example.
        layer: The layer.
        split: The split.

    Returns:
        The table and the digest of its examples; None where nothing was measured.
    """
    rows = table[(table["measure"] == m.EXAMPLE_MOVEMENT) & (table["layer"] == layer) & (table["split"] == split)]
    if rows.empty:
        return None
    arrays, examples = unpack(rows["note"].iloc[-1])
    return pd.DataFrame({name: values.astype(np.float64) for name, values in arrays.items()}), examples


def courses(series: ReadingSeries, steps: Sequence[int]) -> pd.DataFrame:
    """What became of each example over snapshots.

    Args:
        series: Readings at one layer, one a snapshot, in order.
        steps: Their steps.

    Returns:
        A row an example: ``fate`` (one of the names above), ``learned_at`` and ``forgotten_at`` (the step of the
        snapshot from which on it was right, or wrong, to the end; NaN where it was so from the start), ``crossings``
        (how often it changed sides), ``confidence`` and ``variability`` (mean and standard deviation of the probability
        of its own label over the snapshots: the data map of Swayamdipta et al. 2020).
    """
    odds = series.log_odds
    right, known = odds >= 0, np.isfinite(odds).all(axis=0)
    changes = right[1:] != right[:-1]
    crossings = changes.sum(axis=0)
    last = len(steps) - 1 - np.argmax(changes[::-1], axis=0) if len(steps) > 1 else np.zeros(len(known), dtype=int)
    moment = np.where(crossings > 0, np.asarray(steps, dtype=float)[last], np.nan)
    fate = np.select(
        [~known, right[-1] & (crossings == 0), right[-1], right.any(axis=0)],
        [UNREAD, ALWAYS, LEARNED, FORGOTTEN],
        NEVER,
    )
    probability = np.exp(series.own)
    return pd.DataFrame({
        "fate": fate,
        "learned_at": np.where(fate == LEARNED, moment, np.nan),
        "forgotten_at": np.where(fate == FORGOTTEN, moment, np.nan),
        "crossings": crossings, "confidence": probability.mean(axis=0), "variability": probability.std(axis=0),
    })  # fmt: skip
