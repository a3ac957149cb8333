"""A terminal that shows text of files as text: control characters in it could change what is seen."""

from __future__ import annotations

from typing import Any

import rich.console
from rich.text import Text


def printable(text: str) -> str:
    """The text with control characters spelled out; line ends and tabs stay."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


class Console(rich.console.Console):
    """Rich's console; everything that it shows goes through :func:`printable`."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Text for the terminal."""
        return super().render_str(printable(text), **options)
