"""The exported model answers as the run does, is tuned further bit for bit, and a stale or half one is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import nn
from transformers import AutoModelForTokenClassification, pipeline

from closerlook.config import config_dir, register, typed
from closerlook.data.datamodule import CorpusDataModule
from closerlook.data.given_texts import given_corpus
from closerlook.models.adapters import add_adapters
from closerlook.models.encoder import PooledEncoder
from closerlook.models.encoder_settings import ModelSettings
from closerlook.models.export import HEAD_WEIGHTS_FILE, save_model
from closerlook.models.loading import load_encoder
from closerlook.models.method_settings import MethodSettings
from closerlook.pipelines.export import _new_folder
from closerlook.pipelines.fine_tune import train
from closerlook.representations.reader import SnapshotReader
from closerlook.results.run import RunError
from closerlook.results.run_dir import RunDir

pytestmark = pytest.mark.e2e


def settings(run_dir: Path, *overrides: str) -> object:
    register()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return typed(compose("train", overrides=[f"run_dir={run_dir}", "logger=none", *overrides]))


@pytest.fixture(scope="module")
def run(small: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    root = tmp_path_factory.mktemp("export") / "seed-0"
    learned = [one for one in small if not one.startswith(("finetuning.epochs", "finetuning.learning_rate"))]
    outcome = train(settings(root, *learned, "finetuning.epochs=5", "finetuning.learning_rate=1e-2"))  # type: ignore[arg-type]
    assert outcome.model == root / "model"
    return RunDir(root)


def test_a_pipeline_gives_the_runs_own_predictions(run: RunDir) -> None:
    reader = SnapshotReader(run.snapshots)
    head = reader.head(reader.steps[-1])
    assert head is not None
    own = reader.vectors(reader.steps[-1], "test", head.layer) @ head.weights.T + head.bias
    texts = list(reader.examples("test").form)
    found = pipeline("text-classification", str(run.whole_model()), device="cpu")(texts)
    assert [one["label"] for one in found] == list(head.classes[own.argmax(axis=1)])
    shares = np.exp(own) / np.exp(own).sum(axis=1, keepdims=True)
    np.testing.assert_allclose([one["score"] for one in found], shares.max(axis=1), atol=1e-5)
    assert len({one["label"] for one in found}) > 1
    card = (run.model / "README.md").read_text(encoding="utf-8")
    assert "pipeline_tag: text-classification" in card
    assert "test/accuracy" in card.replace("\\", "")
    config = json.loads((run.model / "config.json").read_text(encoding="utf-8"))
    assert list(config["label2id"]) == list(run.info().label_names)


def test_tuning_goes_on_from_it_and_a_stale_one_is_refused(run: RunDir, small: tuple[str, ...], tmp_path: Path) -> None:
    again = [one for one in small if not one.startswith(("model.source", "finetuning.epochs"))]
    more = (f"model.source={run.model}", "finetuning.epochs=0", "export=false")
    train(settings(tmp_path / "second", *again, *more))  # type: ignore[arg-type]
    first, second = SnapshotReader(run.snapshots), SnapshotReader(RunDir(tmp_path / "second").snapshots)
    for layer in (0, 1, 2):
        np.testing.assert_array_equal(second.vectors(0, "test", layer), first.vectors(first.steps[-1], "test", layer))
    assert not (tmp_path / "second" / "model").exists()
    weights = run.model / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        with pytest.raises(RunError, match="is damaged"):
            load_encoder(ModelSettings(name="t", source=str(run.model)))
        weights.rename(tmp_path / "elsewhere")
        with pytest.raises(RunError, match=r"is not the model that the run exported: model/model\.safetensors is gone"):
            run.whole_model()
    finally:
        weights.write_bytes(whole)


def test_a_killed_export_leaves_no_half_folder(tmp_path: Path) -> None:
    run = RunDir(tmp_path)

    def killed() -> None:
        with _new_folder(run) as folder:
            (folder / "config.json").write_text("{}")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    assert not list(tmp_path.iterdir())


def encoder_of(tiny_bert: Path, texts: list, labels: list) -> tuple[PooledEncoder, nn.Linear, CorpusDataModule]:
    both = {"train": texts, "test": texts}, {"train": labels, "test": labels}
    loaded = load_encoder(ModelSettings(name="t", source=str(tiny_bert)))
    data = CorpusDataModule(given_corpus(*both, name="x"), loaded.tokenizer, batch_size=2, **loaded.encoding_options())
    data.setup()
    encoder = PooledEncoder(loaded, data.corpus.level).eval()
    torch.manual_seed(0)
    return encoder, nn.Linear(encoder.n_features, len(data.corpus.label_names)), data


def test_words_and_adapters(tiny_bert: Path, tmp_path: Path) -> None:
    words = [["unbelievable", "cats", "sat"], ["dogs", "ran"]]
    encoder, head, data = encoder_of(tiny_bert, words, [["a", "b", "a"], ["b", "b"]])
    add_adapters(encoder.backbone, MethodSettings(name="lora", rank=4, alpha=8.0, dropout=0.0), seed=0)
    for name, parameter in encoder.backbone.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)
    batches = list(data.ordered_batches("test"))
    exported = save_model(tmp_path, encoder, head, data.tokenizer, ["a", "b"], batches)
    assert (exported.kind, exported.reason) == ("AutoModelForTokenClassification", "")
    model = AutoModelForTokenClassification.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        for batch in batches:
            logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
            torch.testing.assert_close(encoder.pool(logits, batch), head(encoder(batch)), atol=1e-5, rtol=0)


def test_a_mean_has_no_class_and_keeps_its_head_and_pooling(tiny_bert: Path, tmp_path: Path) -> None:
    encoder, head, data = encoder_of(tiny_bert, ["one text", "another one", "a third"], ["a", "b", "a"])
    encoder.sentence_pooling = "mean"
    batches = list(data.ordered_batches("test"))
    exported = save_model(tmp_path, encoder, head, data.tokenizer, ["a", "b"], batches)
    assert exported.kind == "AutoModel"
    assert "does more between encoder and head" in exported.reason
    assert (tmp_path / HEAD_WEIGHTS_FILE).is_file()
    again = load_encoder(ModelSettings(name="t", source=str(tmp_path)))
    assert again.recommended_pooling == "mean"
    with torch.no_grad():
        assert torch.equal(PooledEncoder(again, "sentence").eval()(batches[0]), encoder(batches[0]))
