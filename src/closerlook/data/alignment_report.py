"""What tokenising lost, counted; and when that is an error."""

from __future__ import annotations

from dataclasses import dataclass

from closerlook.data.corpus import LabeledText
from closerlook.data.data_errors import AlignmentError

N_SHOWN = 3
"""How many of the lost words an error shows."""


@dataclass(frozen=True, slots=True)
class AlignmentReport:
    """What tokenising did to the texts that have targets. Lost means: not in ``input_ids``.

    Attributes:
        n_texts: Texts with at least one target; others are not read.
        n_examples: Their targets.
        n_subwords: Subwords that the encoder will read, special ones included.
        longest: Most subwords in one text before any truncation.
        max_length: The limit; None when the tokenizer has none.
        n_truncated_texts: Texts over the limit.
        n_truncated_subwords: Subwords lost to the limit.
        n_truncated_words: Words lost to the limit, labelled or not (0 for raw text).
        n_truncated_examples: Targets lost to the limit. A sentence that is cut keeps its target.
        n_dropped_words: Words that give no subword, labelled or not.
        n_dropped_examples: Targets lost because a word (or a whole text) gives no subword.
        lost: The first lost words or texts, for the reader.
    """

    n_texts: int = 0
    n_examples: int = 0
    n_subwords: int = 0
    longest: int = 0
    max_length: int | None = None
    n_truncated_texts: int = 0
    n_truncated_subwords: int = 0
    n_truncated_words: int = 0
    n_truncated_examples: int = 0
    n_dropped_words: int = 0
    n_dropped_examples: int = 0
    lost: tuple[str, ...] = ()

    @property
    def n_kept_examples(self) -> int:
        """Targets that are left."""
        return self.n_examples - self.n_truncated_examples - self.n_dropped_examples

    def summary(self) -> str:
        """One line for people."""
        return (
            f"{self.n_kept_examples} of {self.n_examples} examples in {self.n_texts} texts, {self.n_subwords} "
            f"subwords (longest {self.longest}, limit {self.max_length}); truncated: {self.n_truncated_texts} "
            f"texts, {self.n_truncated_words} words, {self.n_truncated_examples} examples; no subword: "
            f"{self.n_dropped_words} words, {self.n_dropped_examples} examples"
        )


class Tally:
    """Counts for the report while texts pass by.

    Args:
        limit: Most subwords of an input.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.counts: dict[str, int] = {}
        self.longest = 0
        self.lost: list[str] = []

    def add(self, name: str, n: int = 1) -> None:
        """Count something by its name in the report."""
        self.counts[name] = self.counts.get(name, 0) + n

    def lose(self, text: LabeledText, what: str) -> None:
        """Remember one of the first losses."""
        if len(self.lost) < N_SHOWN:
            self.lost.append(f"{what} in {text.text_id}")

    def report(self) -> AlignmentReport:
        """What was counted."""
        return AlignmentReport(longest=self.longest, max_length=self.limit, lost=tuple(self.lost), **self.counts)


def refuse_losses(report: AlignmentReport, allow_truncation: bool, allow_dropped_words: bool) -> None:
    """Raise unless what was lost may be lost.

    Raises:
        AlignmentError: Something was lost and that is not allowed.
    """
    shown = "; ".join(report.lost)
    if report.n_truncated_texts and not allow_truncation:
        raise AlignmentError(
            f"{report.n_truncated_texts} of {report.n_texts} texts are longer than {report.max_length} subwords "
            f"(the longest has {report.longest}); {report.n_truncated_subwords} subwords, "
            f"{report.n_truncated_words} words and {report.n_truncated_examples} examples would be lost ({shown}). "
            "Raise task.max_length if the model takes more, or accept the loss with task.allow_truncation=true"
        )
    if report.n_dropped_examples and not allow_dropped_words:
        raise AlignmentError(
            f"{report.n_dropped_examples} of {report.n_examples} examples give no subword ({shown}); expected at "
            "least one each. Mend the data, or leave them out with task.allow_dropped_words=true"
        )
