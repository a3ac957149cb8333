"""Delimited text: .csv with quoting, .tsv without, as those who write them do."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from closerlook.data.data_errors import DataFileError
from closerlook.data.readers.table import Table
from closerlook.data.readers.text_file import numbered_lines, read_text
from closerlook.data.task_settings import TaskSettings

DELIMITERS = {",": "','", ";": "';'", "\t": "tabs", "|": "'|'"}
"""What may stand between values, and what it is called."""

_SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n")  # Excel's own way to say it


class _Dialect(NamedTuple):
    delimiter: str
    quoting: bool
    skip_blank: bool


class _Row(NamedTuple):
    line: int
    values: list[str]


def read_delimited(path: Path, is_tsv: bool, settings: TaskSettings) -> Table:
    """A .csv or .tsv file. Values are text exactly as written: ``007`` and ``null`` stay what they are.

    In .tsv files a quotation mark is a character like any other, as GLUE, SST and CoLA write them; in .csv files it
    quotes. Columns without a name (the index that pandas writes) are left out.

    Args:
        path: The file.
        is_tsv: Whether its ending says tab-separated.
        settings: ``encoding``, ``quoting``, and ``column_names`` for files without a header.

    Raises:
        DataFileError: Another encoding, no rows, a header without names or with one twice, rows of another length.
    """
    text = read_text(path, settings.encoding)
    n_skipped = 0
    if declared := _SEPARATOR_LINE.match(text):
        text, n_skipped = text[declared.end() :], 1
    dialect = _dialect(text, is_tsv, declared[1] if declared else None, settings)
    rows = iter(_rows(path, text, dialect, n_skipped))
    names = settings.column_names or _header(path, rows)
    kept: list[_Row] = []
    for row in rows:
        if len(row.values) != len(names):
            raise _ragged(path, row, names, dialect)
        kept.append(row)
    if not kept:
        raise DataFileError(path, None, "has no rows below its header; expected at least one", "Check the file")
    columns = {name: [row.values[i] for row in kept] for i, name in enumerate(names) if name}
    hint = (
        ""
        if settings.column_names
        else (". Is the first line data? Then name the columns: task.column_names=[text,label]")
    )
    notes = tuple(_notes(path, is_tsv, dialect, kept))
    return Table(str(path), columns, lines=[row.line for row in kept], hint=hint, notes=notes)


def _dialect(text: str, is_tsv: bool, declared: str | None, settings: TaskSettings) -> _Dialect:
    usual = "\t" if is_tsv else ","
    first_line = re.split(r"[\r\n]", text, maxsplit=1)[0]
    delimiter = declared or _delimiter(first_line, usual, len(settings.column_names))
    header = first_line.split(delimiter)
    quoted_header = all(len(name) > 1 and name[0] == name[-1] == '"' for name in header)
    quoting = settings.quoting
    if quoting is None:
        quoting = not is_tsv or delimiter != usual or quoted_header
    spaced = len(header) > 1 and all(name.startswith(" ") for name in header[1:])
    return _Dialect(delimiter, quoting, skip_blank=quoting and spaced)


def _delimiter(first_line: str, usual: str, n_columns: int) -> str:
    """The usual one, unless the first line falls into columns only with another."""
    counts = {}
    for delimiter in sorted(DELIMITERS, key=lambda d: d != usual):
        counts[delimiter] = len(next(csv.reader([first_line], delimiter=delimiter), []))
    if n_columns:
        return next((d for d, n in counts.items() if n == n_columns), usual)
    return next((d for d, n in counts.items() if n > 1), usual)


def _rows(path: Path, text: str, dialect: _Dialect, n_skipped: int) -> Iterator[_Row]:
    """The rows with their first line; blank lines are left out."""
    if not dialect.quoting:
        for number, line in numbered_lines(text):
            if line:
                yield _Row(number + n_skipped, line.split(dialect.delimiter))
        return
    csv.field_size_limit(sys.maxsize)  # whole articles are values too
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=dialect.delimiter, skipinitialspace=dialect.skip_blank, strict=True
    )
    while True:
        first_line = reader.line_num + 1 + n_skipped
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            advice = "Mend the quotation marks, or read them as text with task.quoting=false"
            raise DataFileError(path, first_line, f"a row that begins here cannot be read ({error})", advice) from error
        if values:
            yield _Row(first_line, values)


def _header(path: Path, rows: Iterator[_Row]) -> list[str]:
    first = next(rows, None)
    if first is None:
        raise DataFileError(path, None, "is empty; expected a header line and rows", "Check the file")
    names = [name.strip() for name in first.values]
    named = [name for name in names if name]
    if not named or len(set(named)) != len(named):
        raise DataFileError(
            path,
            first.line,
            f"got the header {names[:10]}; expected different, non-empty column names",
            "Name every column once, or say task.column_names=[text,label] for a file without a header",
        )
    return names


def _ragged(path: Path, row: _Row, names: list[str], dialect: _Dialect) -> DataFileError:
    advice = "Mend the line: are there more values, or is a value with the separator in it not quoted?"
    if not dialect.quoting and any(value.startswith('"') for value in row.values):
        advice = "If quotation marks quote in this file, say task.quoting=true; else mend the line"
    shown = ", ".join(map(repr, names[:6]))
    return DataFileError(
        path,
        row.line,
        f"{len(row.values)} values between {DELIMITERS.get(dialect.delimiter, repr(dialect.delimiter))}; expected "
        f"{len(names)} ({shown})",
        advice,
    )


def _notes(path: Path, is_tsv: bool, dialect: _Dialect, rows: Iterable[_Row]) -> Iterator[str]:
    if dialect.delimiter != ("\t" if is_tsv else ","):
        between = DELIMITERS.get(dialect.delimiter, repr(dialect.delimiter))
        yield f"{path.name} was read with {between} between values, as its first line is written."
    if not dialect.quoting:
        n = sum(len(v) > 3 and v[0] == v[-1] == '"' and '""' in v[1:-1] for row in rows for v in row.values)
        if n:
            yield (
                f"{n} values of {path.name} look quoted as in CSV; they are kept as written. "
                "If they are quoted, say task.quoting=true."
            )
