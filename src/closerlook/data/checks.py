"""What is odd in a corpus: the same input with different labels, the same input in two splits."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from closerlook.data.corpus import Corpus, LabeledText
from closerlook.data.splits import content_key


@dataclass(frozen=True)
class Contradiction:
    """One input that stands in a split with more than one label: no probe can fit it.

    Attributes:
        text: The whole input.
        words: The 0-based word positions that are labelled; empty for a sentence.
        labels: Label of each example.
        example_ids: Id of each example, in the order of ``labels``.
    """

    text: str
    words: tuple[int, ...]
    labels: tuple[str, ...]
    example_ids: tuple[str, ...]


def contradictions(corpus: Corpus, split: str = "train", casefold: bool = False) -> tuple[Contradiction, ...]:
    """Identical inputs with different labels, in the order in which they appear.

    Their vectors are identical too, so that the labels cannot be linear in any layer of any encoder.

    Args:
        corpus: The corpus.
        split: The split to look through.
        casefold: Whether inputs that differ in case only count as identical, as uncased encoders see them.
    """
    groups: dict[tuple[str, tuple[int, ...]], list[tuple[str, str]]] = defaultdict(list)
    for text in corpus.splits[split]:
        key = _key(text, casefold)
        for index, target in enumerate(text.targets):
            groups[key, target.words].append((target.label, text.example_id(index)))
    return tuple(
        Contradiction(key, words, tuple(label for label, _ in found), tuple(example for _, example in found))
        for (key, words), found in groups.items()
        if len({label for label, _ in found}) > 1
    )


def shared_inputs(corpus: Corpus, first: str = "train", second: str = "test") -> tuple[str, ...]:
    """Inputs with targets that stand in both splits: what leaks from one into the other."""
    known = {content_key(text) for text in corpus.splits[first] if text.targets}
    return tuple(
        dict.fromkeys(key for text in corpus.splits[second] if text.targets and (key := content_key(text)) in known)
    )


def _key(text: LabeledText, casefold: bool) -> str:
    key = content_key(text)
    return key.casefold() if casefold else key
