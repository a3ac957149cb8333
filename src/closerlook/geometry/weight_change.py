"""How one matrix of weights changed: how far, in how many directions, and whether it has directions of its own.

A weight is a matrix W of shape (n_out, n_in) that maps inputs to outputs; W0 is before, W1 after, D = W1 - W0.
Everything is computed in float64 by LAPACK: nothing is sampled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from closerlook.geometry.spectrum import effective_rank, stable_rank
from closerlook.geometry.validation import FloatArray

Weight = NDArray[Any]
"""A weight as it is stored, float32 as a rule."""

_NOISE_SEED = 241021228
"""Not one that a random encoder, or a test, may have been drawn with: the noise would be the weight itself."""


@dataclass(frozen=True)
class Distance:
    """How far weights went; those of several weights add up.

    Attributes:
        change: Squared Frobenius norm of the change.
        before: Squared Frobenius norm before.
        after: Squared Frobenius norm after.
        product: Inner product of before and after.
        rounding: Squared Frobenius norm of the change that storing W0 in the number type of W1 alone would have made.
        size: Number of weights.
    """

    change: float = 0.0
    before: float = 0.0
    after: float = 0.0
    product: float = 0.0
    rounding: float = 0.0
    size: int = 0

    def __add__(self, other: Distance) -> Distance:
        return Distance(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    @property
    def relative(self) -> float:
        """Frobenius norm of the change over that before; 0 where nothing changed, NaN where all was 0 before."""
        return _ratio(self.change, self.before)

    @property
    def relative_rounding(self) -> float:
        """The same of the change that storing W0 in the number type of W1 alone would have made."""
        return _ratio(self.rounding, self.before)

    @property
    def cosine(self) -> float:
        """Cosine of the angle between before and after; NaN where one of them is 0."""
        norms = math.sqrt(self.before) * math.sqrt(self.after)
        if self.change == 0 and norms > 0:
            return 1.0
        return min(max(self.product / norms, -1.0), 1.0) if norms > 0 else math.nan


def _ratio(part: float, whole: float) -> float:
    if part == 0:
        return 0.0
    return math.sqrt(part) / math.sqrt(whole) if whole > 0 else math.nan


@dataclass(frozen=True)
class Leading:
    """The leading output directions after the change, against those before.

    Attributes:
        angle: Largest principal angle between the two subspaces, radians, 0 ... pi/2.
        overlap: Mean squared cosine of the principal angles; 1 = the same subspace.
        intruders: How many of the leading directions have no counterpart among all those before.
    """

    angle: float = 0.0
    overlap: float = 1.0
    intruders: int = 0


@dataclass(frozen=True)
class Spectra:
    """The change in the light of singular values and vectors.

    Attributes:
        spectral: Spectral norm of D over that of W0.
        rank: How many singular values of D are above what rounding makes.
        stable_rank: Squared Frobenius norm of D over its squared spectral norm; NaN where nothing changed.
        effective_rank: Exponential of the entropy of the singular values of D over their sum; NaN as well.
        leading: The leading directions of W1.
        noise: The same of W0 with Gaussian noise as large as D (one draw): the control.
        k: How many leading directions were compared.
        n_out: Number of outputs.
        n_in: Number of inputs.
    """

    spectral: float
    rank: int
    stable_rank: float
    effective_rank: float
    leading: Leading
    noise: Leading
    k: int
    n_out: int
    n_in: int

    @property
    def n_values(self) -> int:
        """Number of singular values."""
        return min(self.n_out, self.n_in)


def distance(before: Weight, after: Weight) -> Distance:
    """How far a weight of any shape went.

    Args:
        before: The weight before, float32 or float64.
        after: The weight after, of the same shape.

    Raises:
        ValueError: The shapes differ.
    """
    if before.shape != after.shape:
        raise ValueError(f"shapes differ: got {before.shape} and {after.shape}, expected one shape")
    a, b = before.astype(np.float64).ravel(), after.astype(np.float64).ravel()
    stored = rounded(before, precision_of(after)).astype(np.float64).ravel()
    return Distance(
        change=_square(b - a),
        before=_square(a),
        after=_square(b),
        product=float(a @ b),
        rounding=_square(stored - a),
        size=len(a),
    )


def _square(vector: FloatArray) -> float:
    return float(vector @ vector)


def spectra(before: Weight, after: Weight, *, k: int = 10, epsilon: float = 0.5) -> Spectra:
    """Singular values and vectors of a matrix against those before.

    Args:
        before: (n_out, n_in) W0, not 0.
        after: (n_out, n_in) W1, not 0.
        k: Leading singular vectors to compare; 10 in the paper of intruder dimensions and in peft.
        epsilon: A vector of W1 without a vector of W0 at a cosine of at least this is an intruder; 0.5 in both.

    Returns:
        The measures.

    Source:
        Stable rank: Rudelson & Vershynin 2007. Effective rank: Roy & Vetterli 2007. Principal angles: Björck & Golub
        1973. Intruder dimensions: Shuttleworth et al. 2024 (2410.21228), algorithm 1, of the output (left) vectors.
    """
    n_out, n_in = before.shape
    k = min(k, n_out, n_in)
    if np.array_equal(before, after):
        return Spectra(0.0, 0, math.nan, math.nan, Leading(), Leading(), k, n_out, n_in)
    change = after.astype(np.float64) - before
    values = singular_values(change)
    old, old_values = output_directions(before)
    noise = np.random.default_rng(_NOISE_SEED).standard_normal(before.shape)
    noise *= np.linalg.norm(change) / np.linalg.norm(noise)
    return Spectra(
        spectral=float(values[0] / old_values[0]),
        rank=int(np.sum(values > rounding_floor(after))),
        stable_rank=stable_rank(values),
        effective_rank=effective_rank(values),
        leading=_leading(old, after, k, epsilon),
        noise=_leading(old, before + noise, k, epsilon),
        k=k,
        n_out=n_out,
        n_in=n_in,
    )


def _leading(old: FloatArray, after: Weight, k: int, epsilon: float) -> Leading:
    new = output_directions(after)[0][:, :k]
    cosines = new.T @ old
    principal = np.clip(scipy.linalg.svdvals(cosines[:, :k]), 0, 1)
    return Leading(
        angle=float(np.arccos(principal[-1])),
        overlap=float(np.mean(principal**2)),
        intruders=int(np.sum(np.abs(cosines).max(axis=1) < epsilon)),
    )


def singular_values(matrix: FloatArray) -> FloatArray:
    """(min(n_out, n_in),) singular values, descending; of a long matrix those of its triangular factor, as exact."""
    tall = matrix.T if matrix.shape[0] < matrix.shape[1] else matrix
    return np.asarray(scipy.linalg.svdvals(_triangle(tall), check_finite=False))


def output_directions(matrix: Weight) -> tuple[FloatArray, FloatArray]:
    """The left singular vectors, (n_out, min(n_out, n_in)) with the leading one first, and their values."""
    matrix = matrix.astype(np.float64)
    if matrix.shape[0] < matrix.shape[1]:
        matrix = _triangle(matrix.T).T  # the same output directions, without the many inputs
    vectors, values, _ = scipy.linalg.svd(matrix, full_matrices=False, check_finite=False)
    return vectors, values


def _triangle(tall: FloatArray) -> FloatArray:
    """R of the QR decomposition where that is much smaller, else the matrix as it is."""
    n_rows, n_columns = tall.shape
    if n_rows < 2 * n_columns:
        return tall
    return np.asarray(scipy.linalg.qr(tall, mode="r", check_finite=False)[0][:n_columns])


_UNITS = {"bfloat16": 2.0**-8, "float16": 2.0**-11, "float32": 2.0**-24}
"""Unit roundoff of the number types that weights are stored in."""


def precision_of(weight: Weight) -> str:
    """The coarsest number type that holds every value exactly: ``bfloat16``, ``float16`` or ``float32``."""
    for name in ("bfloat16", "float16"):
        if np.array_equal(rounded(weight, name), weight.astype(np.float32)):
            return name
    return "float32"


def rounded(weight: Weight, precision: str) -> Weight:
    """The weight as another number type holds it, as float32."""
    single = np.ascontiguousarray(weight, dtype=np.float32)
    if precision == "float16":
        with np.errstate(over="ignore"):
            return single.astype(np.float16).astype(np.float32)
    if precision == "bfloat16":  # numpy has none: to the nearest, ties to even, of the upper 16 bits
        bits = single.view(np.uint32)
        kept = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
        return kept.view(np.float32)
    return single


def rounding_floor(weight: Weight) -> float:
    """The spectral norm that rounding the weight to its number type may make, twice over.

    Rounding errors are as good as independent, of at most ``unit * |w|`` each: the spectral norm of such a matrix is
    near ``(sqrt(n_out) + sqrt(n_in)) * unit * rms(w)``.
    """
    unit = _UNITS[precision_of(weight)]
    rms = float(np.sqrt(np.mean(np.square(weight, dtype=np.float64))))
    return 2 * (math.sqrt(weight.shape[0]) + math.sqrt(weight.shape[1])) * unit * rms


@lru_cache(maxsize=64)
def gaussian_ranks(n_out: int, n_in: int) -> tuple[float, float]:
    """Stable and effective rank of a matrix of independent Gaussian numbers: a change without any structure.

    Drawn as the triangular factor that such a matrix has (Bartlett 1933): the same values from a far smaller matrix.
    """
    n_rows, n_columns = max(n_out, n_in), min(n_out, n_in)
    n_draws = max(1, 1000 // n_columns)
    random = np.random.default_rng(0)
    found = []
    for _ in range(n_draws):
        triangle = np.triu(random.standard_normal((n_columns, n_columns)), 1)
        triangle[np.diag_indices(n_columns)] = np.sqrt(random.chisquare(n_rows - np.arange(n_columns)))
        values = scipy.linalg.svdvals(triangle)
        found.append((stable_rank(values), effective_rank(values)))
    stable, effective = np.mean(found, axis=0)
    return float(stable), float(effective)
