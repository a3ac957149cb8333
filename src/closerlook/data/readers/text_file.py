"""Text files as numbered lines: one place that knows about encodings, compression, line ends and NUL bytes."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from closerlook.data.data_errors import DataError, DataFileError

Block = list[tuple[int, str]]
"""Numbered lines that belong together."""


def read_text(path: Path, encoding: str = "utf-8", fallback: str | None = None) -> str:
    """The file as text; a byte order mark is dropped, ``.gz`` is unpacked.

    Args:
        path: The file.
        encoding: Its encoding.
        fallback: Encoding of files that do not keep to ``encoding``; None makes those an error.

    Raises:
        DataFileError: Missing, unreadable, in another encoding, or with NUL bytes.
        DataError: There is no such encoding.
    """
    data = _read_bytes(path)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if fallback is None:
            raise _wrong_encoding(path, data, error) from error
        text = data.decode(fallback)
    except LookupError as error:
        raise DataError(
            f"task.encoding is {encoding!r}; expected a text encoding that Python knows, such as utf-8, latin-1, "
            "cp1252 or utf-16"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataFileError(
            path, line, "a NUL byte; expected text", "Is it a binary file, or UTF-16 (task.encoding=utf-16)?"
        )
    return text.removeprefix("\ufeff")


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """(1-based number, line without its end) of lines ended by LF or CRLF; the last end may be missing."""
    # not str.splitlines: that also breaks at U+0085 and U+2028, which are data here
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    for number, line in enumerate(lines, start=1):
        yield number, line.removesuffix("\r")


def blocks(text: str) -> Iterator[Block]:
    """Runs of numbered non-blank lines: the sentences of CoNLL-like files."""
    block: Block = []
    for number, line in numbered_lines(text):
        if line.strip():
            block.append((number, line))
        elif block:
            yield block
            block = []
    if block:
        yield block


def _read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix.lower() == ".gz" else data
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataFileError(path, None, f"cannot be read ({reason})", "Expected a text file: check the path") from error


def _wrong_encoding(path: Path, data: bytes, error: UnicodeDecodeError) -> DataFileError:
    line_end = b"\n" if b"\n" in data else b"\r"
    utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    return DataFileError(
        path,
        data.count(line_end, 0, error.start) + 1,
        f"byte 0x{data[error.start]:02X} is not {error.encoding.upper()}; expected a {error.encoding.upper()} file",
        f"Say what it is with task.encoding={'utf-16' if utf16 else 'latin-1'} (your own data), or convert the file",
    )
