"""How the weights of a whole encoder changed: block by block and matrix by matrix, from two mappings name -> array."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from closerlook.geometry.validation import UndefinedMeasureError
from closerlook.geometry.weight_change import Distance, Spectra, distance, spectra
from closerlook.geometry.weight_places import WeightPlace, weight_places

Weights = Mapping[str, NDArray[Any]]
"""By name, a weight; looked up when it is needed, so that a model need not be in memory as a whole."""


@dataclass(frozen=True)
class ModelChange:
    """How far every weight of an encoder went.

    Attributes:
        places: By name, where it stands.
        distances: By block and label, how far the weights of that label went.
        unmatched: Names that only one of the two models has.
    """

    places: dict[str, WeightPlace]
    distances: dict[tuple[int, str], Distance]
    unmatched: tuple[str, ...] = ()

    @property
    def blocks(self) -> tuple[int, ...]:
        """The blocks, ascending; 0 = embeddings."""
        return tuple(sorted({block for block, _ in self.distances}))

    @cached_property
    def total(self) -> Distance:
        """The whole encoder."""
        return sum(self.distances.values(), Distance())

    def of_block(self, block: int) -> dict[str, Distance]:
        """By label, the weights of a block."""
        return {label: found for (one, label), found in self.distances.items() if one == block}

    def share(self, part: Distance) -> float:
        """The part's share of the squared change of the whole encoder; NaN where nothing changed."""
        whole = self.total.change
        return part.change / whole if whole > 0 else math.nan

    def matrices(self, block: int) -> dict[str, str]:
        """By label, the name of each single weight of a block: not of its norms and biases, which are many."""
        of_block = ((name, place) for name, place in self.places.items() if place.block == block)
        return {place.label: name for name, place in of_block if place.kind not in ("norms", "biases")}


def model_change(before: Weights, after: Weights) -> ModelChange:
    """How far every weight went.

    Args:
        before: The weights of an encoder.
        after: Those of the same encoder later, or of another one of the same architecture.

    Raises:
        UndefinedMeasureError: A weight has another shape in the other model, they have no weight in common, or one
            holds NaN or infinite values.
    """
    common = [name for name in before if name in after]
    unmatched = tuple(name for name in (*before, *after) if (name in before) != (name in after))
    if not common:
        raise UndefinedMeasureError(f"the two models have no weight in common (e.g. {', '.join(unmatched[:2])})")
    places = weight_places(common)
    distances: dict[tuple[int, str], Distance] = {}
    for name, place in places.items():
        key = place.block, place.label
        distances[key] = distances.get(key, Distance()) + _compared(name, before[name], after[name])
    return ModelChange(places, distances, unmatched)


def _compared(name: str, before: NDArray[Any], after: NDArray[Any]) -> Distance:
    if before.shape != after.shape:
        raise UndefinedMeasureError(f"{name} has another shape: {before.shape} and {after.shape}")
    found = distance(before, after)
    if not np.isfinite([found.before, found.after]).all():
        raise UndefinedMeasureError(f"{name} holds NaN or infinite values")
    return found


def matrix_spectra(
    before: NDArray[Any], after: NDArray[Any], *, transposed: bool = False, k: int = 10, epsilon: float = 0.5
) -> Spectra:
    """Singular values and vectors of one weight of an encoder, see :func:`closerlook.geometry.weight_change.spectra`.

    Args:
        before: The weight before, of two dimensions or more: those after the first are taken as one.
        after: The weight after.
        transposed: It is stored as (inputs, outputs): GPT-2's ``Conv1D``, tables of embeddings.
        k: Leading singular vectors to compare.
        epsilon: Below this cosine, a vector has no counterpart.

    Raises:
        UndefinedMeasureError: It is no matrix, or it is 0.
    """
    a, b = (_matrix(weight, transposed) for weight in (before, after))
    if min(a.shape) < 2:
        raise UndefinedMeasureError(f"of shape {before.shape}, no matrix: it has no singular vectors to speak of")
    if not (a.any() and b.any()):
        raise UndefinedMeasureError("all of it is 0")
    return spectra(a, b, k=k, epsilon=epsilon)


def _matrix(weight: NDArray[Any], transposed: bool) -> NDArray[Any]:
    matrix = weight.reshape(len(weight), -1) if weight.ndim else weight.reshape(1, 1)
    return matrix.T if transposed else matrix
