"""Li & Roth question types: one ``LABEL:fine question`` a line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from closerlook.data.data_errors import DataFileError
from closerlook.data.readers.text_file import numbered_lines, read_text

_LINE = re.compile(r"([A-Z]+):([A-Za-z]+) +(\S.*)")


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its type.

    Attributes:
        text: The question, tokenised by spaces as in the file.
        coarse: One of 6 types, such as ``NUM``.
        fine: One of 50 types, with its coarse one: ``NUM:date``.
        line: 1-based line in the file.
    """

    text: str
    coarse: str
    fine: str
    line: int


def read_trec(path: Path) -> tuple[Question, ...]:
    """Read ``train_5500.label`` or ``TREC_10.label``.

    The published files are ISO-8859-1 (one byte is not ASCII); a copy converted to UTF-8 is read as such.

    Raises:
        DataFileError: A line of another form, or no question at all.
    """
    questions = []
    for number, line in numbered_lines(read_text(path, fallback="iso-8859-1")):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.rstrip())
        if match is None:
            raise DataFileError(path, number, f"got {line[:60]!r}; expected 'LABEL:fine question'")
        coarse, fine, text = match.groups()
        questions.append(Question(text, coarse, f"{coarse}:{fine}", number))
    if not questions:
        raise DataFileError(path, None, "no question found; expected lines 'LABEL:fine question'")
    return tuple(questions)
