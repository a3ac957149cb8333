"""Tags of named entities (B-PER, I-PER, O): their types, and how many whole entities were found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from nervaluate.evaluator import Evaluator

_PREFIX = re.compile(r"^([BILESUM])[-_](?=.)")
_BEGINS = frozenset("BSU")
OUTSIDE = "O"
"""The tag of words outside of all entities."""


@dataclass(frozen=True)
class EntityScores:
    """How well whole entities were found: an entity counts when its type and both of its ends are right.

    Attributes:
        precision: Share of the predicted entities that are right, in [0, 1]; None without any.
        recall: Share of the true entities that were found, in [0, 1]; None without any.
        f1: Their harmonic mean, in [0, 1]; None without any entity at all.
        n_true: Number of true entities.
        n_predicted: Number of predicted entities.
    """

    precision: float | None
    recall: float | None
    f1: float | None
    n_true: int
    n_predicted: int


def entity_type(tag: str) -> str:
    """The type in a tag: ``PER`` of ``B-PER``; tags without such a beginning stay as they are."""
    return _PREFIX.sub("", tag)


def has_prefix(tag: str) -> bool:
    """Whether a tag marks the beginning or inside of an entity: B-, I- and the like."""
    return bool(_PREFIX.match(tag))


def marks_entities(label_names: Iterable[str]) -> bool:
    """Whether the labels of words mark whole entities: tags with B- or I-, and O for the words between."""
    names = set(label_names)
    return OUTSIDE in names and any(map(has_prefix, names))


def entity_scores(sentence_ids: Sequence[str], true_tags: Sequence[str], predicted_tags: Sequence[str]) -> EntityScores:
    """Precision, recall and F1 of whole entities, as CoNLL-2003 counts them.

    Words that the encoder lost are not among the arguments and do not count: entities are read from the words that
    are left. An entity begins at B- (S-, U-), and at I- after another type or outside, as in ``conlleval``.

    Args:
        sentence_ids: (n_words,) the sentence of each word; the words of a sentence stand together and in order.
        true_tags: (n_words,) BIO or BIOES tags.
        predicted_tags: (n_words,) the same of the model.
    """
    words = list(zip(sentence_ids, _as_bio(true_tags), _as_bio(predicted_tags), strict=True))
    sentences = [list(found) for _, found in groupby(words, key=lambda word: word[0])]
    true = [[tag for _, tag, _ in sentence] for sentence in sentences]
    predicted = [[tag for _, _, tag in sentence] for sentence in sentences]
    types = sorted({entity_type(tag) for _, a, b in words for tag in (a, b)} - {OUTSIDE})
    strict = Evaluator(true, predicted, tags=types, loader="list").evaluate()["overall"]["strict"]
    n_true, n_predicted = strict.possible, strict.actual
    return EntityScores(
        precision=strict.correct / n_predicted if n_predicted else None,
        recall=strict.correct / n_true if n_true else None,
        f1=2 * strict.correct / (n_true + n_predicted) if n_true + n_predicted else None,
        n_true=n_true,
        n_predicted=n_predicted,
    )


def _as_bio(tags: Sequence[str]) -> list[str]:
    """Tags of any of the usual schemes as B-, I- and O. A tag without a scheme is an entity's type: inside."""
    found = []
    for tag in tags:
        kind = "B" if tag[:1] in _BEGINS and _PREFIX.match(tag) else "I"
        found.append(OUTSIDE if tag == OUTSIDE else f"{kind}-{entity_type(tag)}")
    return found
