"""JSON: a list of rows, rows one a line, or columns by name, as pandas, `datasets` and people write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from closerlook.data.data_errors import DataFileError
from closerlook.data.readers.table import Table
from closerlook.data.readers.text_file import numbered_lines, read_text

_FORMS = "a list of objects, an object a line, or lists by column name"


def read_json(path: Path, by_line: bool, encoding: str) -> Table:
    """A .json, .jsonl or .ndjson file. Values keep their JSON type: no text becomes a date or a number.

    Args:
        path: The file.
        by_line: Whether its ending says that every line is a row.
        encoding: Its encoding.

    Raises:
        DataFileError: Another encoding, no JSON, no rows, or rows that are no objects.
    """
    text = read_text(path, encoding)
    if by_line:
        return _from_lines(path, text)
    try:
        whole = _parse(path, 1, text)
    except json.JSONDecodeError as error:
        if text.lstrip().startswith("["):
            raise _no_json(path, error.lineno, error) from error
        return _from_lines(path, text)  # often enough, .json holds an object a line
    rows = _rows_of(whole)
    if rows is None:
        raise DataFileError(path, None, f"holds {type(whole).__name__}, not rows; expected {_FORMS}")
    return _table(path, rows, [])


def _from_lines(path: Path, text: str) -> Table:
    rows, lines = [], []
    for number, line in numbered_lines(text):
        if not line.strip():
            continue
        try:
            rows.append(_parse(path, number, line))
        except json.JSONDecodeError as error:
            raise _no_json(path, number, error) from error
        lines.append(number)
    return _table(path, rows, lines)


def _rows_of(whole: Any) -> list[Any] | None:
    """The rows in a JSON value, if it is one of the forms that hold several."""
    if isinstance(whole, list):
        return whole
    if not isinstance(whole, dict):
        return None
    values = list(whole.values())
    if all(name.isdecimal() for name in whole) and all(isinstance(row, dict) for row in values):
        return values  # pandas' to_json(orient="index"): {row: {column: value}}
    if values and all(isinstance(v, dict) and v.keys() == values[0].keys() for v in values) and values[0]:
        values = [list(v.values()) for v in values]  # what pandas' to_json writes: {column: {row: value}}
    if values and all(isinstance(v, list) for v in values) and len({len(v) for v in values}) == 1:
        if len(values) == 1 and all(isinstance(row, dict) for row in values[0]):
            return values[0]
        return [dict(zip(whole, row, strict=True)) for row in zip(*values, strict=True)]
    lists = [v for v in values if isinstance(v, list) and v and all(isinstance(row, dict) for row in v)]
    return lists[0] if len(lists) == 1 else None  # {"version": ..., "data": [...]}


def _table(path: Path, rows: list[Any], lines: list[int]) -> Table:
    if not rows:
        raise DataFileError(path, None, f"has no rows; expected at least one ({_FORMS})", "Check the file")
    for i, row in enumerate(rows):
        if not isinstance(row, dict):
            raise DataFileError(path, lines[i] if lines else None, f"row {i + 1} is {row!r:.40}; expected {_FORMS}")
    names = list(dict.fromkeys(name for row in rows for name in row))
    return Table(str(path), {name: [row.get(name) for row in rows] for name in names}, lines=lines)


def _parse(path: Path, line: int, text: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise DataFileError(path, line, f"an object names {twice!r} twice; expected every name once")
        return found

    try:
        return json.loads(text, object_pairs_hook=once)
    except RecursionError as error:
        raise DataFileError(path, line, "objects within objects without end; expected rows") from error
    except ValueError as error:
        if isinstance(error, json.JSONDecodeError | DataFileError):
            raise
        raise DataFileError(path, line, f"a number of too many digits ({error}); expected rows") from error


def _no_json(path: Path, line: int, error: json.JSONDecodeError) -> DataFileError:
    return DataFileError(path, line, f"is no JSON ({error.msg} at column {error.colno}); expected {_FORMS}")
