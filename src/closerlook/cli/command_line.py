"""Commands as a shell and Hydra take them."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

_PLAIN = re.compile(r"[A-Za-z0-9_./:+%@-]+")
"""Values that neither Hydra nor a shell reads as anything else."""


def program(name: str) -> str:
    """How to start a command in the way that this process was started.

    Args:
        name: ``train`` or ``probe``.

    Returns:
        ``python train.py`` for a script of a checkout, ``closerlook-train`` otherwise.
    """
    script = Path(sys.argv[0]).with_name(f"{name}.py")
    is_checkout = script.is_file() and script.parent.resolve() != Path(__file__).resolve().parent
    return f"python {shlex.quote(str(script))}" if is_checkout else f"closerlook-{name}"


def override(key: str, value: object) -> str:
    """``key=value`` as Hydra takes it: in quotes where it would read blanks, ``=``, commas or brackets otherwise."""
    text = str(value)
    if _PLAIN.fullmatch(text):
        return f"{key}={text}"
    escaped = re.sub(r"(\\*)'", lambda found: found[1] * 2 + r"\'", text)
    trailing = len(escaped) - len(escaped.rstrip("\\"))
    return f"{key}='{escaped}{chr(92) * trailing}'"


def command(name: str, overrides: Iterable[str]) -> str:
    """A command to paste into a shell."""
    return f"{program(name)} {shlex.join(overrides)}"
