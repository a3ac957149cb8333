"""One number with all that says what it is, a measure of all pairs of labels, and the tidy table made of both."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

MOST_LABELS_IN_TABLES = 200
"""With more labels than this, tables list for each label its nearest ones only: all pairs of 2,000 are 2 million."""

N_NEAREST = 10
"""How many nearest labels then."""

OF_WEIGHTS = ""
"""The split of what is measured on weights."""


class Place(NamedTuple):
    """Where something was measured.

    Attributes:
        probe: The probe's name.
        layer: 0 = embeddings, L = output of block L.
        split: ``train`` or ``test`` (``train-test`` for measures that use both; :data:`OF_WEIGHTS` for those of
            weights, which are of no split).
        step: Number of optimizer updates at the snapshot; None for work that spans all snapshots.
    """

    probe: str
    layer: int
    split: str
    step: int | None


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One measured number.

    Attributes:
        place: Where; its step is that of a snapshot.
        epoch: The step in epochs.
        measure: A name of the registry of measures.
        label: The label it belongs to; empty for measures of the whole space.
        other: The second label of a pair; empty otherwise.
        value: The number; None when it is undefined, with the reason in ``note``.
        low: Lower end of its 95 % interval, if there is one.
        high: Upper end of its 95 % interval, if there is one.
        n: Number of things it was computed from (pairs, examples, runs), if that helps to trust it.
        control: The value of its control (a baseline or a ceiling), if there is one.
        note: Why the value is missing, or what to know about it.
    """

    place: Place
    epoch: float
    measure: str
    label: str = ""
    other: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    control: float | None = None
    note: str = ""

    def column(self, name: str) -> Any:
        """The value in a column of the tidy table."""
        return getattr(self.place if name in Place._fields else self, name)


@dataclass(frozen=True, eq=False)
class LabelPairs:
    """One measure of every pair of labels of a space.

    Attributes:
        place: Where; its step is that of a snapshot.
        epoch: The step in epochs.
        measure: A name of the registry of measures.
        labels: The labels, sorted.
        values: (n_labels * (n_labels - 1) / 2,) float64 in the order of ``itertools.combinations``; NaN = undefined.
        note: Why some are undefined.
    """

    place: Place
    epoch: float
    measure: str
    labels: tuple[str, ...]
    values: np.ndarray
    note: str = ""

    def matrix(self) -> np.ndarray:
        """(n_labels, n_labels) symmetric values, 0 on the diagonal."""
        n = len(self.labels)
        square = np.zeros((n, n))
        square[np.triu_indices(n, 1)] = self.values
        return square + square.T

    def columns(self) -> dict[str, Any]:
        """Columns of the tidy table, see :func:`table_of`: all pairs, or of many labels the nearest ones."""
        listed = len(self.labels) <= MOST_LABELS_IN_TABLES
        first, second, values = (*_pairs(self.labels), self.values) if listed else _nearest_pairs(self)
        undefined = np.isnan(values)
        note: Any = [self.note if missing else "" for missing in undefined.tolist()] if undefined.any() else ""
        if not listed:
            note = f"of {len(self.labels)} labels, the {N_NEAREST} nearest to each are listed"
        return self.place._asdict() | {
            "epoch": self.epoch,
            "measure": self.measure,
            "label": first,
            "other": second,
            "value": values,
            "low": None,
            "high": None,
            "n": None,
            "control": None,
            "note": note,
        }


COLUMNS: tuple[str, ...] = (
    "probe",
    "measure",
    "step",
    "epoch",
    "layer",
    "split",
    "label",
    "other",
    "value",
    "low",
    "high",
    "n",
    "control",
    "note",
)
"""Columns of the tidy table, in order."""

TEXT = ("probe", "measure", "split", "label", "other", "note")
FLOATS = ("epoch", "value", "low", "high", "control")
_DTYPES = (
    dict.fromkeys(TEXT, "str") | dict.fromkeys(FLOATS, "float64") | {"step": "int64", "layer": "int64", "n": "Int64"}
)


def defined(value: float) -> float | None:
    """The number as a row holds it: None for NaN, with the reason in the row's note."""
    return None if math.isnan(value) else float(value)


def columns_of(rows: Sequence[ResultRow]) -> dict[str, Any]:
    """Rows by column: a list, or the one value that all rows have there; ``value`` is always a list."""
    columns: dict[str, Any] = {name: [row.column(name) for row in rows] for name in COLUMNS}
    return {
        name: values[0] if rows and name != "value" and all(v == values[0] for v in values) else values
        for name, values in columns.items()
    }


def to_table(found: Iterable[ResultRow | LabelPairs]) -> pd.DataFrame:
    """The tidy table: one row a number, columns :data:`COLUMNS`; undefined values are NaN."""
    found = list(found)
    rows = [one for one in found if isinstance(one, ResultRow)]
    return table_of([columns_of(rows), *(one.columns() for one in found if isinstance(one, LabelPairs))])


def table_of(parts: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """The tidy table of parts, one below the other, each by column as :func:`columns_of` gives it."""
    chunks: dict[str, list[np.ndarray]] = {name: [] for name in COLUMNS}
    for part in parts:
        n = len(part["value"])
        for name in COLUMNS:
            chunks[name].append(_column(name, part[name], n))
    found = {name: np.concatenate(chunk) if chunk else _column(name, [], 0) for name, chunk in chunks.items()}
    return pd.DataFrame(found, columns=list(COLUMNS)).astype(_DTYPES)


def _column(name: str, values: Any, n: int) -> np.ndarray:
    kind: Any = object if name in TEXT else np.int64 if name in ("step", "layer") else np.float64
    if isinstance(values, (list, np.ndarray)):
        return np.asarray(values, dtype=kind)
    return np.full(n, values, dtype=kind)


@lru_cache(maxsize=8)
def _pairs(labels: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    first, second = zip(*combinations(labels, 2), strict=True) if len(labels) > 1 else ((), ())
    return np.array(first, dtype=object), np.array(second, dtype=object)


def _nearest_pairs(pairs: LabelPairs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The nearest others of each label, each pair once, in the order of the labels."""
    square = pairs.matrix()
    np.fill_diagonal(square, np.inf)
    nearest = np.argsort(np.where(np.isnan(square), np.inf, square), axis=1, kind="stable")[:, :N_NEAREST]
    rows = np.repeat(np.arange(len(square)), N_NEAREST)
    chosen = np.unique(np.sort(np.stack([rows, nearest.ravel()], axis=1), axis=1), axis=0)
    labels = np.array(pairs.labels, dtype=object)
    return labels[chosen[:, 0]], labels[chosen[:, 1]], square[chosen[:, 0], chosen[:, 1]]
