"""Batches: which texts go together, and how they become tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from closerlook.data.alignment_report import AlignmentReport
from closerlook.data.corpus import TARGET_WIDTH, Corpus, LabeledText, Level
from closerlook.data.samplers import batches_by_length
from closerlook.data.subword_alignment import EncodedText, Span, encode_texts

IGNORED_LABEL = -100
"""Class index of labels that the training split does not have: PyTorch's losses leave them out."""


@dataclass(eq=False)  # not frozen: Lightning's bf16-true, 16-true and 64-true put converted tensors into it
class Batch:
    """Texts and their targets as tensors. B texts of at most T subwords, N targets of W words of at most P pieces.

    Attributes:
        input_ids: (B, T) int64, padded at the end.
        attention_mask: (B, T) int64, 1 on subwords and 0 on padding.
        token_type_ids: (B, T) int64, 1 on the subwords of a second text, 0 elsewhere.
        target_rows: (N,) int64, the text of each target: 0 to B - 1.
        target_subwords: (N, W, P) int64, positions of the subwords of each word in 0 to T - 1; 0 where masked.
            W is 1 for words, 2 for pairs and 0 for sentences (their vector is that of the row).
        target_mask: (N, W, P) bool, True where ``target_subwords`` is a subword.
        labels: (N,) int64, class index by ``corpus.label_names``; `IGNORED_LABEL` for labels not in training.
        example_index: (N,) int64, position of the example in the split's fixed order.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    token_type_ids: torch.Tensor
    target_rows: torch.Tensor
    target_subwords: torch.Tensor
    target_mask: torch.Tensor
    labels: torch.Tensor
    example_index: torch.Tensor

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The batch on another device."""
        return Batch(**{f.name: getattr(self, f.name).to(device, non_blocking=non_blocking) for f in fields(self)})

    def __len__(self) -> int:
        """Number of examples (not of texts)."""
        return len(self.labels)


@dataclass(frozen=True)
class ExampleTable:
    """The examples of a split in their fixed order: position ``i`` is ``example_index`` ``i``.

    Attributes:
        example_ids: Unique ids, stable over runs.
        labels: Label names, those not in training included.
        forms: The word, the two words, or the text.
        text_ids: Id of the text each example is in.
        contexts: The sentence around a word or two, see `LabeledText.context`.
    """

    example_ids: tuple[str, ...]
    labels: tuple[str, ...]
    forms: tuple[str, ...]
    text_ids: tuple[str, ...]
    contexts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)


