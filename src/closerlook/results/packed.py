"""A few short arrays as text in a row's note: what is known of examples one by one, without a file of its own."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

_KINDS = ("<i4", "<f4", "<f2", "|u1", "<u2")
_MOST_BYTES = 1 << 26


def examples_digest(example_ids: Sequence[str]) -> str:
    """Digest of example ids in order: numbers that are stored example by example belong to these examples only."""
    return f"{zlib.crc32(json.dumps(list(example_ids)).encode()):08x}"


def pack(arrays: Mapping[str, np.ndarray], examples: str) -> str:
    """Arrays as text.

    Args:
        arrays: One-dimensional arrays by name, of int32, float32, float16, uint8 or uint16.
        examples: Digest of the examples that they are about, see :func:`examples_digest`.

    Raises:
        ValueError: An array is of another type or shape.
    """
    head, parts = [], []
    for name, values in arrays.items():
        little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
        if little.ndim != 1 or little.dtype.str not in _KINDS:
            raise ValueError(f"{name}: got {values.dtype} of shape {values.shape}, expected one of {_KINDS}, 1-D")
        head.append([name, little.dtype.str, len(little)])
        parts.append(little.tobytes())
    packed = base64.b85encode(zlib.compress(b"".join(parts), level=9)).decode("ascii")
    return f"{examples} {json.dumps(head, separators=(',', ':'))} {packed}"


def unpack(text: str) -> tuple[dict[str, np.ndarray], str]:
    """Arrays by name, and the digest of their examples, from what :func:`pack` wrote.

    Raises:
        ValueError: It is not what :func:`pack` writes; a run may come from anybody.
    """
    try:
        examples, rest = text.split(" ", 1)
        head, packed = rest.rsplit(" ", 1)
        kinds = [(str(name), np.dtype(kind), int(n)) for name, kind, n in json.loads(head) if kind in _KINDS and n >= 0]
        expected = sum(kind.itemsize * n for _, kind, n in kinds)
        if expected > _MOST_BYTES:
            raise ValueError(f"{expected} bytes, expected at most {_MOST_BYTES}")
        data = zlib.decompressobj().decompress(base64.b85decode(packed), expected + 1)
        if len(data) != expected:
            raise ValueError(f"{len(data)} bytes, expected {expected}")
        found, start = {}, 0
        for name, kind, n in kinds:
            found[name] = np.frombuffer(data, kind, n, start)
            start += kind.itemsize * n
        return found, examples
    except (ValueError, TypeError, zlib.error) as error:
        raise ValueError(f"got {text[:40]!r}, expected arrays as pack writes them ({error})") from error
