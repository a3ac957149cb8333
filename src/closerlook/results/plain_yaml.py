"""Read a YAML file that somebody else may have written: plain values, no references, bounded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

_MOST_BYTES = 1 << 22
_MOST_BRACKETS = 1000
"""PyYAML takes time in the square of the brackets that are open; stored settings have next to none."""


class _PlainLoader(yaml.SafeLoader):
    """Without aliases: a few of them, one inside the other, stand for more values than memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("got an alias (*name), expected plain values")
        return super().compose_node(parent, index)


def read_plain_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Interpolations stay the text that they are.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no mapping, not YAML, too large, or has aliases; the message says which.
    """
    if (size := path.stat().st_size) > _MOST_BYTES:
        raise ValueError(f"got {size} bytes, expected at most {_MOST_BYTES}")
    try:
        text = path.read_text(encoding="utf-8")
        if text.count("[") + text.count("{") > _MOST_BRACKETS:
            raise ValueError(f"got more than {_MOST_BRACKETS} brackets, expected plain values")
        content = _PlainLoader(text).get_single_data()
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {' '.join(str(error).split())[:150]}") from error
    if not isinstance(content, dict):
        raise ValueError(f"got {type(content).__name__}, expected settings by name")
    return content
