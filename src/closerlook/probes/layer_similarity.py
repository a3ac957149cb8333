"""Which layer of one encoder is like which layer of another: debiased CKA of every two, whatever their widths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from closerlook import measures as m
from closerlook.geometry.paired_sums import PairedSums
from closerlook.geometry.validation import UndefinedMeasureError
from closerlook.probes.space_probe import Finding, OneSpaceProbe, Scope, where
from closerlook.representations.reader import SnapshotReader
from closerlook.results.rows import ResultRow, defined
from closerlook.results.store import CellKey


@dataclass(frozen=True)
class LayerSimilarity(OneSpaceProbe):
    """One layer of a snapshot beside all layers of the first snapshot of the scope.

    Of the first snapshot itself it says how alike its own layers are.
    """

    name: str = "layer_similarity"
    version: ClassVar[int] = 1

    def _inputs(self, reader: SnapshotReader, step: int, split: str, layer: int, scope: Scope) -> tuple[str, ...]:
        first = scope.steps[0]
        others = (reader.checksum(first, split, other) for other in _layers(reader, first, scope))
        return (reader.checksum(step, split, layer), *others)

    def compute(self, reader: SnapshotReader, key: CellKey, scope: Scope) -> Sequence[Finding]:
        """A row for each layer of the first snapshot."""
        at, first = where(reader, key), scope.steps[0]
        _, layer, split, step = at.place
        Y = _centred(reader.vectors(step or 0, split, layer))
        found = []
        for other in _layers(reader, first, scope):
            value, note = np.nan, ""
            try:
                value = PairedSums.of(_centred(reader.vectors(first, split, other)), Y).debiased_cka()
            except UndefinedMeasureError as error:
                note = str(error)
            names = layer_name(layer), layer_name(other)
            found.append(ResultRow(*at, m.LAYER_CKA, *names, value=defined(value), n=len(Y), control=0.0, note=note))
        return found


def layer_name(layer: int) -> str:
    """How a layer is called where a row has two of them."""
    return f"layer {layer}"


def _layers(reader: SnapshotReader, first: int, scope: Scope) -> list[int]:
    return [layer for layer in scope.layers if reader.has(first, layer)]


def _centred(X: np.ndarray) -> np.ndarray:
    vectors = np.asarray(X, dtype=np.float64)
    return vectors - vectors.mean(axis=0)
