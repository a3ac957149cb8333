"""YAML that may come from anybody: read as plain values, nothing in it is looked up, and it cannot grow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

HIDDEN = "$\ue000{"
"""Stands for ``${`` while OmegaConf is at work, so that it resolves nothing (and reads 1e-5 as the number it is)."""
_MOST_BYTES = 1 << 18
_MOST_BRACKETS = 1000
"""PyYAML takes time in the square of the brackets that are open; stored settings have next to none."""


def read_yaml(path: Path) -> Any:
    """What a YAML file of plain values holds; ``${...}`` in it stays text.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no YAML, larger than a file of settings can be, or refers to parts of itself (a file of a
            hundred bytes can stand for gigabytes that way); the message says which.
    """
    import yaml  # type: ignore[import-untyped]
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"got {path.stat().st_size} bytes, expected at most {_MOST_BYTES}")
    text = path.read_text(encoding="utf-8")
    if text.count("[") + text.count("{") > _MOST_BRACKETS:
        raise ValueError(f"got more than {_MOST_BRACKETS} brackets, expected plain values")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise ValueError("got an alias (*name), expected plain values")
        return each_text(OmegaConf.to_container(OmegaConf.create(hide(text))), show)
    except (yaml.YAMLError, OmegaConfBaseException, AttributeError, TypeError, RecursionError) as error:
        raise ValueError(f"no YAML of plain values: {type(error).__name__}") from error


def hide(text: str) -> str:
    """Replace ``${``."""
    return text.replace("${", HIDDEN)


def show(text: str) -> str:
    """Put ``${`` back."""
    return text.replace(HIDDEN, "${")


def each_text(tree: Any, change: Callable[[str], str]) -> Any:
    """The same tree of dictionaries and lists with every text in it changed."""
    if isinstance(tree, dict):
        return {key: each_text(value, change) for key, value in tree.items()}
    if isinstance(tree, list):
        return [each_text(value, change) for value in tree]
    return change(tree) if isinstance(tree, str) else tree
