"""Standard streams that end no run: whatever reads them, in whatever encoding; and no key is shown on them."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys

from closerlook.redaction import redact

_GONE = (errno.EPIPE, errno.EIO)
"""The reader of a pipe has ended (``| head``), or the terminal was closed."""

# What the tables use.
_ASCII = {"→": "->", "±": "+/-", "−": "-", "–": "-", "—": "-", "…": "...", "≥": ">=", "≤": "<=", "×": "x", "·": "."}  # noqa: RUF001
_SPELLED_OUT = "closerlook.spelled_out"


def sturdy_streams() -> None:
    """Put streams in place of stdout and stderr that cannot fail.

    What the encoding does not have is spelled out (``->`` for an arrow); once nobody reads any more, or where the
    stream was closed from the start (``>&-``), output is dropped and the command goes on.
    """
    codecs.register_error(_SPELLED_OUT, _spell_out)
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            stream = os.fdopen(_nowhere(number), "w", encoding="utf-8")
        if isinstance(stream, io.TextIOWrapper) and not isinstance(stream, SturdyStream):
            setattr(sys, name, SturdyStream(stream))


def _nowhere(number: int) -> int:
    """A descriptor that swallows what is written; the closed one itself, lest a file of the run takes its number."""
    empty = os.open(os.devnull, os.O_WRONLY)
    try:
        os.fstat(number)
    except OSError:
        os.dup2(empty, number)
        os.close(empty)
        return number
    return empty


class SturdyStream(io.TextIOWrapper):
    """A text stream in place of another one.

    Args:
        stream: The other one.
    """

    def __init__(self, stream: io.TextIOWrapper) -> None:
        super().__init__(
            stream.buffer, encoding=stream.encoding, errors=_SPELLED_OUT, line_buffering=stream.line_buffering
        )
        self._replaced = stream  # closes the buffer when it is collected

    def write(self, text: str) -> int:
        """Write the text without keys; without a reader it is dropped."""
        try:
            return super().write(redact(text))
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        """Flush, if there is a reader."""
        try:
            super().flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        if error.errno not in _GONE:
            raise error
        empty = os.open(os.devnull, os.O_WRONLY)
        os.dup2(empty, self.fileno())
        os.close(empty)


def _spell_out(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_ASCII.get(c) or c.encode("ascii", "backslashreplace").decode() for c in text), error.end
