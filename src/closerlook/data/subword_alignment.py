"""Words to subwords: what the encoder reads, and where in it each labelled word lies.

A list of words is read as the text that their join with blanks is, exactly as ``tokenizer(text)`` reads it, and the
tokenizer's character offsets say which subwords are whose. So no setting of any tokenizer decides whether words get
the blank before them, and a list of words and its text give the same ids.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from closerlook.data.alignment_report import AlignmentReport, refuse_losses
from closerlook.data.corpus import LabeledText
from closerlook.data.data_errors import AlignmentError

Span = tuple[int, int]
"""First subword position of a word in ``input_ids`` and the position after its last."""

_BATCH_SIZE = 1000
"""Texts tokenised in one call."""


@dataclass(frozen=True, slots=True)
class EncodedText:
    """One input as token ids, with the subwords of its targets.

    Attributes:
        text_id: Id of the `LabeledText`.
        input_ids: Token ids with special tokens, not padded.
        token_type_ids: 1 on the subwords of a second text, as far as the tokenizer says so; empty when all are 0.
        target_spans: For each kept target, the span of each of its words: 1 for a word, 2 for a pair, none for a
            sentence.
        target_indices: For each kept target, its position among the targets of the `LabeledText`.
    """

    text_id: str
    input_ids: tuple[int, ...]
    token_type_ids: tuple[int, ...]
    target_spans: tuple[tuple[Span, ...], ...]
    target_indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Tokens:
    """The tokenizer's answer for one text.

    Attributes:
        ids: Token ids.
        type_ids: Token type ids; empty when all are 0.
        spans: By word, its subwords; at sentence level, a single span stands for the whole text.
        n_unknown: Subwords of the text that the tokenizer does not know.
        n_content: Subwords of the text, without special tokens.
    """

    ids: tuple[int, ...]
    type_ids: tuple[int, ...]
    spans: dict[int, Span]
    n_unknown: int
    n_content: int


def encode_texts(
    texts: Sequence[LabeledText],
    tokenizer: Any,
    *,
    max_length: int | None = None,
    n_embeddings: int | None = None,
    allow_truncation: bool = False,
    allow_dropped_words: bool = False,
) -> tuple[tuple[EncodedText, ...], AlignmentReport]:
    """Tokenise the texts that have targets, in their order.

    Args:
        texts: Texts with words, or raw texts whose targets are whole sentences.
        tokenizer: A fast tokenizer of Hugging Face transformers.
        max_length: Most subwords an input may have, special ones included; None = no limit.
        n_embeddings: Number of token ids the encoder has vectors for; None = not checked.
        allow_truncation: Cut longer inputs; targets that are cut off are left out.
        allow_dropped_words: Leave out targets that give no subword (control characters, for example).

    Returns:
        One `EncodedText` per text that keeps a target, and what was lost.

    Raises:
        AlignmentError: An input is over the limit, or a target gives no subword, and that is not allowed; the
            tokenizer knows next to nothing of the texts, or gives an id without a vector. Nothing is shortened
            silently.
    """
    report = AlignmentReport(max_length)
    kept: list[EncodedText] = []
    used = [text for text in texts if text.targets]
    for start in range(0, len(used), _BATCH_SIZE):
        some = used[start : start + _BATCH_SIZE]
        for text, tokens in zip(some, _tokenise(some, tokenizer), strict=True):
            _check_ids(text, tokens.ids, n_embeddings, tokenizer)
            if (encoded := _align(text, tokens, tokenizer, report)) is not None:
                kept.append(encoded)
    refuse_losses(report, allow_truncation, allow_dropped_words)
    return tuple(kept), report


def _check_ids(text: LabeledText, ids: tuple[int, ...], n_embeddings: int | None, tokenizer: Any) -> None:
    if n_embeddings is not None and ids and max(ids) >= n_embeddings:
        token = tokenizer.convert_ids_to_tokens(max(ids))
        raise AlignmentError(
            f"text {text.text_id} holds the token {token!r}, id {max(ids)}; the encoder has vectors for ids below "
            f"{n_embeddings} only. Take the token out of the texts, or give the tokenizer that belongs to the model "
            "with model.tokenizer=..."
        )


def _tokenise(texts: Sequence[LabeledText], tokenizer: Any, limit: int | None = None) -> Iterator[_Tokens]:
    firsts = [text.text if text.text is not None else " ".join(text.words or ()) for text in texts]
    seconds = [text.second_text or "" for text in texts] if any(text.second_text for text in texts) else None
    # truncation and padding are said at each call: a tokenizer.json may bring its own (all-MiniLM: 128)
    batch = tokenizer(
        firsts,
        seconds,
        truncation=limit is not None,
        max_length=limit,
        padding=False,
        verbose=False,
        return_attention_mask=False,
        return_offsets_mapping=True,
    )
    for row, text in enumerate(texts):
        ids, sequences = tuple(batch["input_ids"][row]), batch.sequence_ids(row)
        type_ids = tuple(batch["token_type_ids"][row]) if "token_type_ids" in batch else ()
        content = [position for position, sequence in enumerate(sequences) if sequence is not None]
        if text.words is None:
            spans = {0: (content[0], content[-1] + 1)} if content else {}
        else:
            spans = _word_spans(text.words, batch["offset_mapping"][row], content)
        unknown = tokenizer.unk_token_id
        n_unknown = sum(ids[position] == unknown for position in content) if unknown is not None else 0
        yield _Tokens(ids, type_ids if any(type_ids) else (), spans, n_unknown, len(content))


def _word_spans(words: Sequence[str], offsets: Sequence[tuple[int, int]], content: Sequence[int]) -> dict[int, Span]:
    """The span of every word that has a subword of its own.

    A subword of nothing but blanks belongs to the word after it. Words that share a subword have none of their own.

    Args:
        words: The words of a text.
        offsets: First character of each subword in ``" ".join(words)`` and the one after its last.
        content: Positions of the subwords that are not special ones.
    """
    word_at: list[int | None] = []
    for index, word in enumerate(words):
        word_at += [index] * len(word) + [None]
    spans: dict[int, Span] = {}
    shared: set[int] = set()
    for position in content:
        start, stop = offsets[position]
        owners = {at for at in word_at[start:stop] if at is not None}
        if not owners:
            owners = set(itertools.islice((at for at in word_at[stop:] if at is not None), 1))
        if len(owners) > 1:
            shared |= owners
        for owner in owners:
            spans[owner] = (spans[owner][0] if owner in spans else position, position + 1)
    return {word: span for word, span in spans.items() if word not in shared}


def _align(text: LabeledText, tokens: _Tokens, tokenizer: Any, report: AlignmentReport) -> EncodedText | None:
    full = tokens
    report.n_texts += 1
    report.n_examples += len(text.targets)
    report.longest = max(report.longest, len(full.ids))
    report.n_content += full.n_content
    report.n_unknown += full.n_unknown
    if report.max_length is not None and len(full.ids) > report.max_length:
        (tokens,) = _tokenise([text], tokenizer, report.max_length)
        # a word cut in the middle counts as lost: the mean of some of its subwords is another vector
        whole = {word: stop - start for word, (start, stop) in full.spans.items()}
        spans = {w: span for w, span in tokens.spans.items() if text.words is None or span[1] - span[0] == whole[w]}
        tokens = replace(tokens, spans=spans)
        report.n_truncated_texts += 1
        report.n_truncated_subwords += len(full.ids) - len(tokens.ids)
        if text.words is None:
            report.lose(text, f"the end of a text of {len(full.ids)} subwords")
    _count_lost_words(text, full.spans, tokens.spans, report)
    _count_lost_targets(text, full.spans, tokens.spans, report)
    target_indices = tuple(i for i, t in enumerate(text.targets) if _is_kept(t.words, tokens.spans))
    if not target_indices:
        return None
    report.n_subwords += len(tokens.ids)
    target_spans = tuple(tuple(tokens.spans[word] for word in text.targets[i].words) for i in target_indices)
    return EncodedText(text.text_id, tokens.ids, tokens.type_ids, target_spans, target_indices)


def _is_kept(words: tuple[int, ...], spans: dict[int, Span]) -> bool:
    return all(word in spans for word in words) if words else bool(spans)


def _count_lost_words(text: LabeledText, full: dict[int, Span], kept: dict[int, Span], report: AlignmentReport) -> None:
    targeted = {word for target in text.targets for word in target.words}
    for index, word in enumerate(text.words or ()):
        if index not in full:
            report.n_dropped_words += 1
            if index in targeted:
                report.lose(text, f"word {index} ({word!r}, no subword)")
        elif index not in kept:
            report.n_truncated_words += 1
            report.lose(text, f"word {index} ({word!r}, over the limit)")


def _count_lost_targets(
    text: LabeledText, full: dict[int, Span], kept: dict[int, Span], report: AlignmentReport
) -> None:
    for target in text.targets:
        if not _is_kept(target.words, full):
            report.n_dropped_examples += 1
            if not target.words:
                report.lose(text, f"{(text.text or '')[:20]!r} (no subword)")
        elif not _is_kept(target.words, kept):
            report.n_truncated_examples += 1
