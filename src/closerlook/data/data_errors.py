"""What goes wrong with data: every error names the place, what was found and what was expected."""

from __future__ import annotations

from pathlib import Path

from closerlook.errors import UserError

MEND = "Mend the file, or give another copy of it"
"""What to do about a malformed file when there is nothing better to say."""


class DataError(UserError):
    """Something about the data, or a data setting, that the user can put right."""


class EmptyValueError(DataError):
    """A row that holds nothing where something must be; left out where ``task.on_empty=skip`` asks for it.

    Attributes:
        what: What is missing: ``text``, ``label``, ...
    """

    def __init__(self, message: str, what: str) -> None:
        self.what = what
        super().__init__(message)


class DataFileError(DataError):
    """A file that does not keep to its format.

    Attributes:
        path: The file.
        line: 1-based line; None when the fault belongs to no single line.
    """

    def __init__(self, path: Path | str, line: int | None, problem: str, advice: str = MEND) -> None:
        self.path, self.line = Path(path), line
        place = f"{path}, line {line}" if line is not None else f"{path}"
        super().__init__(f"{place}: {problem}. {advice}")


class DownloadError(DataError):
    """A file that is neither on disk nor to be had from its address."""


class AlignmentError(DataError):
    """Words that the tokenizer would lose, or a tokenizer that cannot say where words are."""
