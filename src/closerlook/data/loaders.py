"""Data loaders whose items are whole batches, and a training loader that resumes within an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from closerlook.data.batching import Batch, EncodedSplit
from closerlook.data.samplers import LengthBucketSampler


def batch_loader(encoded: EncodedSplit, sampler: Sampler[list[int]], seed: int) -> DataLoader[Batch]:
    """A loader of the batches that the sampler names."""
    return DataLoader(_Texts(len(encoded)), **_options(encoded, sampler, seed))


class TrainLoader(DataLoader):
    """The training batches; keeps count of them in checkpoints, so that resuming repeats none and skips none.

    Lightning saves and restores the state of any loader that has ``state_dict`` and ``load_state_dict``.

    Args:
        encoded: The training split.
        sampler: Names the texts of each batch.
        seed: Seed of the loader's own generator.
    """

    def __init__(self, encoded: EncodedSplit, sampler: LengthBucketSampler, seed: int) -> None:
        super().__init__(_Texts(len(encoded)), **_options(encoded, sampler, seed))
        self.bucket_sampler = sampler
        self.epoch = 0
        self.n_batches_done = 0
        self._resume_epoch: int | None = None
        self._resume_batch = 0

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        # A generator: all of this runs at the first batch. Lightning makes the iterator of a resumed run before
        # it tells the sampler the epoch, and would otherwise get the order of epoch 0.
        self.epoch = self.bucket_sampler.epoch
        start = self._resume_batch if self._resume_epoch == self.epoch else 0
        self._resume_epoch = None
        self.bucket_sampler.start_batch = self.n_batches_done = start
        for batch in super().__iter__():
            self.n_batches_done += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Epoch and number of its batches that were handed out."""
        return {"epoch": self.epoch, "n_batches_done": self.n_batches_done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the last batch that was handed out, if the next epoch asked for is that one."""
        self._resume_epoch, self._resume_batch = state["epoch"], state["n_batches_done"]


def _options(encoded: EncodedSplit, sampler: Any, seed: int) -> dict[str, Any]:
    # a generator of its own: without one, every new iterator draws from torch's global state
    generator = torch.Generator()
    generator.manual_seed(seed)
    return {
        "sampler": sampler,
        "batch_size": None,  # the sampler's items are whole batches
        "collate_fn": encoded.collate,
        "generator": generator,
    }


class _Texts(Dataset):
    """Passes positions through: the sampler gives whole batches, the collator makes them."""

    def __init__(self, n_texts: int) -> None:
        self.n_texts = n_texts

    def __len__(self) -> int:
        return self.n_texts

    def __getitem__(self, indices: list[int] | int) -> list[int]:
        return [indices] if isinstance(indices, int) else indices
