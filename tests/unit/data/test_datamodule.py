from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from closerlook.data.batching import Batch
from closerlook.data.corpus import Corpus, LabeledText, Target
from closerlook.data.data_errors import AlignmentError, DataError
from closerlook.data.datamodule import CorpusDataModule


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    def texts(split: str, n: int) -> tuple[LabeledText, ...]:
        return tuple(
            LabeledText(f"{split}{i}", (Target((), "xyz"[i % 3]),), text="abcdefghij"[: 1 + (i * 7) % 10])
            for i in range(n)
        )

    return Corpus("t", "sentence", {"train": texts("a", 22), "test": texts("b", 9)}, ("x", "y", "z"))


@pytest.fixture
def data(corpus: Corpus, tiny_tokenizer: Any) -> CorpusDataModule:
    return CorpusDataModule(corpus, tiny_tokenizer, batch_size=4, eval_batch_size=5, seed=3)


def indices(batches: Any) -> list[list[int]]:
    return [batch.example_index.tolist() for batch in batches]


def test_loaders_give_every_example_once(data: CorpusDataModule) -> None:
    data.setup()
    for loader, n in ((data.train_dataloader(), 22), (data.test_dataloader(), 9)):
        seen = indices(loader)
        assert len(seen) == len(loader)
        assert sorted(i for batch in seen for i in batch) == list(range(n))
    assert data.val_dataloader() == []
    assert indices(data.test_dataloader()) == indices(data.ordered_batches("test"))
    assert data.splits == ("train", "test")


def test_loaders_leave_the_random_state_of_torch_alone(data: CorpusDataModule) -> None:
    before = torch.get_rng_state()
    list(data.train_dataloader()), list(data.test_dataloader())
    assert torch.equal(before, torch.get_rng_state())


def test_same_seed_and_epoch_same_batches(corpus: Corpus, tiny_tokenizer: Any) -> None:
    def epochs(seed: int) -> list[list[list[int]]]:
        loader = CorpusDataModule(corpus, tiny_tokenizer, batch_size=4, seed=seed).train_dataloader()
        orders = []
        for epoch in range(3):
            loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
            orders.append(indices(loader))
        return orders

    assert epochs(0) == epochs(0)
    assert epochs(0) != epochs(1)
    assert len({str(order) for order in epochs(0)}) == 3


def test_bad_input(corpus: Corpus, tiny_tokenizer: Any, data: CorpusDataModule) -> None:
    with pytest.raises(DataError, match="batch_size is 0; expected at least 1"):
        CorpusDataModule(corpus, tiny_tokenizer, batch_size=0)
    with pytest.raises(DataError, match="no split 'dev'; this corpus has train, test"):
        data.encoded("dev")
    with pytest.raises(AlignmentError, match="texts are longer than 6 subwords"):
        CorpusDataModule(corpus, tiny_tokenizer, max_length=6).setup()


class _Counter(pl.LightningModule):
    """A model whose weights depend on every batch and their order."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(100, 3)
        self.seen: list[list[int]] = []

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        self.seen.append(batch.example_index.tolist())
        logits = self.embedding(batch.input_ids).mean(dim=1)[batch.target_rows]
        return torch.nn.functional.cross_entropy(logits, batch.labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore")  # Lightning's advice on loggers and workers is not what is tested
def test_training_resumes_bit_for_bit_from_any_update(tmp_path: Path, corpus: Corpus, tiny_tokenizer: Any) -> None:
    def fit(ckpt_path: str | None = None, save: bool = False) -> _Counter:
        torch.manual_seed(0)
        model = _Counter()
        data = CorpusDataModule(corpus, tiny_tokenizer, batch_size=4, seed=5)
        keep = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, every_n_train_steps=1)
        trainer = pl.Trainer(
            max_epochs=3, accelerator="cpu", devices=1, logger=False, enable_progress_bar=False,
            enable_model_summary=False, callbacks=[keep] if save else [], enable_checkpointing=save,
            default_root_dir=tmp_path,
        )  # fmt: skip
        trainer.fit(model, data, ckpt_path=ckpt_path)
        return model

    whole = fit(save=True)
    checkpoints = sorted(tmp_path.glob("*.ckpt"))
    assert len(checkpoints) == len(whole.seen) == 18
    for step in (1, 4, 5, 6, 7, 11, 12, 17):  # within epochs, at their ends, at their starts
        resumed = fit(str(tmp_path / f"step={step}.ckpt"))
        assert resumed.seen == whole.seen[step:]
        assert torch.equal(resumed.embedding.weight, whole.embedding.weight)
