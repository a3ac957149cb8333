"""Words to subwords: what the encoder reads, and where in it each labelled word lies."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from closerlook.data.alignment_report import AlignmentReport, Tally, refuse_losses
from closerlook.data.corpus import LabeledText
from closerlook.data.data_errors import AlignmentError

Span = tuple[int, int]
"""First subword position of a word in ``input_ids`` and the position after its last."""


@dataclass(frozen=True, slots=True)
class EncodedText:
    """One input as token ids, with the subwords of its targets.

    Attributes:
        text_id: Id of the `LabeledText`.
        input_ids: Token ids with special tokens, not padded.
        target_spans: For each kept target, the span of each of its words: 1 for a word, 2 for a pair, none for a
            sentence.
        target_indices: For each kept target, its position among the targets of the `LabeledText`.
    """

    text_id: str
    input_ids: tuple[int, ...]
    target_spans: tuple[tuple[Span, ...], ...]
    target_indices: tuple[int, ...]


def encode_texts(
    texts: Sequence[LabeledText],
    tokenizer: Any,
    *,
    max_length: int | None = None,
    allow_truncation: bool = False,
    allow_dropped_words: bool = False,
    batch_size: int = 1000,
) -> tuple[tuple[EncodedText, ...], AlignmentReport]:
    """Tokenise the texts that have targets, in their order.

    Args:
        texts: Texts with words, or raw texts whose targets are whole sentences.
        tokenizer: A fast tokenizer of Hugging Face transformers.
        max_length: Most subwords an input may have, special ones included; None takes ``model_max_length``.
        allow_truncation: Cut longer inputs; targets that are cut off are left out.
        allow_dropped_words: Leave out targets that give no subword (control characters, for example).
        batch_size: Texts tokenised in one call.

    Returns:
        One `EncodedText` per text that keeps a target, and what was lost.

    Raises:
        AlignmentError: The tokenizer is not a fast one or would join words; an input is over the limit, or a
            target gives no subword, and that is not allowed. Nothing is shortened silently.
    """
    check_tokenizer(tokenizer, with_words=any(text.words is not None for text in texts))
    limit = max_length if max_length is not None else tokenizer_limit(tokenizer)
    tally = Tally(limit)
    kept: list[EncodedText] = []
    used = [text for text in texts if text.targets]
    for start in range(0, len(used), batch_size):
        for text, ids, word_ids in _tokenise(used[start : start + batch_size], tokenizer):
            encoded = _align(text, ids, word_ids, tokenizer, tally)
            if encoded is not None:
                kept.append(encoded)
    report = tally.report()
    refuse_losses(report, allow_truncation, allow_dropped_words)
    return tuple(kept), report


def tokenizer_limit(tokenizer: Any) -> int | None:
    """The longest input the tokenizer was made for, in subwords; None when it does not say."""
    limit = int(tokenizer.model_max_length)
    return limit if limit < 10**9 else None  # transformers writes 1e30 for "not known"


def check_tokenizer(tokenizer: Any, with_words: bool) -> None:
    """Refuse tokenizers that cannot map words to subwords.

    Args:
        tokenizer: The tokenizer.
        with_words: Whether inputs are lists of words.

    Raises:
        AlignmentError: Not a fast tokenizer, or one that writes words without the blank between them.
    """
    kind = type(tokenizer).__name__
    if not getattr(tokenizer, "is_fast", False):
        raise AlignmentError(
            f"the tokenizer {kind} is not a fast one, so it cannot say which subwords belong to which word; "
            "expected a fast tokenizer (a tokenizer.json). Convert it, or choose another model"
        )
    if with_words and _joins_words(tokenizer):
        raise AlignmentError(
            f"the tokenizer {kind} puts no blank before words of a list, so that they would be read as one; "
            "load it with AutoTokenizer.from_pretrained(..., add_prefix_space=True)"
        )


def _joins_words(tokenizer: Any) -> bool:
    """Whether a byte-level pre-tokenizer (RoBERTa, GPT-2) lacks ``add_prefix_space``."""
    pre_tokenizer = tokenizer.backend_tokenizer.pre_tokenizer
    if pre_tokenizer is None:
        return False
    state = json.loads(pre_tokenizer.__getstate__())
    parts = state.get("pretokenizers", [state])
    return any(part.get("type") == "ByteLevel" and not part.get("add_prefix_space", True) for part in parts)


def _tokenise(
    texts: Sequence[LabeledText], tokenizer: Any
) -> Iterator[tuple[LabeledText, list[int], list[int | None]]]:
    for split_into_words in (True, False):
        chosen = [text for text in texts if (text.words is not None) == split_into_words]
        if not chosen:
            continue
        if len(chosen) != len(texts):
            raise AlignmentError("some texts are given as words and some raw; expected one kind in a task")
        inputs = [list(text.words) if text.words is not None else text.text for text in chosen]
        # both off: a tokenizer.json may bring its own truncation (all-MiniLM: 128) and padding
        batch = tokenizer(
            inputs,
            is_split_into_words=split_into_words,
            truncation=False,
            padding=False,
            verbose=False,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
        for row, text in enumerate(chosen):
            yield text, batch["input_ids"][row], batch.word_ids(row)


def _align(
    text: LabeledText, ids: list[int], word_ids: list[int | None], tokenizer: Any, tally: Tally
) -> EncodedText | None:
    tally.add("n_texts")
    tally.add("n_examples", len(text.targets))
    tally.longest = max(tally.longest, len(ids))
    all_spans = _word_spans(word_ids)
    spans = all_spans
    if tally.limit is not None and len(ids) > tally.limit:
        full_length = len(ids)
        ids, spans = _truncate(text, tokenizer, tally.limit)
        tally.add("n_truncated_texts")
        tally.add("n_truncated_subwords", full_length - len(ids))
        if text.words is None:
            tally.lose(text, f"the end of a text of {full_length} subwords")
    if text.words is not None:
        _count_lost_words(text, all_spans, spans, tally)
    target_indices = tuple(i for i, t in enumerate(text.targets) if _is_kept(text, t.words, spans))
    _count_lost_targets(text, all_spans, spans, tally)
    if not target_indices:
        return None
    tally.add("n_subwords", len(ids))
    target_spans = tuple(tuple(spans[word] for word in text.targets[i].words) for i in target_indices)
    return EncodedText(text.text_id, tuple(ids), target_spans, target_indices)


def _word_spans(word_ids: list[int | None]) -> dict[int, Span]:
    """The span of every word that has a subword; the subwords of a word are always neighbours."""
    spans: dict[int, Span] = {}
    for position, word in enumerate(word_ids):
        if word is not None:
            spans[word] = (spans[word][0] if word in spans else position, position + 1)
    return spans


def _truncate(text: LabeledText, tokenizer: Any, limit: int) -> tuple[list[int], dict[int, Span]]:
    words = list(text.words) if text.words is not None else text.text
    cut = tokenizer(words, is_split_into_words=text.words is not None, truncation=True, max_length=limit, padding=False)
    spans = _word_spans(cut.word_ids(0))
    if text.words is not None and spans:
        # a word cut in the middle counts as lost: the mean of some of its subwords is another vector
        full = tokenizer(words, is_split_into_words=True, truncation=False, padding=False, verbose=False)
        whole = _word_spans(full.word_ids(0))
        spans = {w: s for w, s in spans.items() if s[1] - s[0] == whole[w][1] - whole[w][0]}
    return cut["input_ids"], spans


def _is_kept(text: LabeledText, words: tuple[int, ...], spans: dict[int, Span]) -> bool:
    return all(word in spans for word in words) if words else bool(spans)


def _count_lost_words(text: LabeledText, all_spans: dict[int, Span], spans: dict[int, Span], tally: Tally) -> None:
    words = text.words or ()
    targeted = {word for target in text.targets for word in target.words}
    for index, word in enumerate(words):
        if index not in all_spans:
            tally.add("n_dropped_words")
            if index in targeted:
                tally.lose(text, f"word {index} ({word!r}, no subword)")
        elif index not in spans:
            tally.add("n_truncated_words")
            tally.lose(text, f"word {index} ({word!r}, over the limit)")


def _count_lost_targets(text: LabeledText, all_spans: dict[int, Span], spans: dict[int, Span], tally: Tally) -> None:
    for target in text.targets:
        if not _is_kept(text, target.words, all_spans):
            tally.add("n_dropped_examples")
            if not target.words:
                tally.lose(text, f"{(text.text or '')[:20]!r} (no subword)")
        elif not _is_kept(text, target.words, spans):
            tally.add("n_truncated_examples")
