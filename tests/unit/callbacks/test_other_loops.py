"""Snapshots in other people's training loops: the vectors of closerlook's own training, and no trace in theirs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

import closerlook
from closerlook.callbacks import SnapshotCallback, SnapshotTrainerCallback
from closerlook.callbacks.snapshot import RunSnapshots
from closerlook.data.data_errors import DataError
from closerlook.data.datamodule import CorpusDataModule
from closerlook.data.task_settings import TaskSettings
from closerlook.data.tasks import load_corpus
from closerlook.models.encoder import PooledEncoder
from closerlook.models.encoder_settings import ModelSettings, SnapshotSettings
from closerlook.models.finetuning_module import FineTuningModule
from closerlook.models.loading import load_encoder
from closerlook.models.model_error import ModelError
from closerlook.representations.format import SnapshotError
from closerlook.representations.reader import SnapshotReader
from closerlook.results.run import RunError
from closerlook.results.run_dir import RunDir

TASK = TaskSettings(name="bbc_topics", limit_train_texts=60, limit_test_texts=30)
OPTIONS = {
    "accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False,
    "enable_model_summary": False, "num_sanity_val_steps": 0,
}  # fmt: skip


class Given:
    """Real headlines with a tiny encoder, as a user's script holds them."""

    def __init__(self, folder: Path) -> None:
        corpus = load_corpus(TASK)
        self.folder = folder
        self.texts = {split: [t.text for t in corpus.splits[split]] for split in ("train", "test")}
        self.labels = {split: [t.targets[0].label for t in corpus.splits[split]] for split in ("train", "test")}
        self.names = list(corpus.label_names)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)

    @property
    def four(self) -> tuple[Any, ...]:
        return self.tokenizer, self.texts, self.labels

    def rows(self) -> list[dict[str, Any]]:
        encoded = self.tokenizer(self.texts["train"], truncation=True, max_length=32, padding="max_length")
        classes = [self.names.index(label) for label in self.labels["train"]]
        return [{**{k: v[i] for k, v in encoded.items()}, "labels": classes[i]} for i in range(len(classes))]

    def classifier(self) -> Any:
        torch.manual_seed(5)
        return AutoModelForSequenceClassification.from_pretrained(self.folder, num_labels=5)


@pytest.fixture(scope="module")
def given(tiny_bert: Path) -> Given:
    return Given(tiny_bert)


class Mine(pl.LightningModule):
    """A LightningModule as others write them."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.model = nn.ModuleDict({"bert": AutoModel.from_pretrained(folder)})
        self.model.train()
        self.out = nn.Linear(32, 5)
        self.drop = nn.Dropout(0.2)

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        labels = batch.pop("labels")
        hidden = self.model["bert"](**batch).last_hidden_state[:, 0]
        return nn.functional.cross_entropy(self.out(self.drop(hidden)), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    return {key: torch.tensor([row[key] for row in rows]) for key in rows[0]}


def lightning(given: Given, callback: pl.Callback | None, epochs: int = 2) -> nn.Module:
    module = Mine(given.folder)
    torch.manual_seed(11)
    loader = DataLoader(given.rows(), batch_size=20, shuffle=True, collate_fn=collate)
    pl.Trainer(max_epochs=epochs, callbacks=[callback] if callback else [], **OPTIONS).fit(module, loader)
    return module


def hugging_face(given: Given, callback: Any, folder: Path, epochs: int = 2) -> nn.Module:
    model = given.classifier()
    arguments = TrainingArguments(
        str(folder), num_train_epochs=epochs, per_device_train_batch_size=20, learning_rate=1e-3, use_cpu=True,
        report_to=[], save_strategy="no", disable_tqdm=True, logging_strategy="no", dataloader_pin_memory=False,
    )  # fmt: skip
    Trainer(model, arguments, train_dataset=given.rows(), callbacks=[callback] if callback else []).train()
    return model


def plain(given: Given, look: Callable[[nn.Module, int], object]) -> nn.Module:
    model = given.classifier().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    torch.manual_seed(11)
    step = 0
    look(model, step)
    for batch in DataLoader(given.rows(), batch_size=20, shuffle=True, collate_fn=collate):
        model(**batch).loss.backward()
        look(model, step := step + 1)  # gradients are there, and must stay
        optimizer.step()
        optimizer.zero_grad()
    return model


def own(given: Given, root: Path) -> SnapshotReader:
    """closerlook's own training, before its first update."""
    corpus = load_corpus(TASK)
    loaded = load_encoder(ModelSettings(name="t", source=str(given.folder)))
    data = CorpusDataModule(corpus, loaded.tokenizer, eval_batch_size=64, **loaded.encoding_options())
    encoder = PooledEncoder(loaded, corpus.level)
    module = FineTuningModule(encoder, 5, optimizer=partial(torch.optim.AdamW, lr=1e-3)).train()
    callback = RunSnapshots(root, SnapshotSettings())
    pl.Trainer(max_epochs=0, callbacks=[callback], **OPTIONS).fit(module, datamodule=data)
    return SnapshotReader(root)


