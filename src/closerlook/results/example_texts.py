"""The text of an example, the word or words that it is about marked in their sentence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Piece(NamedTuple):
    """A part of a text.

    Attributes:
        text: The part, with its blanks.
        is_target: Whether it is (a part of) the example, not of the sentence around it.
    """

    text: str
    is_target: bool


def marked(example_id: str, text_id: str, form: str, context: str) -> list[Piece]:
    """An example's text in pieces.

    Args:
        example_id: Its id, ``<text_id>/<positions>`` for words: ``s1/3`` or ``s1/3-7``, counted from 0.
        text_id: Its text's id.
        form: The word, the two words, or the whole text.
        context: The sentence, its words joined by blanks; empty where the form is the whole text or it is not known.

    Returns:
        Pieces that make the sentence; one piece with the form where there is no sentence, or the id names no words of
        it.
    """
    words = context.split(" ")
    places = _positions(example_id, text_id)
    if not context or not places or max(places) >= len(words):
        return [Piece(form, is_target=bool(places))]
    return list(_pieces(words, places))


def _positions(example_id: str, text_id: str) -> set[int]:
    tail = example_id.removeprefix(f"{text_id}/") if example_id.startswith(f"{text_id}/") else ""
    parts = tail.split("-") if tail else []
    return {int(part) for part in parts} if all(part.isdecimal() for part in parts) else set()


def _pieces(words: list[str], places: set[int]) -> Iterator[Piece]:
    start = 0
    for place in sorted(places):
        if place > start:
            yield Piece(" ".join(words[start:place]) + " ", is_target=False)
        yield Piece(words[place], is_target=True)
        if place + 1 < len(words):
            yield Piece(" ", is_target=False)
        start = place + 1
    if start < len(words):
        yield Piece(" ".join(words[start:]), is_target=False)


def shortened(pieces: list[Piece], length: int) -> list[Piece]:
    """The same text with at most ``length`` characters, cut around its first marked piece, with an ellipsis there.

    Args:
        pieces: See :func:`marked`.
        length: Characters.
    """
    sizes = [len(piece.text) for piece in pieces]
    total = sum(sizes)
    if total <= length:
        return pieces
    ahead = next((sum(sizes[:i]) for i, piece in enumerate(pieces) if piece.is_target), 0)
    start = max(min(ahead - length // 3, total - length), 0)
    stop, at, kept = start + length, 0, []
    for piece, size in zip(pieces, sizes, strict=True):
        text = piece.text[max(start - at, 0) : max(stop - at, 0)]
        at += size
        if text:
            kept.append(Piece(text, piece.is_target))
    if start > 0:
        kept[0] = kept[0]._replace(text="…" + kept[0].text[1:])
    if stop < total:
        kept[-1] = kept[-1]._replace(text=kept[-1].text[:-1] + "…")
    return kept