class EncodedSplit:
    """One split, tokenised: its texts, and its examples in their fixed order (that of the corpus).

    Args:
        level: What an example is.
        texts: The encoded texts, in the order of the corpus.
        sources: The labelled texts of the split, by id.
        class_index: Class index of each label name of the training split.
        report: What tokenising lost.

    Attributes:
        lengths: (n_texts,) int64, subwords of each text.
        first_example: (n_texts + 1,) int64; text ``t`` holds the examples ``first_example[t]`` up to
            ``first_example[t + 1] - 1``.
        labels: (n_examples,) int64, class indices.
        examples: The table of the examples.
        report: What tokenising lost.
    """

    def __init__(
        self,
        level: Level,
        texts: Sequence[EncodedText],
        sources: Sequence[LabeledText],
        class_index: dict[str, int],
        report: AlignmentReport,
    ) -> None:
        self.level, self.texts, self.report = level, tuple(texts), report
        by_id = {source.text_id: source for source in sources}
        pairs = [(by_id[text.text_id], index) for text in self.texts for index in text.target_indices]
        self.examples = ExampleTable(
            tuple(source.example_id(index) for source, index in pairs),
            tuple(source.targets[index].label for source, index in pairs),
            tuple(source.form(index) for source, index in pairs),
            tuple(source.text_id for source, _ in pairs),
            tuple(source.context(index) for source, index in pairs),
        )
        self.lengths = np.array([len(text.input_ids) for text in self.texts], dtype=np.int64)
        counts = [len(text.target_indices) for text in self.texts]
        self.first_example = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
        self.labels = np.array(
            [class_index.get(label, IGNORED_LABEL) for label in self.examples.labels], dtype=np.int64
        )

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.texts)

    @property
    def n_examples(self) -> int:
        """Number of examples."""
        return len(self.labels)

    def text_of(self, example_index: NDArray[np.int64]) -> NDArray[np.int64]:
        """The text that holds each example: positions in ``texts``."""
        return np.searchsorted(self.first_example, example_index, side="right") - 1

    def collate(self, text_indices: Sequence[int], keep: NDArray[np.bool_] | None = None) -> Batch:
        """Pad texts into a batch with all their targets, or those of a subset.

        Args:
            text_indices: Positions in ``texts``.
            keep: (n_examples,) which examples to take; None takes all.
        """
        texts = [self.texts[i] for i in text_indices]
        shape = (len(texts), max(len(text.input_ids) for text in texts))
        input_ids, attention_mask, token_type_ids = (np.zeros(shape, dtype=np.int64) for _ in range(3))
        for row, text in enumerate(texts):
            input_ids[row, : len(text.input_ids)] = text.input_ids
            attention_mask[row, : len(text.input_ids)] = 1
            token_type_ids[row, : len(text.token_type_ids)] = text.token_type_ids
        chosen = [
            (row, number, int(self.first_example[i]) + number)
            for row, i in enumerate(text_indices)
            for number in range(len(self.texts[i].target_indices))
            if keep is None or keep[int(self.first_example[i]) + number]
        ]
        spans = [texts[row].target_spans[number] for row, number, _ in chosen]
        subwords, mask = _pad_spans(spans, TARGET_WIDTH[self.level])
        example_index = np.array([example for _, _, example in chosen], dtype=np.int64)
        return Batch(
            input_ids=torch.from_numpy(input_ids),
            attention_mask=torch.from_numpy(attention_mask),
            token_type_ids=torch.from_numpy(token_type_ids),
            target_rows=torch.tensor([row for row, _, _ in chosen], dtype=torch.int64),
            target_subwords=torch.from_numpy(subwords),
            target_mask=torch.from_numpy(mask),
            labels=torch.from_numpy(self.labels[example_index]),
            example_index=torch.from_numpy(example_index),
        )

    def ordered_batches(
        self,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        example_subset: NDArray[np.int64] | None = None,
    ) -> Iterator[Batch]:
        """Batches in a fixed order, longest texts first; no random number is drawn.

        Args:
            batch_size: Texts in a batch.
            rank: This process takes the batches ``rank``, ``rank + world_size``, ...
            world_size: Number of processes.
            example_subset: Positions of the examples wanted; None takes all. Texts without one are not read.
        """
        keep = None
        wanted = np.arange(len(self))
        if example_subset is not None:
            subset = np.asarray(example_subset, dtype=np.int64)
            keep = np.zeros(self.n_examples, dtype=bool)
            keep[subset] = True
            wanted = np.unique(self.text_of(subset))
        for batch in batches_by_length(self.lengths, batch_size, wanted)[rank::world_size]:
            yield self.collate(batch, keep)


def encode_split(corpus: Corpus, split: str, tokenizer: Any, **options: Any) -> EncodedSplit:
    """Tokenise one split of a corpus.

    Args:
        corpus: The corpus.
        split: One of its splits.
        tokenizer: A fast tokenizer.
        **options: The limits and allowances of `encode_texts`.

    Raises:
        AlignmentError: Words would be lost and that is not allowed.
    """
    texts, report = encode_texts(corpus.splits[split], tokenizer, **options)
    class_index = {name: index for index, name in enumerate(corpus.label_names)}
    return EncodedSplit(corpus.level, texts, corpus.splits[split], class_index, report)


def _pad_spans(spans: Sequence[tuple[Span, ...]], width: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(N, W, P) subword positions and their mask from the spans of N targets."""
    if width == 0 or not spans:
        return np.zeros((len(spans), width, 0), dtype=np.int64), np.zeros((len(spans), width, 0), dtype=bool)
    bounds = np.array(spans, dtype=np.int64)  # (N, W, 2)
    start, stop = bounds[..., :1], bounds[..., 1:]
    positions = start + np.arange(int((stop - start).max()))
    mask = positions < stop
    return np.where(mask, positions, 0), mask
