"""One number with all that says what it is, and the tidy table made of such rows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

import pandas as pd


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One measured number.

    Attributes:
        probe: Which probe measured it, e.g. ``direct``.
        measure: A name of :data:`closerlook.measures.MEASURES`.
        step: Number of optimizer updates at the snapshot.
        epoch: The same moment in epochs.
        layer: 0 = embeddings, L = output of block L.
        split: ``train`` or ``test`` (``train-test`` for measures that use both).
        label: The label it belongs to; empty for measures of the whole space.
        other: The second label of a pair; empty otherwise.
        value: The number; None when it is undefined, with the reason in ``note``.
        low: Lower end of its 95 % interval, if there is one.
        high: Upper end of its 95 % interval, if there is one.
        n: Number of things it was computed from (pairs, examples, runs), if that helps to trust it.
        control: The value of its control (a baseline or a ceiling), if there is one.
        note: Why the value is missing, or what to know about it.
    """

    probe: str
    measure: str
    step: int
    epoch: float
    layer: int
    split: str
    label: str = ""
    other: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    control: float | None = None
    note: str = ""


COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(ResultRow))
"""Columns of the tidy table, in order."""

_TEXT = ("probe", "measure", "split", "label", "other", "note")
_FLOAT = ("epoch", "value", "low", "high", "control")
_DTYPES = (
    dict.fromkeys(_TEXT, "str") | dict.fromkeys(_FLOAT, "float64") | {"step": "int64", "layer": "int64", "n": "Int64"}
)


def defined(value: float) -> float | None:
    """The number as a row holds it: None for NaN, with the reason in the row's note."""
    return None if math.isnan(value) else float(value)


def to_table(rows: Iterable[ResultRow]) -> pd.DataFrame:
    """The tidy table: one row a number, columns :data:`COLUMNS`; undefined values are NaN."""
    return as_table([asdict(row) for row in rows])


def as_table(records: list[dict[str, object]]) -> pd.DataFrame:
    """The tidy table of plain dictionaries with the keys :data:`COLUMNS`."""
    frame = pd.DataFrame.from_records(records, columns=list(COLUMNS))
    return frame.astype(_DTYPES)
