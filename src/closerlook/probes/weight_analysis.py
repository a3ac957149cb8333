"""What is measured on the weights of an encoder, block by block; and how far the examples' vectors went beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from closerlook import measures as m
from closerlook.geometry.model_change import ModelChange, Weights, matrix_spectra
from closerlook.geometry.validation import UndefinedMeasureError
from closerlook.geometry.weight_change import Distance, Spectra, gaussian_ranks
from closerlook.probes.space_probe import Finding, OneSpaceProbe, Scope, Where, digest, where
from closerlook.representations.reader import SnapshotReader
from closerlook.results.rows import OF_WEIGHTS, Place, ResultRow, defined
from closerlook.results.store import CellKey

PROBE = "weights"
_SPECTRAL = (
    m.SPECTRAL_CHANGE,
    m.CHANGE_RANK,
    m.CHANGE_STABLE_RANK,
    m.CHANGE_EFFECTIVE_RANK,
    m.SUBSPACE_OVERLAP,
    m.SUBSPACE_ANGLE,
    m.INTRUDERS,
)


@dataclass(frozen=True)
class WeightAnalysis:
    """How the weights of each block changed since the first moment, matrix by matrix.

    It needs no stored vectors: the weights come from :mod:`closerlook.pipelines.run_weights`.

    Attributes:
        k: Leading singular vectors that are compared.
        epsilon: Below this cosine to all vectors before, a leading vector is an intruder dimension.
        spectra: Also compute singular values and vectors; without them it takes seconds for any model.
        name: Name in results and on the command line.
    """

    k: int = 10
    epsilon: float = 0.5
    spectra: bool = True
    name: str = PROBE
    version: ClassVar[int] = 1

    def key(self, step: int, block: int, *weights: str) -> CellKey:
        """The key of a block's cell.

        Args:
            step: When the weights are of.
            block: The block; 0 = embeddings.
            *weights: Digests of the weights before and after.
        """
        return CellKey(Place(self.name, block, OF_WEIGHTS, step), digest(self, self.version, *weights))

    def rows(
        self, at: Where, change: ModelChange, before: Weights, after: Weights, transposed: frozenset[str]
    ) -> Iterator[ResultRow]:
        """Everything about one block: first the block as a whole, then each matrix, its norms and its biases.

        Args:
            at: The block as a layer, and when.
            change: How far all weights went.
            before: The weights before.
            after: The weights after.
            transposed: Names of those that are stored as (inputs, outputs).
        """
        block = at.place.layer
        parts = change.of_block(block)
        if not parts:
            yield from self.undefined(at, "the block has no weights of its own: blocks share them, see the first one")
            return
        yield from _distance_rows(at, "", sum(parts.values(), Distance()), change)
        matrices = change.matrices(block)
        for label, found in parts.items():
            yield from _distance_rows(at, label, found, change)
            if self.spectra and label in matrices:
                name = matrices[label]
                yield from self._spectral_rows(at, label, before[name], after[name], transposed=name in transposed)

    def undefined(self, at: Where, reason: str) -> Iterator[ResultRow]:
        """The rows of a block that has no numbers."""
        yield from (ResultRow(*at, name, note=reason) for name in (m.WEIGHT_CHANGE, m.WEIGHT_COSINE, m.CHANGE_SHARE))

    def _spectral_rows(
        self, at: Where, label: str, before: NDArray[Any], after: NDArray[Any], *, transposed: bool
    ) -> Iterator[ResultRow]:
        try:
            found = matrix_spectra(before, after, transposed=transposed, k=self.k, epsilon=self.epsilon)
        except UndefinedMeasureError as error:
            yield from (ResultRow(*at, name, label, note=str(error)) for name in _SPECTRAL)
            return
        yield from _rows_of(at, label, found, self.epsilon)


def _distance_rows(at: Where, label: str, found: Distance, change: ModelChange) -> Iterator[ResultRow]:
    zero = "all of them were 0 before"
    relative, cosine, share = found.relative, found.cosine, change.share(found)
    yield ResultRow(
        *at,
        m.WEIGHT_CHANGE,
        label,
        value=defined(relative),
        n=found.size,
        control=defined(found.relative_rounding),
        note=zero if np.isnan(relative) else "",
    )
    why = "" if np.isfinite(cosine) else "all of them are 0 before or after"
    yield ResultRow(*at, m.WEIGHT_COSINE, label, value=defined(cosine), n=found.size, note=why)
    yield ResultRow(
        *at,
        m.CHANGE_SHARE,
        label,
        value=defined(share),
        n=found.size,
        control=found.size / change.total.size,
        note="no weight changed" if np.isnan(share) else "",
    )


def _rows_of(at: Where, label: str, found: Spectra, epsilon: float) -> Iterator[ResultRow]:
    stable, effective = gaussian_ranks(found.n_out, found.n_in)
    same = "" if np.isfinite(found.stable_rank) else "the matrix did not change"

    def row(measure: str, value: float, control: float, n: int, note: str = "") -> ResultRow:
        return ResultRow(*at, measure, label, value=defined(value), n=n, control=defined(control), note=note)

    leading = f"of the {found.k} leading output directions"
    yield row(m.SPECTRAL_CHANGE, found.spectral, np.nan, found.n_values)
    yield row(m.CHANGE_RANK, found.rank, found.n_values, found.n_values)
    yield row(m.CHANGE_STABLE_RANK, found.stable_rank, stable, found.n_values, same)
    yield row(m.CHANGE_EFFECTIVE_RANK, found.effective_rank, effective, found.n_values, same)
    yield row(m.SUBSPACE_OVERLAP, found.leading.overlap, found.noise.overlap, found.k, leading)
    yield row(m.SUBSPACE_ANGLE, found.leading.angle, found.noise.angle, found.k, leading)
    why = f"{leading}, at a cosine below {epsilon:g}"
    yield row(m.INTRUDERS, found.leading.intruders, found.noise.intruders, found.k, why)


@dataclass(frozen=True)
class VectorChange(OneSpaceProbe):
    """How far the stored vectors of all examples went since the first snapshot: what the weights' change did."""

    name: str = PROBE

    def cells(self, reader: SnapshotReader, scope: Scope) -> list[CellKey]:
        """One cell per snapshot but the first, layer and split."""
        return [key for key in super().cells(reader, scope) if key.place.step != scope.steps[0]]

    def _inputs(self, reader: SnapshotReader, step: int, split: str, layer: int, scope: Scope) -> tuple[str, ...]:
        both = [step, scope.steps[0]] if reader.has(scope.steps[0], layer) else [step]
        return tuple(reader.checksum(one, split, layer) for one in both)

    def compute(self, reader: SnapshotReader, key: CellKey, scope: Scope) -> Sequence[Finding]:
        """The relative change, beside what one rounding of the stored number type would make."""
        at, (_, layer, split, step) = where(reader, key), key.place
        if why := reader.apart(scope.steps[0], step or 0, split, layer):
            return [ResultRow(*at, m.VECTOR_CHANGE, note=why)]
        before, after = (reader.vectors(one, split, layer) for one in (scope.steps[0], step or 0))
        length = np.linalg.norm(before.astype(np.float64))
        if length == 0:
            return [ResultRow(*at, m.VECTOR_CHANGE, n=len(before), note="all vectors were 0 before")]
        change = np.linalg.norm(after.astype(np.float64) - before)
        rounding = float(np.finfo(before.dtype).eps)
        return [ResultRow(*at, m.VECTOR_CHANGE, value=float(change / length), n=len(before), control=rounding)]
