"""Lists that were written as text: by pandas into a CSV, by numpy, or by hand with blanks between."""

from __future__ import annotations

import ast
import re
from typing import Any

_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_ITEM = re.compile(rf"\s*({_QUOTED}|[-+]?\d+(?:\.\d*)?|None|nan)\s*(,|(?=\s)|$)", re.DOTALL)
_WRAPPED = re.compile(r"(?:(?:np\.)?array|list|tuple)\((.*?)(?:,\s*dtype=[^)]*)?\)", re.DOTALL)
_LOOKS_QUOTED = re.compile(r"""(\[['"].*['"],?\]|\(['"].*['"],?\))""", re.DOTALL)


def is_written_list(text: str) -> bool:
    """Whether a text is meant as a list of quoted values, rather than a text that happens to have brackets."""
    return bool(_LOOKS_QUOTED.fullmatch(_unwrapped(text)))


def parse_written_list(text: str) -> list[Any] | None:
    """The values of ``['a', 'b']``, ``["a" "b"]`` (numpy), ``[1, 2]`` or ``(1, 2)``; None when it is no such list.

    Nothing is evaluated but single literals: two texts side by side stay two, which Python itself would join.
    """
    text = _unwrapped(text)
    if len(text) < 2 or (text[0], text[-1]) not in {("[", "]"), ("(", ")")}:
        return None
    inner = text[1:-1].strip()
    values: list[Any] = []
    separators: set[str] = set()
    at = 0
    while at < len(inner):
        match = _ITEM.match(inner, at)
        if match is None:
            return None
        at = match.end()
        if at < len(inner):
            separators.add(match[2])
        values.append(_literal(match[1]))
    return values if len(separators) < 2 else None


def _unwrapped(text: str) -> str:
    text = text.strip()
    match = _WRAPPED.fullmatch(text)
    return match[1].strip() if match else text


def _literal(text: str) -> Any:
    if text in ("None", "nan"):
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):  # an escape that Python does not know, or 007
        return text.strip("'\"")
