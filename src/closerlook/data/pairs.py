"""Where the two words of a pair are: by word position, by character offset, or by markers in the text."""

from __future__ import annotations

from collections.abc import Callable

from closerlook.data.cell_values import number_at, text_at, words_at
from closerlook.data.data_errors import DataError
from closerlook.data.readers.table import Table
from closerlook.data.task_settings import TaskSettings

_PairOf = Callable[[int], tuple[tuple[str, ...], tuple[int, int]]]
"""From a row to its words and the positions of the pair in them."""


def _by_word_index(table: Table, settings: TaskSettings) -> _PairOf:
    all_words = table.require(settings.words_column, "words_column")
    firsts = table.require(settings.first_column, "first_column")
    seconds = table.require(settings.second_column, "second_column")

    def pair_of(row: int) -> tuple[tuple[str, ...], tuple[int, int]]:
        words = words_at(table, row, all_words[row])
        first, second = number_at(table, row, firsts[row]), number_at(table, row, seconds[row])
        if not (0 <= first < len(words) and 0 <= second < len(words)) or first == second:
            raise table.row_error(row, f"word positions {first} and {second}; expected two of 0 to {len(words) - 1}")
        return words, (first, second)

    return pair_of


def _by_char_span(table: Table, settings: TaskSettings) -> _PairOf:
    texts = table.require(settings.text_column, "text_column")
    names = ("first_start_column", "first_end_column", "second_start_column", "second_end_column")
    columns = [table.require(getattr(settings, name), name) for name in names]

    def pair_of(row: int) -> tuple[tuple[str, ...], tuple[int, int]]:
        a, b, c, d = (number_at(table, row, column[row]) for column in columns)
        return _cut_out(table, row, text_at(table, row, texts[row]), (a, b), (c, d))

    return pair_of


def _by_markers(table: Table, settings: TaskSettings) -> _PairOf:
    texts = table.require(settings.text_column, "text_column")
    if len(settings.markers) != 4 or len(set(settings.markers)) != 4 or not all(settings.markers):
        raise DataError(f"task.markers is {settings.markers}; expected four different markers, such as <e1> </e1>")

    def pair_of(row: int) -> tuple[tuple[str, ...], tuple[int, int]]:
        text = text_at(table, row, texts[row])
        for marker in settings.markers:
            if text.count(marker) != 1:
                raise table.row_error(row, f"marker {marker!r} stands {text.count(marker)} times; expected once")
        # positions in the text without the markers: each is moved left by the markers before it
        at = [text.index(marker) for marker in settings.markers]
        moved = [p - sum(len(m) for m, q in zip(settings.markers, at, strict=True) if q < p) for p in at]
        plain = text
        for marker in settings.markers:
            plain = plain.replace(marker, "")
        return _cut_out(table, row, plain, (moved[0], moved[1]), (moved[2], moved[3]))

    return pair_of


def _cut_out(
    table: Table, row: int, text: str, first: tuple[int, int], second: tuple[int, int]
) -> tuple[tuple[str, ...], tuple[int, int]]:
    """The text as words, with each of the two spans as one of them, and where those two are."""
    (a, b), (c, d) = sorted((first, second))
    if not (0 <= a < b <= c < d <= len(text)) or not text[a:b].strip() or not text[c:d].strip():
        raise table.row_error(
            row,
            f"spans {first} and {second} in a text of {len(text)} characters; expected two that hold a word "
            "each and do not overlap (start, end; the end is not part of it)",
        )
    before, between, after = text[:a].split(), text[b:c].split(), text[d:].split()
    words = (*before, text[a:b].strip(), *between, text[c:d].strip(), *after)
    left, right = len(before), len(before) + 1 + len(between)
    return words, (left, right) if first < second else (right, left)


PAIR_FORMATS: dict[str, Callable[[Table, TaskSettings], _PairOf]] = {
    "word_index": _by_word_index,
    "char_span": _by_char_span,
    "markers": _by_markers,
}
"""How the rows of a table may give their pairs."""
