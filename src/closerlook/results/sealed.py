"""JSON files that carry their own checksum: a flipped bit is an error that names the file, never another number."""

from __future__ import annotations

import hashlib
import json
from dataclasses import is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from closerlook.files import write_json

_CHECKSUM = "checksum"
_MOST_BYTES = 1 << 26
T = TypeVar("T")


def write_sealed(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON object with its checksum, all or nothing."""
    write_json(path, content | {_CHECKSUM: _digest(content)})


def read_sealed(path: Path) -> dict[str, Any]:
    """Read a JSON object and compare it with its checksum, if it has one.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no JSON object, or other bytes than were written; the message says why.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"got {path.stat().st_size} bytes, expected at most {_MOST_BYTES}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("got lists in lists without end, expected an object") from None
    if not isinstance(content, dict):
        raise ValueError(f"got {type(content).__name__}, expected an object")
    checksum = content.pop(_CHECKSUM, None)
    if checksum is not None and checksum != _digest(content):  # None: written by an earlier version
        raise ValueError("got bytes that differ from its own checksum, expected those that were written")
    return content


def from_plain(kind: type[T], content: dict[str, Any]) -> T:
    """A dataclass from plain values; fields that a newer version added are left out.

    Raises:
        ValueError: A field is missing or of another type; the message names it.
    """
    hints = get_type_hints(kind)
    known = {name: value for name, value in content.items() if name in hints}
    for name, value in known.items():
        if not _fits(value, hints[name]):
            raise ValueError(f"{name}: got {str(value)[:50]!r}, expected {hints[name]}")
    try:
        return kind(**{name: _made(value, hints[name]) for name, value in known.items()})
    except TypeError as error:  # a field is missing
        raise ValueError(str(error)) from error


def _made(value: Any, hint: Any) -> Any:
    """The value as its hint wants it: JSON has lists where Python has tuples, of dataclasses too."""
    if get_origin(hint) is not tuple:
        return value
    inner: Any = get_args(hint)[0]
    of_dataclasses = is_dataclass(inner)
    return tuple(from_plain(inner, item) if of_dataclasses else item for item in value)


def _fits(value: Any, hint: Any) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is tuple:
        one: Any = dict[str, Any] if is_dataclass(inner[0]) else inner[0]
        return isinstance(value, (list, tuple)) and all(_fits(item, one) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(item, inner[1]) for item in value.values())
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8")).hexdigest()
