"""Which examples a probe got right, as a short text: snapshots and runs are then compared example by example."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_MOST_FITS = 255


@dataclass(frozen=True)
class Hits:
    """The share of a probe's fits that answer right, for each example.

    Attributes:
        shares: (n_examples,) in [0, 1]; 0 or 1 for a single fit.
        examples: Digest of the example ids in order: only hits on the same examples can be paired.
    """

    shares: np.ndarray
    examples: str


def encode_hits(shares: np.ndarray, example_ids: Sequence[str], *, n_fits: int = 1) -> str:
    """Hits as text, about one character an example or less.

    Args:
        shares: (n_examples,) share of the fits that answer right, in [0, 1].
        example_ids: (n_examples,) ids in the same order.
        n_fits: Number of fits, 1 to 255.

    Raises:
        ValueError: The lengths differ, there are more fits than 255, or a share is not one of ``n_fits`` fits.
    """
    if len(shares) != len(example_ids):
        raise ValueError(f"got {len(shares)} hits and {len(example_ids)} example ids, expected one id a hit")
    counts = np.rint(np.asarray(shares, dtype=float) * n_fits)
    if not 1 <= n_fits <= _MOST_FITS or np.abs(counts - np.asarray(shares) * n_fits).max(initial=0.0) > 1e-6:
        raise ValueError(f"got shares that are not k/{n_fits}, expected the share of 1 to {_MOST_FITS} fits each")
    examples = f"{zlib.crc32(json.dumps(list(example_ids)).encode()):08x}"
    packed = base64.b85encode(zlib.compress(counts.astype(np.uint8).tobytes(), level=9)).decode("ascii")
    return f"{n_fits} {examples} {packed}"


def decode_hits(text: str) -> Hits:
    """Hits from their text.

    Raises:
        ValueError: It is not what :func:`encode_hits` writes.
    """
    try:
        n_fits, examples, packed = text.split(" ")
        counts = np.frombuffer(zlib.decompress(base64.b85decode(packed)), dtype=np.uint8)
        return Hits(counts / int(n_fits), examples)
    except (ValueError, ZeroDivisionError, zlib.error) as error:
        raise ValueError(f"got {text[:40]!r}, expected hits as encode_hits writes them ({error})") from error
