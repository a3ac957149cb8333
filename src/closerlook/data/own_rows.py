"""What one row of a table says: a text (or two) with a label, words with their labels, or a pair of words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from closerlook.data.cell_values import label_name, labels_at, text_at, words_at
from closerlook.data.data_errors import DataError
from closerlook.data.pairs import PAIR_FORMATS
from closerlook.data.readers.table import Table
from closerlook.data.task_settings import TaskSettings


class Row(NamedTuple):
    """An input and its labels by word positions; None where a label is missing. A word may be empty ("")."""

    targets: Sequence[tuple[tuple[int, ...], str | None]]
    words: tuple[str, ...] | None = None
    text: str | None = None
    second_text: str | None = None


RowAt = Callable[[int], Row]


def _text_rows(table: Table, settings: TaskSettings) -> RowAt:
    texts = table.require(settings.text_column, "text_column")
    second = settings.text_pair_column
    seconds = None if second is None else table.require(second, "text_pair_column")
    label_at = _label_of(table, settings)

    def row_at(row: int) -> Row:
        text = text_at(table, row, texts[row])
        pair = None if seconds is None else text_at(table, row, seconds[row], "second text")
        return Row([((), label_at(row))], text=text, second_text=pair)

    return row_at


def _word_rows(table: Table, settings: TaskSettings) -> RowAt:
    all_words = table.require(settings.words_column, "words_column")
    all_labels = table.require(settings.labels_column, "labels_column")
    _refuse_words_as_rows(table, all_words)

    def row_at(row: int) -> Row:
        words = words_at(table, row, all_words[row])
        labels = labels_at(table, row, settings.labels_column, all_labels[row], len(words))
        return Row([((i,), label) for i, label in enumerate(labels)], words=words)

    return row_at


def _pair_rows(table: Table, settings: TaskSettings) -> RowAt:
    pair_of = PAIR_FORMATS[settings.pair_format](table, settings)
    label_at = _label_of(table, settings)

    def row_at(row: int) -> Row:
        words, pair = pair_of(row)
        return Row([(pair, label_at(row))], words=words)

    return row_at


ROWS: dict[str, Callable[[Table, TaskSettings], RowAt]] = {
    "text_classification": _text_rows,
    "token_classification": _word_rows,
    "pair_classification": _pair_rows,
}
"""How each task reads the rows of a table."""


def gather_sentences(table: Table, settings: TaskSettings) -> Table:
    """A table of one word a row as a table of one sentence a row.

    Rows belong together while ``sentence_column`` stays the same or is blank, as spreadsheets leave it.

    Raises:
        DataError: A column is missing, the first row names no sentence, or a sentence begins again further down.
    """
    column = settings.sentence_column or ""
    names = table.require(column, "sentence_column")
    words = table.require(settings.words_column, "words_column")
    labels = table.require(settings.labels_column, "labels_column")
    first_rows: dict[str, int] = {}
    last = None
    for row, value in enumerate(names):
        name = "" if value is None or value != value else str(value).strip()
        if not name and last is None:
            raise table.row_error(row, f"column {column!r} is blank; expected the name of the first sentence")
        if name and name != last:
            if name in first_rows:
                problem = f"sentence {name!r} begins again (first in row {first_rows[name] + 1})"
                advice = "Sort the rows, or give every sentence a name of its own"
                raise table.row_error(row, f"{problem}; expected its words together", advice)
            first_rows[name], last = row, name
    starts = list(first_rows.values())
    spans = list(zip(starts, [*starts[1:], len(names)], strict=True))
    return Table(
        table.origin,
        {
            settings.words_column: [words[a:b] for a, b in spans],
            settings.labels_column: [labels[a:b] for a, b in spans],
        },
        table.class_names,
        lines=[table.lines[a] for a in starts] if table.lines else (),
    )


def _refuse_words_as_rows(table: Table, all_words: Sequence[Any]) -> None:
    """A row for each word reads well, as sentences of one word, and would give vectors without their context."""
    names = [name for name in table.all_names or table.columns if "sent" in name.lower()]
    if names and len(all_words) > 1 and all(isinstance(words, str) and len(words.split()) < 2 for words in all_words):
        raise DataError(
            f"{table.origin}: every row holds one word, and there is a column {names[0]!r}; expected a sentence a row, "
            f"or the column that says which words belong together. Set 'task.sentence_column={names[0]!r}'"
        )


def _label_of(table: Table, settings: TaskSettings) -> Callable[[int], str | None]:
    column = settings.label_column
    labels = table.require(column, "label_column")
    if labels and all(label in (None, "", -1) for label in labels):
        raise DataError(
            f"{table.origin}: column {column!r} has no label at all, as the test splits of "
            "benchmarks often do; choose another split, such as task.test_split=validation"
        )
    return lambda row: label_name(table, row, column, labels[row])
