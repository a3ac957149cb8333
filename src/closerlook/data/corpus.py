"""What a task is made of: texts with labelled targets, in named splits."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

Level = Literal["word", "pair", "sentence"]
"""What one example is: a word, a (head, modifier) pair of words, or a whole sentence."""

TARGET_WIDTH: dict[str, int] = {"word": 1, "pair": 2, "sentence": 0}
"""Number of word positions in one target of each level."""


@dataclass(frozen=True, slots=True)
class Target:
    """One labelled example inside a text.

    Attributes:
        words: 0-based word positions: ``(i,)`` for a word, ``(head, modifier)`` for a pair,
            ``()`` for the whole sentence.
        label: The label's name.
    """

    words: tuple[int, ...]
    label: str


@dataclass(frozen=True, slots=True)
class LabeledText:
    """One input of the encoder with all its labelled targets.

    Attributes:
        text_id: Unique within the corpus and stable over releases of closerlook.
        words: The words as the data set tokenises them; None when the text is given raw.
        text: The raw text; None when ``words`` are given. Exactly one of the two is set.
        second_text: The second text of a pair of texts, which the encoder reads together; None for a single text.
        targets: The examples in this text, in order; may be empty (the text is then never read).
    """

    text_id: str
    targets: tuple[Target, ...]
    words: tuple[str, ...] | None = None
    text: str | None = None
    second_text: str | None = None

    def __post_init__(self) -> None:
        if (self.words is None) == (self.text is None):
            raise ValueError(f"text {self.text_id!r}: exactly one of words and text must be given")
        if self.text is None and self.second_text is not None:
            raise ValueError(f"text {self.text_id!r}: a second text needs a first one")

    @property
    def content(self) -> str:
        """The input itself, runs of white space made one blank, and a line end before a second text.

        Inputs with the same content get the same vectors: they never part into two splits.
        """
        words = self.words if self.words is not None else (self.text or "").split()
        first = " ".join(words)
        return first if self.second_text is None else f"{first}\n{' '.join(self.second_text.split())}"

    def example_id(self, index: int) -> str:
        """The id of target ``index``: the text's id and the target's word positions."""
        positions = "-".join(str(i) for i in self.targets[index].words)
        return f"{self.text_id}/{positions}" if positions else self.text_id

    def form(self, index: int) -> str:
        """What target ``index`` looks like: its words, or the whole text (or both) for a sentence."""
        positions = self.targets[index].words
        if self.words is None:
            return self.text or "" if self.second_text is None else f"{self.text} || {self.second_text}"
        return " ".join(self.words[i] for i in positions) if positions else " ".join(self.words)

    def context(self, index: int) -> str:
        """The sentence that target ``index`` stands in, its words joined by blanks; empty where the form is all of it.

        A blank inside a word is a no-break space: splitting at blanks gives the words back.
        """
        if self.words is None or not self.targets[index].words:
            return ""
        return " ".join(word.replace(" ", "\u00a0") for word in self.words)


@dataclass(frozen=True)
class Corpus:
    """A task's data: labelled texts by split.

    Attributes:
        name: The task's name.
        level: What one example is.
        splits: Texts by split name; ``train`` and ``test`` always, ``validation`` where there is one.
        label_names: Sorted names of the labels of the *training* split: the classes of the classifier.
        checksums: SHA-256 (or Git blob id, ``blob:...``) of every source file, by file name.
        notes: Sentences for the user about what was left out or changed while reading.
    """

    name: str
    level: Level
    splits: dict[str, tuple[LabeledText, ...]]
    label_names: tuple[str, ...]
    checksums: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def n_examples(self, split: str) -> int:
        """Number of labelled targets in a split."""
        return sum(len(text.targets) for text in self.splits[split])

    def label_counts(self, split: str) -> Counter[str]:
        """Number of examples of each label in a split."""
        return Counter(target.label for text in self.splits[split] for target in text.targets)
