"""Tables: what every reader of rows and columns gives, and the words in which it says what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from closerlook.data.data_errors import DataError, EmptyValueError


@dataclass(frozen=True)
class Table:
    """Columns of one file, or of one split of a dataset.

    Attributes:
        origin: File or dataset id with its split, for errors.
        columns: Values by column name; all columns are equally long.
        class_names: Names of the classes of columns that hold `ClassLabel` numbers (or lists of them).
        lines: 1-based first line of each row, for text files; empty where rows have no lines.
        all_names: Names of all columns, those that were not read too.
        hint: What else may be wrong when a column is missing.
        notes: What the reader decided and a user should know.
    """

    origin: str
    columns: dict[str, list[Any]]
    class_names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    lines: Sequence[int] = ()
    all_names: tuple[str, ...] = ()
    hint: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))

    def require(self, column: str, setting: str) -> list[Any]:
        """A column by name.

        Raises:
            DataError: There is no such column; ``setting`` is what names it.
        """
        if column not in self.columns:
            names = ", ".join(map(repr, self.all_names or self.columns)) or "none"
            raise DataError(
                f"{self.origin}: no column {column!r}; it has {names:.400}. Name the right one with task.{setting}"
                f"{self.hint}"
            )
        return self.columns[column]

    def place(self, row: int) -> str:
        """Where a row is: it is counted from 0 here and from 1 in the text."""
        line = f" (line {self.lines[row]})" if self.lines else ""
        return f"{self.origin}, row {row + 1}{line}"

    def row_error(self, row: int, problem: str, advice: str = "Mend the row or leave it out") -> DataError:
        """An error about a row."""
        return DataError(f"{self.place(row)}: {problem}. {advice}")

    def empty_error(self, row: int, what: str, problem: str) -> EmptyValueError:
        """An error about a row that holds nothing where a ``what`` must be."""
        return EmptyValueError(
            f"{self.place(row)}: {problem}. Mend the row, or leave such rows out with task.on_empty=skip (counted)",
            what,
        )
