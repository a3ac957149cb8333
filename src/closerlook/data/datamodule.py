"""The corpus as Lightning wants it, and as the snapshot callback wants it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader

from closerlook.data.batching import Batch, EncodedSplit, encode_split
from closerlook.data.corpus import Corpus
from closerlook.data.data_errors import DataError
from closerlook.data.loaders import TrainLoader, batch_loader
from closerlook.data.samplers import LengthBucketSampler, OrderedSampler
from closerlook.data.stratified import stratified_subset


class CorpusDataModule(LightningDataModule):
    """Data loaders over a tokenised corpus.

    Tokenising happens in ``setup`` (or at the first use of ``encoded``), once for all stages.

    Args:
        corpus: The corpus.
        tokenizer: A fast tokenizer.
        batch_size: Training texts in a batch.
        eval_batch_size: Texts in a batch of evaluation and of snapshots; None takes ``batch_size``.
        seed: Seed of the order of training batches.
        **options: Limits and allowances of tokenising, see `encode_texts`.

    Raises:
        AlignmentError: On set-up: words would be lost and that is not allowed.
    """

    def __init__(
        self,
        corpus: Corpus,
        tokenizer: Any,
        *,
        batch_size: int = 32,
        eval_batch_size: int | None = None,
        seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__()
        for name, size in (("batch_size", batch_size), ("eval_batch_size", eval_batch_size)):
            if size is not None and size < 1:
                raise DataError(f"{name} is {size}; expected at least 1")
        self.corpus = corpus
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size or batch_size
        self.seed = seed
        self._options = options
        self._encoded: dict[str, EncodedSplit] = {}

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits: train, test, and validation where there is one."""
        return tuple(self.corpus.splits)

    def encoded(self, split: str) -> EncodedSplit:
        """A split, tokenised.

        Raises:
            DataError: There is no such split.
            AlignmentError: Words would be lost and that is not allowed.
        """
        if split not in self.corpus.splits:
            raise DataError(f"no split {split!r}; this corpus has {', '.join(self.splits)}")
        if split not in self._encoded:
            self._encoded[split] = encode_split(self.corpus, split, self.tokenizer, **self._options)
        return self._encoded[split]

    def setup(self, stage: str | None = None) -> None:
        """Tokenise every split, so that bad input is found before the first step."""
        for split in self.splits:
            self.encoded(split)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled, length-bucketed training batches; the order depends on (seed, epoch) only."""
        encoded = self.encoded("train")
        rank, world_size = self._rank_and_world_size()
        sampler = LengthBucketSampler(encoded.lengths, self.batch_size, self.seed, rank, world_size)
        return TrainLoader(encoded, sampler, self.seed)

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        """Validation batches in a fixed order; no loader when the corpus has no validation split."""
        return self._eval_loader("validation") if "validation" in self.corpus.splits else []

    def test_dataloader(self) -> DataLoader[Batch]:
        """Test batches in a fixed order."""
        return self._eval_loader("test")

    def ordered_batches(
        self,
        split: str,
        rank: int = 0,
        world_size: int = 1,
        example_subset: NDArray[np.int64] | None = None,
        batch_size: int | None = None,
    ) -> Iterator[Batch]:
        """The examples of a split in a fixed order of batches, longest texts first.

        No random state is read or moved, so that a snapshot leaves the training as it was. Put a result back
        in the order of the corpus with ``example_index``.

        Args:
            split: The split.
            rank: This process takes every ``world_size``-th batch, from ``rank`` on.
            world_size: Number of processes.
            example_subset: Positions of the examples wanted (`stratified_subset`); None takes all.
            batch_size: Texts in a batch; None takes ``eval_batch_size``.
        """
        size = batch_size or self.eval_batch_size
        return self.encoded(split).ordered_batches(size, rank, world_size, example_subset)

    def stratified_subset(self, split: str, max_examples: int | None, seed: int = 0) -> NDArray[np.int64]:
        """Sorted positions of at most ``max_examples`` examples, in proportion to their labels.

        Every label keeps at least one example as long as there is room; None takes all examples.

        Raises:
            DataError: ``max_examples`` is not positive.
        """
        return stratified_subset(self.encoded(split).examples.labels, max_examples, seed)

    def _rank_and_world_size(self) -> tuple[int, int]:
        trainer = self.trainer
        return (trainer.global_rank, trainer.world_size) if trainer is not None else (0, 1)

    def _eval_loader(self, split: str) -> DataLoader[Batch]:
        encoded = self.encoded(split)
        sampler = OrderedSampler(encoded.lengths, self.eval_batch_size, *self._rank_and_world_size())
        return batch_loader(encoded, sampler, self.seed)
