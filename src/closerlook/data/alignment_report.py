"""What tokenising lost, counted; and when that is an error."""

from __future__ import annotations

from dataclasses import dataclass, field

from closerlook.data.corpus import LabeledText
from closerlook.data.data_errors import AlignmentError

N_SHOWN = 3
"""How many of the lost words an error shows."""
WARN_UNKNOWN, REFUSE_UNKNOWN = 0.1, 0.9
"""Shares of unknown subwords from which a note says so, and from which the data is refused."""


@dataclass(slots=True)
class AlignmentReport:
    """What tokenising did to the texts that have targets, counted while they pass. Lost means: not in ``input_ids``.

    Attributes:
        max_length: The limit; None when there is none.
        n_texts: Texts with at least one target; others are not read.
        n_examples: Their targets.
        n_subwords: Subwords that the encoder will read, special ones included.
        n_content: Subwords of the texts themselves, before any truncation.
        n_unknown: Those of them that stand for something the tokenizer does not know, such as ``[UNK]``.
        longest: Most subwords in one text before any truncation.
        n_truncated_texts: Texts over the limit.
        n_truncated_subwords: Subwords lost to the limit.
        n_truncated_words: Words lost to the limit, labelled or not (0 for raw text).
        n_truncated_examples: Targets lost to the limit. A sentence that is cut keeps its target.
        n_dropped_words: Words that give no subword of their own, labelled or not.
        n_dropped_examples: Targets lost because a word (or a whole text) gives no subword of its own.
        lost: The first lost words or texts, for the reader.
    """

    max_length: int | None = None
    n_texts: int = 0
    n_examples: int = 0
    n_subwords: int = 0
    n_content: int = 0
    n_unknown: int = 0
    longest: int = 0
    n_truncated_texts: int = 0
    n_truncated_subwords: int = 0
    n_truncated_words: int = 0
    n_truncated_examples: int = 0
    n_dropped_words: int = 0
    n_dropped_examples: int = 0
    lost: list[str] = field(default_factory=list)

    @property
    def n_kept_examples(self) -> int:
        """Targets that are left."""
        return self.n_examples - self.n_truncated_examples - self.n_dropped_examples

    @property
    def unknown_share(self) -> float:
        """Share of the texts' subwords that the tokenizer does not know, in [0, 1]."""
        return self.n_unknown / self.n_content if self.n_content else 0.0

    def lose(self, text: LabeledText, what: str) -> None:
        """Remember one of the first losses."""
        if len(self.lost) < N_SHOWN:
            self.lost.append(f"{what} in {text.text_id}")

    def summary(self) -> str:
        """One line for people: in full when something was lost."""
        if self.n_kept_examples < self.n_examples or self.n_truncated_texts or self.n_dropped_words:
            line = (
                f"{self.n_kept_examples} of {self.n_examples} examples in {self.n_texts} texts, {self.n_subwords} "
                f"subwords (longest {self.longest}, limit {self.max_length}); truncated: {self.n_truncated_texts} "
                f"texts, {self.n_truncated_words} words, {self.n_truncated_examples} examples; no subword: "
                f"{self.n_dropped_words} words, {self.n_dropped_examples} examples"
            )
        else:
            line = f"{self.n_examples:,} examples in {self.n_texts:,} texts, the longest of {self.longest} subwords"
        if self.unknown_share >= WARN_UNKNOWN:
            line += (
                f"; warning: {self.unknown_share:.0%} of the subwords are unknown to the tokenizer, so the encoder "
                "cannot tell them apart (another language or script than the model's?)"
            )
        return line


def refuse_losses(report: AlignmentReport, allow_truncation: bool, allow_dropped_words: bool) -> None:
    """Raise unless what was lost may be lost.

    Raises:
        AlignmentError: Something was lost and that is not allowed, or nearly all subwords are unknown.
    """
    shown = "; ".join(report.lost)
    if report.unknown_share >= REFUSE_UNKNOWN:
        raise AlignmentError(
            f"the tokenizer does not know {report.n_unknown:,} of the {report.n_content:,} subwords of the texts; "
            f"expected fewer than {REFUSE_UNKNOWN:.0%}, or all texts look alike to the encoder. Choose a model of "
            "this language and script, or give the tokenizer that belongs to it with model.tokenizer=..."
        )
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
