"""What stands in a table's cell, as a text, words, or labels: the same whatever format the table came in."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from closerlook.data.data_errors import DataError
from closerlook.data.readers.table import Table
from closerlook.data.written_lists import is_written_list, parse_written_list

IGNORED_INDEX = "-100"
"""The label of words that are no examples, by the habit of Hugging Face and PyTorch."""

_WHOLE_FLOAT = re.compile(r"(-?\d+)\.0+")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def text_at(table: Table, row: int, text: Any, what: str = "text") -> str:
    """A text that is not empty.

    Raises:
        EmptyValueError: It is empty or missing.
        DataError: It is no text.
    """
    if _is_missing(text):
        raise table.empty_error(row, what, f"{what} {text!r:.40}; expected a text that is not empty")
    if isinstance(text, list | dict | tuple | bytes):
        raise table.row_error(row, f"{what} {text!r:.40}; expected a text")
    text = str(text)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        problem = f"{what} {text!r:.40} holds half a character (a surrogate); expected text"
        raise table.row_error(row, problem) from error
    return text


def words_at(table: Table, row: int, words: Any) -> tuple[str, ...]:
    """A list of words, a list written as text, or a text split at its blanks. A word may be empty ("").

    Raises:
        EmptyValueError: There are no words.
        DataError: It is none of these.
    """
    if isinstance(words, str):
        words = _list_of(table, row, words, "words") if is_written_list(words) else words.split()
    if _is_missing(words) or words == []:
        raise table.empty_error(row, "sentence", f"words {words!r}; expected a list of words that is not empty")
    if not isinstance(words, list):
        raise table.row_error(row, f"words {words!r:.60}; expected a list of words (or a text to split at blanks)")
    found = tuple("" if _is_missing(word) else text_at(table, row, word, "word") for word in words)
    if not any(found):
        raise table.empty_error(row, "sentence", f"{len(found)} words that are all empty; expected words")
    return found


def labels_at(table: Table, row: int, column: str, labels: Any, n_words: int) -> list[str | None]:
    """The names of the labels of a row's words, one a word; None where there is none.

    Raises:
        DataError: No list, or not as many as there are words.
    """
    if isinstance(labels, str):
        written = _list_of(table, row, labels, "labels") if is_written_list(labels) else parse_written_list(labels)
        labels = written if written is not None and len(written) == n_words else labels.split()
    if not isinstance(labels, list) or len(labels) != n_words:
        got = f"{len(labels)} labels" if isinstance(labels, list) else f"labels {labels!r:.40}"
        advice = "Mend the row. Are there rows of one word each? Then name the sentences with task.sentence_column"
        raise table.row_error(row, f"{got} for {n_words} words; expected a list with one a word", advice)
    return [label_name(table, row, column, label) for label in labels]


def label_name(table: Table, row: int, column: str, label: Any) -> str | None:
    """The name of a label: text and numbers as they stand, `ClassLabel` numbers by their name; None for none.

    Raises:
        DataError: Several labels, a class that does not exist, or something that is no name.
    """
    if _is_missing(label):
        return None
    if isinstance(label, list | tuple) or (isinstance(label, str) and is_written_list(label)):
        problem = f"label {label!r:.60} is a list; expected one label (several labels a text are not supported)"
        raise table.row_error(row, problem, "Choose a column with one label a row (task.label_column)")
    if isinstance(label, dict | bytes):
        raise table.row_error(row, f"label {label!r:.40}; expected a name or a whole number")
    name, names = str(label).strip(), table.class_names.get(column)
    if names is None or name in names:
        return name
    number = _WHOLE_FLOAT.sub(r"\1", name)
    if number.isdecimal() and int(number) < len(names):
        return names[int(number)]
    return number if number.startswith("-") else _no_such_class(table, row, name, names)


def _no_such_class(table: Table, row: int, name: str, names: Sequence[str]) -> str:
    raise table.row_error(row, f"class {name}; expected one of {', '.join(names[:10])} or its number from 0")


def require_label(table: Table, row: int, column: str, name: str | None, ignored: Sequence[str]) -> str:
    """A label that is there and, of a column with named classes, one of them (or one that is ignored).

    Raises:
        EmptyValueError: There is none.
        DataError: The number of no class, such as -1.
    """
    if name is None:
        raise table.empty_error(row, "label", "no label; expected a name or a whole number")
    names = table.class_names.get(column)
    if names is not None and name not in names and name not in (*ignored, IGNORED_INDEX):
        problem = f"class {name}, which means no label; expected 0 to {len(names) - 1}"
        raise table.row_error(row, problem, f"Leave such examples out with 'task.ignore_labels=[{name}]' (counted)")
    return name


def whole_floats_as_integers(labels: Iterable[str | None]) -> dict[str, str]:
    """New names of labels in a column of whole floats: ``1.0`` is the class 1.

    Pandas makes floats of integers where a value is missing. A column that holds other labels too is left alone.
    """
    found = {label for label in labels if label is not None}
    matches = {label: _WHOLE_FLOAT.fullmatch(label) for label in found}
    return {label: match[1] for label, match in matches.items() if match} if all(matches.values()) else {}


def refuse_numbers(task: str, labels: Iterable[str]) -> None:
    """Raise when labels are scores to predict, or one number written in two ways.

    Raises:
        DataError: Numbers with fractions, or both ``1`` and ``1.0``.
    """
    found = set(labels)
    fractions = [label for label in sorted(found) if _NUMBER.fullmatch(label) and not float(label).is_integer()]
    if fractions and all(map(_NUMBER.fullmatch, found)):
        raise DataError(
            f"task {task}: labels such as {fractions[0]} are numbers with fractions, a score to predict (regression), "
            "which is not supported; expected classes. Choose another column, or write ranges as names"
        )
    for label in sorted(found):
        whole = _WHOLE_FLOAT.fullmatch(label)
        if whole and whole[1] in found:
            raise DataError(
                f"task {task}: labels {whole[1]!r} and {label!r} are one number written in two ways; expected one. "
                "Write them alike in all files (in pandas: astype(int))"
            )


def number_at(table: Table, row: int, value: Any) -> int:
    """A whole number: a position in a text.

    Raises:
        DataError: It is none.
    """
    if isinstance(value, str) and value.strip().removeprefix("-").isdecimal() and len(value) < 12:
        return int(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value == int(value):
        return int(value)
    raise table.row_error(row, f"position {value!r:.40}; expected a whole number")


def _is_missing(value: Any) -> bool:
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
    )


def _list_of(table: Table, row: int, text: str, what: str) -> list[Any]:
    values = parse_written_list(text)
    if values is None:
        problem = f"{what} {text!r:.60} begin like a list but cannot be read as one; expected ['a', 'b'] or ['a' 'b']"
        raise table.row_error(row, problem, "Mend the row: numpy shortens long lists with '...'")
    return values
