"""How alike two sets of label distances are: to the first snapshot's, and train to test.

Zhou & Srikumar (2022), section 4.3: the Pearson correlation of the label-distance vectors.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from closerlook.analysis.space_probe import TRAIN_TEST, Scope, digest
from closerlook.results import measures as m
from closerlook.results.rows import ResultRow
from closerlook.results.store import Cell, CellKey

_VERSION = 1
_MIN_PAIRS = 3


@dataclass(frozen=True)
class SimilarityAnalysis:
    """Spatial similarity, from finished DirectProbe cells (it reads results, not vectors)."""

    name: str = "similarity"
    source: str = "direct"

    def compute_cells(self, found: dict[CellKey, pd.Series], scope: Scope) -> list[Cell]:
        """One cell per layer and split, and one per layer for train against test.

        Args:
            found: By finished DirectProbe cell, the label distances indexed by (label, other), see
                :func:`distance_vector`.
            scope: What to look at; similarity is to its first step.
        """
        cells = []
        by_place = {(key.layer, key.split, key.step): (key, vector) for key, vector in found.items()}
        epochs = {key.step: float(vector.attrs["epoch"]) for key, vector in found.items()}
        for layer in scope.layers:
            for split in scope.splits:
                pairs = [((layer, split, scope.steps[0]), (layer, split, step)) for step in scope.steps]
                cells.append(self._cell(by_place, epochs, pairs, m.SIMILARITY_TO_FIRST, layer, split))
            if {"train", "test"} <= set(scope.splits):
                pairs = [((layer, "train", step), (layer, "test", step)) for step in scope.steps]
                cells.append(self._cell(by_place, epochs, pairs, m.TRAIN_TEST_SIMILARITY, layer, TRAIN_TEST))
        return [cell for cell in cells if cell.rows]

    def _cell(
        self,
        by_place: dict[tuple[int, str, int | None], tuple[CellKey, pd.Series]],
        epochs: dict[int | None, float],
        pairs: list[tuple[tuple[int, str, int], tuple[int, str, int]]],
        measure: str,
        layer: int,
        split: str,
    ) -> Cell:
        rows, inputs = [], []
        for a, b in pairs:
            if a not in by_place or b not in by_place:
                continue
            (key_a, vector_a), (key_b, vector_b) = by_place[a], by_place[b]
            value, n_pairs, note = correlation(vector_a, vector_b)
            step = b[2]
            rows.append(
                ResultRow(self.name, measure, step, epochs[step], layer, split, value=value, n=n_pairs, note=note)
            )
            inputs += [key_a.digest, key_b.digest]
        joined = hashlib.sha256(" ".join(inputs).encode()).hexdigest()
        return Cell(CellKey(self.name, layer, split, None, digest(self, _VERSION, joined)), 0.0, tuple(rows))


def distance_vector(rows: tuple[ResultRow, ...]) -> pd.Series:
    """The label-distance vector of a DirectProbe cell, indexed by (label, other); NaN where undefined."""
    wanted = [row for row in rows if row.measure == m.LABEL_DISTANCE]
    index = pd.MultiIndex.from_tuples([(r.label, r.other) for r in wanted], names=["label", "other"])
    values = [np.nan if r.value is None else r.value for r in wanted]
    vector = pd.Series(values, index=index, dtype="float64")
    vector.attrs["epoch"] = rows[0].epoch
    return vector


def correlation(a: pd.Series, b: pd.Series) -> tuple[float | None, int, str]:
    """Pearson correlation over the label pairs that both vectors have.

    Returns:
        The correlation in [-1, 1] or None, the number of common pairs, and why it is None.
    """
    both = pd.concat([a, b], axis=1, join="inner").dropna()
    n = len(both)
    if n < _MIN_PAIRS:
        return None, n, f"{n} common label pairs, at least {_MIN_PAIRS} needed"
    left, right = both.to_numpy().T
    if np.ptp(left) == 0 or np.ptp(right) == 0:
        return None, n, "all distances are equal, so no correlation is defined"
    return float(np.corrcoef(left, right)[0, 1]), n, ""