def vectors(reader: SnapshotReader, step: int) -> list[np.ndarray]:
    return [np.array(reader.vectors(step, split, layer)) for split in reader.splits for layer in reader.layers]


def assert_same(a: list[np.ndarray], b: list[np.ndarray]) -> None:
    assert len(a) == len(b) == 6
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(one, other)


def states() -> list[Any]:
    return [torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()]  # noqa: NPY002 - what must stay


def assert_same_model(a: nn.Module, b: nn.Module) -> None:
    for (name, one), (_, other) in zip(a.state_dict().items(), b.state_dict().items(), strict=True):
        assert torch.equal(one, other), name


@pytest.fixture(scope="module")
def watched(given: Given, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The three loops, each with and without snapshots at every update."""
    root, found = tmp_path_factory.mktemp("loops"), {}
    pl.seed_everything(1, verbose=False)
    bare = lightning(given, None)
    after = states()
    callback = SnapshotCallback(root / "lightning", *given.four, encoder="model.bert", every_n_updates=1)
    found["lightning"] = (bare, after, lightning(given, callback), states(), 6)
    bare = hugging_face(given, None, root / "a")
    after = states()
    callback = SnapshotTrainerCallback(root / "trainer", *given.four, every_n_updates=1)
    found["trainer"] = (bare, after, hugging_face(given, callback, root / "b"), states(), 6)
    bare = plain(given, lambda model, step: None)
    after = states()
    look = lambda model, step: closerlook.snapshot(model, *given.four, root / "plain", step)  # noqa: E731
    found["plain"] = (bare, after, plain(given, look), states(), 3)
    return {"root": root, **found}


@pytest.mark.parametrize("loop", ["lightning", "trainer", "plain"])
def test_training_ends_bit_for_bit_where_it_ends_without_snapshots(watched: dict[str, Any], loop: str) -> None:
    bare, before, seen, after, n_updates = watched[loop]
    assert_same_model(bare, seen)
    assert before == after
    reader = SnapshotReader(watched["root"] / loop / "snapshots")
    assert reader.steps == tuple(range(n_updates + 1))


@pytest.mark.parametrize("loop", ["lightning", "trainer", "plain"])
def test_vectors_are_those_of_closerlooks_own_training(
    watched: dict[str, Any], loop: str, given: Given, tmp_path: Path
) -> None:
    reader, ours = SnapshotReader(watched["root"] / loop / "snapshots"), own(given, tmp_path)
    assert_same(vectors(reader, 0), vectors(ours, 0))
    for split in ("train", "test"):
        assert reader.examples(split)[["label", "form"]].equals(ours.examples(split)[["label", "form"]])


@pytest.mark.parametrize("loop", ["lightning", "trainer"])
def test_tuned_weights_give_the_same_vectors_in_every_loop(
    watched: dict[str, Any], loop: str, given: Given, tmp_path: Path
) -> None:
    *_, model, _, last = watched[loop]
    closerlook.snapshot(model, *given.four, tmp_path, 1, max_examples=None)
    tuned = vectors(SnapshotReader(watched["root"] / loop / "snapshots"), last)
    assert_same(tuned, vectors(SnapshotReader(tmp_path / "snapshots"), 1))
    assert not np.allclose(tuned[-1], vectors(SnapshotReader(watched["root"] / loop / "snapshots"), 0)[-1], atol=1e-3)


def test_gradients_modes_and_the_tokenizer_stay(given: Given, tmp_path: Path) -> None:
    model = given.classifier().train()
    model.bert.encoder.layer[0].eval()
    model(**collate(given.rows()[:4])).loss.backward()
    modes = [module.training for module in model.modules()]
    gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    given.tokenizer(["a", "b c"], padding="max_length", max_length=9, truncation=True)
    before = given.tokenizer.backend_tokenizer.to_str()
    closerlook.snapshot(model, *given.four, tmp_path, 0)
    assert [module.training for module in model.modules()] == modes
    assert given.tokenizer.backend_tokenizer.to_str() == before
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert (parameter.grad is None) == (gradient is None)
        assert gradient is None or torch.equal(parameter.grad, gradient)
    assert model.bert.pooler is not None
    assert all(p.requires_grad for p in model.parameters())


def test_the_run_says_what_it_is(watched: dict[str, Any]) -> None:
    info = RunDir(watched["root"] / "trainer").info()
    assert (info.loop, info.n_updates, info.n_epochs, info.updates_per_epoch) == ("transformers.Trainer", 6, 2, 3)
    assert (info.level, info.n_train, info.n_test, len(info.label_names)) == ("sentence", 60, 30, 5)
    assert RunDir(watched["root"] / "trainer").status == "finished"
    reader = SnapshotReader(watched["root"] / "lightning" / "snapshots")
    assert [round(reader.epoch(step), 3) for step in reader.steps] == [0, 0.333, 0.667, 1, 1.333, 1.667, 2]
    info = RunDir(watched["root"] / "plain").info()
    assert "The loop gave no epochs: where figures say epoch, they count updates." in info.notes


def test_words_and_pairs_and_one_sequence(given: Given, tmp_path: Path) -> None:
    words = [text.split() for text in given.texts["train"]]
    tags = [["long" if len(word) > 4 else "short" for word in line] for line in words]
    tags[0][0] = -100  # type: ignore[call-overload]
    run = closerlook.snapshot(AutoModel.from_pretrained(given.folder), given.tokenizer, words, tags, tmp_path / "w", 0)
    info, reader = run.info(), SnapshotReader(run.snapshots)
    assert info.level == "word"
    assert info.n_train + info.n_test == sum(map(len, words)) - 1
    assert any("20% of the texts became the test" in note for note in info.notes)
    assert reader.splits == ("train", "test")
    pairs = [(a, b) for a, b in zip(given.texts["train"], given.texts["train"][1:], strict=False)]
    run = closerlook.snapshot(
        AutoModel.from_pretrained(given.folder), given.tokenizer, pairs, np.arange(len(pairs)) % 2, tmp_path / "p", 0,
        label_names=("no", "yes"),
    )  # fmt: skip
    assert run.info().label_names == ("no", "yes")
    assert " || " in SnapshotReader(run.snapshots).examples("train").form[0]


def test_resumed_training_takes_later_snapshots_again_and_another_one_is_refused(given: Given, tmp_path: Path) -> None:
    model = given.classifier()
    take = partial(closerlook.snapshot, model, *given.four, tmp_path)
    for step in (0, 5, 10):
        take(step)
    (tmp_path / "snapshots" / ".writing-step-00000015").mkdir()  # of a killed process
    with pytest.raises(RunError, match=r"holds snapshots up to step 10, and the next one is of step 10"):
        take(10)
    assert not list((tmp_path / "snapshots").glob(".writing*"))
    take(5, overwrite=True)
    assert SnapshotReader(tmp_path / "snapshots").steps == (0, 5)
    callback = SnapshotTrainerCallback(tmp_path, *given.four)
    with pytest.raises(RunError, match="overwrite=True"):
        hugging_face(given, callback, tmp_path / "t", epochs=1)
    callback = SnapshotTrainerCallback(tmp_path, *given.four, overwrite=True)
    hugging_face(given, callback, tmp_path / "t", epochs=1)
    assert SnapshotReader(tmp_path / "snapshots").steps == (0, 3)
    with pytest.raises(SnapshotError, match="lists other examples"):
        closerlook.snapshot(model, given.tokenizer, given.texts["train"], given.labels["train"], tmp_path, 20)


def test_a_run_of_train_py_is_left_alone(given: Given, digits_run: Path) -> None:
    with pytest.raises(RunError, match=r"holds a run of train\.py"):
        closerlook.snapshot(given.classifier(), *given.four, digits_run, 10_000)


class Two(nn.Module):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.query, self.document = AutoModel.from_pretrained(folder), AutoModel.from_pretrained(folder)


def test_an_encoder_that_is_not_clear_is_asked_for(given: Given, tmp_path: Path) -> None:
    take = partial(closerlook.snapshot, Two(given.folder), *given.four, tmp_path, 0)
    with pytest.raises(ModelError, match=r"holds 2 transformers models \('query', 'document'\); expected one"):
        take()
    with pytest.raises(ModelError, match=r"has no attribute 'bert'; expected one of its modules \(query, document\)"):
        take(encoder="bert")
    with pytest.raises(ModelError, match="expected a torch module"):
        take(encoder=lambda model: "query")
    take(encoder=lambda model: model.query)
    assert SnapshotReader(tmp_path / "snapshots").steps == (0,)


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        (["a b", "c"], ["x"], "got 2 train texts and 1 labels"),
        ("one text", ["x"], "got one text"),
        ({"dev": ["a"]}, {"dev": ["x"]}, "got the splits 'dev'; expected 'train'"),
        ({"train": ["a"], "test": ["a"]}, ["x"], "expected the same: give both as mappings"),
        ([("a", "b"), "c"], ["x", "y"], "expected pairs everywhere"),
        (["a", ""], ["x", "y"], "the train texts, row 2: text ''; expected a text that is not empty"),
        ([["a", "b"], ["c"]], [["x"], ["y"]], "1 labels for 2 words"),
        (["a", "b", "c", "d"], ["x"] * 4, "one label only"),
    ],
)
def test_texts_and_labels_that_do_not_go_together(
    given: Given, tmp_path: Path, texts: Any, labels: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        closerlook.snapshot(None, given.tokenizer, texts, labels, tmp_path, 0)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_sentence_transformers_trainer_and_its_pooling(given: Given, tmp_path: Path) -> None:
    st = pytest.importorskip("sentence_transformers")
    from datasets import Dataset
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    pooling = Pooling(32, pooling_mode="mean")
    model = st.SentenceTransformer(modules=[Transformer(str(given.folder)), pooling], device="cpu")
    texts = given.texts["train"]
    data = Dataset.from_dict({"anchor": texts[:40], "positive": texts[1:41]})
    arguments = st.SentenceTransformerTrainingArguments(
        str(tmp_path / "t"), num_train_epochs=1, per_device_train_batch_size=20, use_cpu=True, report_to=[],
        save_strategy="no", disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    callback = SnapshotTrainerCallback(tmp_path / "run", *given.four)
    loss = MultipleNegativesRankingLoss(model)
    st.SentenceTransformerTrainer(model, arguments, train_dataset=data, loss=loss, callbacks=[callback]).train()
    reader = SnapshotReader(tmp_path / "run" / "snapshots")
    assert reader.steps == (0, 2)
    form = list(reader.examples("test").form)
    np.testing.assert_allclose(reader.vectors(2, "test", 2), model.encode(form), atol=1e-5)
