"""CoNLL-2003 and its kin: one word a line with its labels in columns, a blank line between sentences."""

from __future__ import annotations

import re
from pathlib import Path

from closerlook.data.data_errors import DataError, DataFileError
from closerlook.data.readers.table import Table
from closerlook.data.readers.text_file import Block, blocks, read_text
from closerlook.data.task_settings import TaskSettings

ENDINGS = (".conll", ".txt", ".iob", ".iob2", ".bio", ".ner")
"""Endings of such files."""

_BLANKS = re.compile(r"[ \t]+")
_COMMENT = re.compile(r"#(?=\s)")
_DOCUMENT = "-DOCSTART-"


def read_columns(path: Path, settings: TaskSettings) -> Table:
    """A file of words in columns as a table with a list of words and a list of labels a row.

    Columns stand between tabs, or else between blanks. Lines that begin with ``-DOCSTART-`` and comments before the
    words of a sentence are left out.

    Args:
        path: The file.
        settings: ``encoding``; ``words_column`` and ``labels_column`` as numbers from 0 (-1 is the last). Their
            defaults are the first and the last column.

    Raises:
        DataFileError: Another encoding, lines with different numbers of columns, no words at all.
        DataError: A column's number that is none, or too high.
    """
    text = read_text(path, settings.encoding)
    sentences = _without_comments([_without_documents(block) for block in blocks(text)])
    if not sentences:
        raise DataFileError(path, None, "no words found; expected a word and its label on each line")
    by_tabs = all("\t" in line for sentence in sentences for _, line in sentence)
    n_columns, first_line = 0, 0
    words, labels = [], []
    word_at, label_at = _number(settings.words_column, "words"), _number(settings.labels_column, "labels")
    for sentence in sentences:
        cells = [line.split("\t") if by_tabs else _BLANKS.split(line.strip(" \t")) for _, line in sentence]
        n_columns, first_line = n_columns or len(cells[0]), first_line or sentence[0][0]
        for (number, _), values in zip(sentence, cells, strict=True):
            if len(values) != n_columns or n_columns < 2:
                expected = f"{n_columns} as in line {first_line}" if n_columns > 1 else "a word and its label"
                raise DataFileError(path, number, f"{len(values)} columns; expected {expected}")
        if not all(-n_columns <= at < n_columns for at in (word_at, label_at)):
            raise DataError(
                f"{path}: columns {word_at} and {label_at} are asked for; expected 0 to {n_columns - 1}, or -1 for the "
                "last. Set task.words_column and task.labels_column"
            )
        words.append([values[word_at] for values in cells])
        labels.append([values[label_at] for values in cells])
    columns = {settings.words_column: words, settings.labels_column: labels}
    return Table(str(path), columns, lines=[sentence[0][0] for sentence in sentences])


def _without_documents(block: Block) -> Block:
    return [(number, line) for number, line in block if not line.lstrip().startswith(_DOCUMENT)]


def _without_comments(sentences: list[Block]) -> list[Block]:
    """The sentences without lines of comment before their words. ``#`` may also be a word."""
    sentences = [sentence for sentence in sentences if sentence]
    # as a word it does not begin every sentence, and has as many columns as the other words
    everywhere = len(sentences) > 1 and all(_COMMENT.match(sentence[0][1]) for sentence in sentences)
    kept = []
    for sentence in sentences:
        n_columns = len(sentence[-1][1].split())
        start = 0
        while start < len(sentence) - 1 and _COMMENT.match(sentence[start][1]):
            if not everywhere and len(sentence[start][1].split()) == n_columns:
                break
            start += 1
        kept.append(sentence[start:])
    return kept


def _number(column: str, what: str) -> int:
    usual = {"tokens": 0, "tags": -1}
    if column in usual:
        return usual[column]
    if not column.removeprefix("-").isdecimal():
        raise DataError(
            f"task.{what}_column is {column!r}, but a file of columns without names was given; expected a number: "
            "0 is the first column, -1 the last"
        )
    return int(column)
