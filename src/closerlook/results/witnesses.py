"""The examples that hold labels apart, or where labels meet: read back from the table, pair by pair."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from closerlook import measures as m
from closerlook.results.packed import pack, unpack


@dataclass(frozen=True, eq=False)
class PairWitnesses:
    """The examples whose weighted means are the closest points of two labels' hulls, or a point of both.

    Attributes:
        label: The first of the two labels.
        other: The second one.
        distance: Distance of the hulls; 0 where they meet.
        rows: (n,) positions in the split's table of examples, those of ``label`` first, each side's heaviest first.
        weights: (n,) their weights; those of each label sum to 1, less what was not kept.
        first: (n,) whether an example is of ``label``.
        n_all: Number of witnesses of each label before some were left out.
        nearest_of: Which of the two labels has the other as its nearest.
        examples: Digest of the split's examples, see :func:`closerlook.results.packed.examples_digest`.
    """

    label: str
    other: str
    distance: float
    rows: np.ndarray
    weights: np.ndarray
    first: np.ndarray
    n_all: tuple[int, int]
    nearest_of: tuple[str, ...]
    examples: str

    @property
    def meets(self) -> bool:
        """Whether the hulls have a common point."""
        return self.distance == 0.0

    def packed(self) -> str:
        """All but the labels and the distance, as a row's note."""
        nearest = [name in self.nearest_of for name in (self.label, self.other)]
        head = np.array([self.first.sum(), *self.n_all, *nearest], dtype=np.int32)
        arrays = {"head": head, "rows": self.rows.astype(np.int32), "weights": self.weights.astype(np.float32)}
        return pack(arrays, self.examples)

    @classmethod
    def of_row(cls, row: Any) -> PairWitnesses:
        """From a row of the tidy table.

        Raises:
            ValueError: The note is not what :meth:`packed` makes.
        """
        arrays, examples = unpack(row.note)
        n_first, n_a, n_b, a_nearest, b_nearest = arrays["head"].tolist()
        nearest = tuple(name for name, is_it in ((row.label, a_nearest), (row.other, b_nearest)) if is_it)
        first = np.arange(len(arrays["rows"])) < n_first
        weights = arrays["weights"].astype(np.float64)
        return cls(
            row.label, row.other, float(row.value), arrays["rows"], weights, first, (n_a, n_b), nearest, examples
        )


@dataclass(frozen=True, eq=False)
class KeptApart:
    """Why a cluster of a label is not a part of the label's largest one: their joint hull meets another label's.

    Attributes:
        label: The label.
        other: The label whose examples are in the way.
        size: Number of examples in the cluster.
        members: Positions of its examples, 20 at most.
        own: Positions of the label's examples whose weighted mean lies in the other label's hull.
        own_weights: Their weights.
        foreign: Positions of the examples of ``other`` whose weighted mean is the same point.
        foreign_weights: Their weights.
        examples: Digest of the split's examples.
    """

    label: str
    other: str
    size: int
    members: np.ndarray
    own: np.ndarray
    own_weights: np.ndarray
    foreign: np.ndarray
    foreign_weights: np.ndarray
    examples: str

    def packed(self) -> str:
        """The examples as a row's note."""
        rows = {name: getattr(self, name).astype(np.int32) for name in ("members", "own", "foreign")}
        weights = {name: getattr(self, name).astype(np.float32) for name in ("own_weights", "foreign_weights")}
        return pack(rows | weights, self.examples)

    @classmethod
    def of_row(cls, row: Any) -> KeptApart:
        """From a row of the tidy table.

        Raises:
            ValueError: The note is not what :meth:`packed` makes.
        """
        arrays, examples = unpack(row.note)
        return cls(row.label, row.other, int(row.value), examples=examples, **arrays)


def read_witnesses(table: pd.DataFrame, *, layer: int, split: str, step: int) -> tuple[PairWitnesses, ...]:
    """The witnesses of a space, pair by pair, the closest labels first.

    Args:
        table: The tidy table with what is stored example by example: ``ResultStore.table()``, or
            ``RunResults.by_example``.
        layer: The layer.
        split: The split.
        step: The snapshot's step.

    Returns:
        All labels' nearest partners, and other pairs as far as they were kept; empty where nothing was measured.
    """
    found = [PairWitnesses.of_row(row) for row in _rows(table, m.WITNESSES, layer, split, step)]
    return tuple(sorted(found, key=lambda pair: (np.isnan(pair.distance), pair.distance)))


def read_kept_apart(table: pd.DataFrame, *, layer: int, split: str, step: int) -> tuple[KeptApart, ...]:
    """Why labels of a space have more than one cluster, the largest extra clusters first; as :func:`read_witnesses`."""
    found = [KeptApart.of_row(row) for row in _rows(table, m.KEPT_APART, layer, split, step)]
    return tuple(sorted(found, key=lambda one: -one.size))


def witness_flags(pairs: tuple[PairWitnesses, ...], n_examples: int) -> np.ndarray:
    """(n_examples,) weight of each example among those that hold labels apart from their nearest label.

    Args:
        pairs: See :func:`read_witnesses`.
        n_examples: Number of examples in the split.
    """
    weights = np.zeros(n_examples)
    for pair in pairs:
        if pair.nearest_of:
            np.maximum.at(weights, pair.rows, pair.weights)
    return weights


def _rows(table: pd.DataFrame, measure: str, layer: int, split: str, step: int) -> Iterator[Any]:
    at = (table["measure"] == measure) & (table["layer"] == layer) & (table["split"] == split) & (table["step"] == step)
    return table[at].itertuples()
