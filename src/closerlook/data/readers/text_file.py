"""Text files as numbered lines: one place that knows about encodings, line ends and NUL bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from closerlook.data.data_errors import DataFileError


def read_text(path: Path, fallback: str | None = None) -> str:
    """The file as text: UTF-8 (a byte order mark is dropped), else the fallback encoding.

    Args:
        path: The file.
        fallback: Encoding of files that are not UTF-8; None makes those an error.

    Raises:
        DataFileError: Missing, unreadable, wrong encoding, or NUL bytes.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataFileError(
            path, None, f"cannot be read ({error.strerror or error})", "Expected a text file: check the path"
        ) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if fallback is None:
            line = data.count(b"\n", 0, error.start) + 1
            raise DataFileError(
                path,
                line,
                f"byte 0x{data[error.start]:02X} is not UTF-8; expected a UTF-8 file",
                "Convert it first, e.g. with iconv -f latin1 -t utf-8",
            ) from error
        text = data.decode(fallback)
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataFileError(
            path, line, "a NUL byte; expected text", "Is it UTF-16 or a binary file? Convert it to UTF-8 text"
        )
    return text


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """(1-based number, line without its end) of lines ended by LF or CRLF; the last end may be missing."""
    # not str.splitlines: that also breaks at U+0085 and U+2028, which are data here
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    for number, line in enumerate(lines, start=1):
        yield number, line.removesuffix("\r")


def blocks(text: str) -> Iterator[list[tuple[int, str]]]:
    """Runs of numbered non-blank lines: the sentences of CoNLL-like files."""
    block: list[tuple[int, str]] = []
    for number, line in numbered_lines(text):
        if line.strip():
            block.append((number, line))
        elif block:
            yield block
            block = []
    if block:
        yield block
