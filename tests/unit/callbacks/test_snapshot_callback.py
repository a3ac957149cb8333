"""The snapshot callback on a real corpus and a tiny encoder: what it stores, and what it must not change."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from closerlook.callbacks.snapshot import RunSnapshots
from closerlook.data.datamodule import CorpusDataModule
from closerlook.data.task_settings import TaskSettings
from closerlook.data.tasks import load_corpus
from closerlook.models.encoder import PooledEncoder
from closerlook.models.encoder_settings import ModelSettings, SnapshotSettings
from closerlook.models.finetuning_module import FineTuningModule
from closerlook.models.loading import load_encoder
from closerlook.representations.format import SnapshotError
from closerlook.representations.reader import SnapshotReader


def fit(
    tiny_bert: Path,
    root: Path,
    settings: SnapshotSettings | None,
    *,
    epochs: int = 2,
    task: TaskSettings | None = None,
    **trainer_options: object,
) -> tuple[FineTuningModule, pl.Trainer, RunSnapshots | None]:
    pl.seed_everything(3, verbose=False)
    corpus = load_corpus(
        task or TaskSettings(name="bbc_topics", limit_train_texts=70, limit_test_texts=30, validation_fraction=0.1)
    )
    loaded = load_encoder(ModelSettings(name="t", source=str(tiny_bert)))
    data = CorpusDataModule(corpus, loaded.tokenizer, batch_size=16, eval_batch_size=8, seed=3)
    module = FineTuningModule(
        PooledEncoder(loaded, corpus.level),
        len(corpus.label_names),
        optimizer=partial(torch.optim.AdamW, lr=1e-3),
    )
    module.train()
    callback = None if settings is None else RunSnapshots(root, settings, default_batch_size=8)
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=[callback] if callback else [],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        **trainer_options,  # type: ignore[arg-type]
    )
    trainer.fit(module, datamodule=data)
    return module, trainer, callback


def test_snapshots_leave_the_tuned_weights_and_random_states_bit_for_bit(tiny_bert: Path, tmp_path: Path) -> None:
    bare, *_ = fit(tiny_bert, tmp_path, None)
    after_bare = (torch.get_rng_state(), np.random.get_state()[1].copy())  # noqa: NPY002 - the global state is what must stay
    watched, *_ = fit(tiny_bert, tmp_path, SnapshotSettings(every_n_updates=1))
    assert torch.equal(after_bare[0], torch.get_rng_state())
    np.testing.assert_array_equal(after_bare[1], np.random.get_state()[1])  # noqa: NPY002
    for (name, a), (_, b) in zip(bare.state_dict().items(), watched.state_dict().items(), strict=True):
        assert torch.equal(a, b), name
    assert len(SnapshotReader(tmp_path).steps) == 11  # before training and after each of 2 x 5 updates
    untuned = load_encoder(ModelSettings(name="t", source=str(tiny_bert))).backbone
    assert not torch.equal(
        bare.encoder.backbone.embeddings.word_embeddings.weight, untuned.embeddings.word_embeddings.weight
    )


def test_stored_vectors_are_those_of_the_tuned_encoder(tiny_bert: Path, tmp_path: Path) -> None:
    module, trainer, _ = fit(tiny_bert, tmp_path, SnapshotSettings())
    reader = SnapshotReader(tmp_path)
    assert reader.steps == (0, 5, 10)
    assert [reader.epoch(step) for step in reader.steps] == [0.0, 1.0, 2.0]
    assert reader.layers == (0, 1, 2)
    examples = reader.examples("test")
    assert len(examples) == 30
    module.eval()
    tokenizer = trainer.datamodule.tokenizer  # type: ignore[attr-defined]
    for i in (0, 7, 29):  # one text at a time, tokenised here: independent of batches and of the data module
        with torch.no_grad():
            hidden = module.encoder.backbone(
                **tokenizer(examples.form[i], return_tensors="pt", return_token_type_ids=False),
                output_hidden_states=True,
            ).hidden_states
        for layer in reader.layers:
            np.testing.assert_allclose(reader.vectors(10, "test", layer)[i], hidden[layer][0, 0].numpy(), atol=5e-6)
    assert not np.allclose(reader.vectors(0, "test", 2), reader.vectors(10, "test", 2), atol=1e-3)
    assert np.isfinite(reader.vectors(10, "train", 0)).all()


def test_the_stored_head_answers_as_the_tuned_model_does(tiny_bert: Path, tmp_path: Path) -> None:
    module, trainer, _ = fit(tiny_bert, tmp_path, SnapshotSettings())
    reader = SnapshotReader(tmp_path)
    head = reader.head(10)
    assert reader.head(0) is None
    assert head is not None
    assert head.layer == module.encoder.n_layers
    vectors, labels = reader.vectors(10, "test", head.layer), reader.labels("test")
    answers = head.classes[np.argmax(vectors @ head.weights.T + head.bias, axis=1)]
    tested = trainer.test(module, datamodule=trainer.datamodule, verbose=False)[0]  # type: ignore[attr-defined]
    assert np.mean(answers == labels) == pytest.approx(tested["test/accuracy"])


def test_first_snapshot_is_of_the_weights_before_training_and_training_does_not_wait_for_it(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def look(self: FineTuningModule, *args: object) -> None:
        seen.append((self.global_step, sorted(path.name for path in tmp_path.glob("step-*"))))

    monkeypatch.setattr(FineTuningModule, "on_train_batch_end", look)
    fit(tiny_bert, tmp_path, SnapshotSettings(every_n_updates=2), epochs=1)
    first = ["step-00000000", "step-00000002"]
    assert seen[:3] == [(1, []), (2, first), (3, first)]
    reader = SnapshotReader(tmp_path)
    untuned = load_encoder(ModelSettings(name="t", source=str(tiny_bert)))
    form = reader.examples("test").form[7]
    with torch.no_grad():
        encoded = untuned.tokenizer(form, return_tensors="pt", return_token_type_ids=False)
        hidden = untuned.backbone(**encoded, output_hidden_states=True).hidden_states
    for layer in reader.layers:
        np.testing.assert_allclose(reader.vectors(0, "test", layer)[7], hidden[layer][0, 0].numpy(), atol=5e-6)
    assert not np.allclose(reader.vectors(2, "test", 2), reader.vectors(0, "test", 2), atol=1e-3)


def test_training_mode_is_put_back(tiny_bert: Path, tmp_path: Path) -> None:
    modes = []

    class Spy(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: object) -> None:
            modes.append({m.training for m in pl_module.modules() if isinstance(m, torch.nn.Dropout)})

    original = pl.Trainer.__init__

    def with_spy(self: pl.Trainer, *args: object, callbacks: list, **kwargs: object) -> None:
        original(self, *args, callbacks=[*callbacks, Spy()], **kwargs)  # type: ignore[arg-type]

    pl.Trainer.__init__ = with_spy  # type: ignore[method-assign]
    try:
        fit(tiny_bert, tmp_path, SnapshotSettings(every_n_updates=1), epochs=1)
    finally:
        pl.Trainer.__init__ = original  # type: ignore[method-assign]
    assert modes == [{True}] * 5


def test_subset_of_layers_and_examples(tiny_bert: Path, tmp_path: Path) -> None:
    settings = SnapshotSettings(layers=[2], splits=["train"], max_examples=20, dtype="float16", before_training=False)
    fit(tiny_bert, tmp_path, settings, epochs=3, max_steps=-1)
    reader = SnapshotReader(tmp_path)
    assert reader.steps == (5, 10, 15)
    assert (reader.layers, reader.splits) == ((2,), ("train",))
    assert reader.vectors(5, "train", 2).shape == (20, 32)
    assert reader.vectors(5, "train", 2).dtype == np.float16
    assert len(set(reader.labels("train"))) == 5


def test_last_epoch_is_stored_whatever_the_interval(tiny_bert: Path, tmp_path: Path) -> None:
    fit(tiny_bert, tmp_path, SnapshotSettings(every_n_epochs=2), epochs=3)
    assert SnapshotReader(tmp_path).steps == (0, 10, 15)


def test_word_task_stores_one_vector_per_word(tiny_bert: Path, tmp_path: Path, data_dir: Path) -> None:
    task = TaskSettings(name="pos", data_dir=str(data_dir), limit_train_texts=20, limit_test_texts=5)
    fit(tiny_bert, tmp_path, SnapshotSettings(), epochs=1, task=task, limit_val_batches=0)
    reader = SnapshotReader(tmp_path)
    examples = reader.examples("train")
    assert examples.text_id.nunique() == 20
    assert len(examples) == len(reader.vectors(0, "train", 2)) > 100
    assert set(examples.label) <= {
        "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ",
        "SYM", "VERB", "X",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (SnapshotSettings(layers=[3]), r"snapshot\.layers=\[3\]: expected layers from 0 \(embeddings\) to 2"),
        (SnapshotSettings(layers=[]), r"snapshot\.layers=\[\]"),
        (SnapshotSettings(dtype="bfloat16"), r"snapshot\.dtype must be float32 or float16, got 'bfloat16'"),
        (SnapshotSettings(every_n_updates=0), r"snapshot\.every_n_updates must be 1 or more, got 0"),
        (SnapshotSettings(every_n_epochs=0), r"snapshot\.every_n_epochs must be 1 or more, got 0"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_training(
    tiny_bert: Path, tmp_path: Path, settings: SnapshotSettings, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fit(tiny_bert, tmp_path, settings)
    assert not list(tmp_path.glob("step-*"))


def test_diverged_model_is_reported_and_earlier_snapshots_stay(tiny_bert: Path, tmp_path: Path) -> None:
    class Break(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            torch.nn.init.constant_(pl_module.encoder.backbone.embeddings.LayerNorm.weight, float("nan"))

    original = RunSnapshots.on_train_epoch_end

    def broken(self: RunSnapshots, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        Break().on_train_epoch_end(trainer, pl_module)
        original(self, trainer, pl_module)

    RunSnapshots.on_train_epoch_end = broken  # type: ignore[method-assign]
    try:
        with pytest.raises(SnapshotError, match="is not finite"):
            fit(tiny_bert, tmp_path, SnapshotSettings())
    finally:
        RunSnapshots.on_train_epoch_end = original  # type: ignore[method-assign]
    assert SnapshotReader(tmp_path).steps == (0,)
    assert not list(tmp_path.glob(".writing*"))
