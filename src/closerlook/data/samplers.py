"""Which texts go into one batch, and in which order the batches come."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DistributedSampler

CHUNK_BATCHES = 50
"""Training batches are sorted by length within chunks of this many."""


def batches_by_length(
    lengths: NDArray[np.int64], batch_size: int, indices: NDArray[np.int64] | None = None
) -> list[list[int]]:
    """Batches of texts of like length, longest first (so that memory fails early); ties in their order."""
    chosen = np.arange(len(lengths)) if indices is None else indices
    order = chosen[np.argsort(-lengths[chosen], kind="stable")]
    return [order[i : i + batch_size].tolist() for i in range(0, len(order), batch_size)]


class LengthBucketSampler(DistributedSampler):
    """Shuffled training batches of texts of like length: the order depends on (seed, epoch) only.

    The texts are shuffled, cut into chunks of 50 batches, sorted by length within each, and the batches
    shuffled. Each rank gets the same number of batches: the list is filled up from its start.

    It is a `DistributedSampler` so that Lightning calls ``set_epoch`` and does not put its own in its place.
    Use it as ``DataLoader(..., sampler=this, batch_size=None)``: each item is a whole batch.

    Args:
        lengths: (n_texts,) length of each text.
        batch_size: Texts in a batch.
        seed: Seed of the order.
        rank: This process.
        world_size: Number of processes.

    Attributes:
        start_batch: How many batches of the epoch to leave out, when a run is resumed within it.
    """

    def __init__(
        self, lengths: NDArray[np.int64], batch_size: int, seed: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        super().__init__(range(len(lengths)), num_replicas=world_size, rank=rank, seed=seed)  # type: ignore[arg-type]
        self.lengths, self.batch_size, self.start_batch = lengths, batch_size, 0
        self.n_batches = ceil(ceil(len(lengths) / batch_size) / world_size)

    def __len__(self) -> int:
        """Number of batches of this rank."""
        return self.n_batches

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.epoch_batches(self.epoch)[self.start_batch :])

    def epoch_batches(self, epoch: int) -> list[list[int]]:
        """This rank's batches of an epoch, as text positions."""
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(self.lengths))
        chunk = CHUNK_BATCHES * self.batch_size
        batches = [
            batch
            for start in range(0, len(order), chunk)
            for batch in batches_by_length(self.lengths, self.batch_size, order[start : start + chunk])
        ]
        # neighbours in length stay side by side in groups of one batch a rank, so that no rank waits
        size = self.num_replicas
        batches += batches[: self.n_batches * size - len(batches)]
        groups = [batches[i : i + size] for i in range(0, len(batches), size)]
        return [groups[i][self.rank] for i in rng.permutation(len(groups))]


class OrderedSampler(DistributedSampler):
    """Evaluation batches, longest texts first, the same in every epoch; each text once over all ranks.

    Ranks get equally many batches, some a little smaller: a rank with one more would wait for the others
    forever, and a repeated text would count twice. That takes at least as many texts as ranks.

    Args:
        lengths: (n_texts,) length of each text.
        batch_size: Texts in a batch.
        rank: This process.
        world_size: Number of processes.
    """

    def __init__(self, lengths: NDArray[np.int64], batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        super().__init__(range(len(lengths)), num_replicas=world_size, rank=rank, shuffle=False)  # type: ignore[arg-type]
        batches = batches_by_length(lengths, batch_size)
        if len(batches) % world_size:
            (order,) = batches_by_length(lengths, len(lengths))
            batches = [part.tolist() for part in np.array_split(order, ceil(len(batches) / world_size) * world_size)]
        self.batches = batches[rank::world_size]

    def __len__(self) -> int:
        """Number of batches of this rank."""
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)
