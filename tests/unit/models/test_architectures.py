"""Vectors of 42 architectures equal those of plain transformers: text by text, unpadded, layer by layer."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer, FunnelConfig, FunnelModel

from closerlook.data.batching import encode_split
from closerlook.data.corpus import Corpus, LabeledText, Level, Target
from closerlook.models.encoder import PooledEncoder
from closerlook.models.encoder_settings import ModelSettings
from closerlook.models.loading import load_encoder
from closerlook.models.model_error import ModelError

PROJECT = Path(__file__).parents[3]
TEXTS = (
    "The quick brown fox jumps over the lazy dog .",
    "Don't you think it's wonderful ? I can't believe they won the final match !",
    "Yes .",
    "Please send me the report by e-mail at john@example.com before 5 p.m.",
    "Ein kleines Mädchen spielt im Garten .",
)
# A dozen that differ in what matters: blanks, specials, padding, causality, positions, towers.
FAST = (
    "bert", "roberta", "deberta", "xlnet", "t5", "bart", "gpt2", "llama3", "qwen2", "gemma3mm", "convbert", "fnet",
)  # fmt: skip
SLOW = (
    "distilbert", "electra", "mpnet", "camembert", "xlmr", "albert", "deberta2", "modernbert", "qwen3", "gemma",
    "llama2", "llama2new", "longformer", "bigbird", "mobilebert", "squeezebert", "rembert", "luke", "nystromformer",
    "eurobert", "ernie", "layoutlm", "gptneox", "nomic_bert", "jina_embeddings_v3", "gemma3", "mt5",
)  # fmt: skip
REFUSED = {
    "funnel": "cannot be looked at layer by layer",
    "opt": r"layers of shape .*16\).*32\)",
    "roformer": "a Python package is missing: You need to install rjieba",
}
CAUSAL = {"gpt2", "llama2", "llama2new", "llama3", "qwen2", "qwen3", "gemma", "gemma3", "gemma3mm", "gptneox"}
MIXES_PADDING = {"convbert", "fnet", "nystromformer"}
FINAL_NORM = CAUSAL | {"t5", "mt5", "modernbert", "eurobert"}
MEAN = {"t5", "mt5", "eurobert"}


@pytest.fixture
def folder_of(tiny_models: ModuleType, tmp_path: Path) -> Callable[[str], Path]:
    def build(name: str) -> Path:
        folder = tmp_path / name
        if name != "funnel":
            return Path(tiny_models.build(name, folder))
        tokenizer, special = tiny_models.wordpiece()  # AutoModel.from_config cannot build this one
        tiny_models.write_tok(folder, tokenizer, special, "FunnelTokenizer")
        config = FunnelConfig(
            vocab_size=400, block_sizes=[1, 1], d_model=32, n_head=2, d_head=16, d_inner=37, num_decoder_layers=1
        )
        FunnelModel(config).save_pretrained(folder)
        return folder

    return build


class Plain:
    """transformers alone: one text, no padding, no pooling of ours."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        self.model = model.get_encoder() if model.config.is_encoder_decoder else model

    def layers(self, text: str) -> NDArray[np.float32]:
        """(n_layers + 1, n_subwords, hidden_size)."""
        inputs = self.tokenizer(text, return_tensors="pt")
        known = inspect.signature(self.model.forward).parameters
        with torch.no_grad():
            output = self.model(**{k: v for k, v in inputs.items() if k in known}, output_hidden_states=True)
        return torch.stack(output.hidden_states)[:, 0].numpy()

    def words(self, text: str) -> list[NDArray[np.float32]]:
        """The mean vector of each word, whose subwords are found without offsets: by tokenising ever more words."""
        hidden, words = self.layers(text), text.split()
        ids = self.tokenizer(text, add_special_tokens=False).input_ids
        parts = [self.tokenizer(" ".join(words[:n]), add_special_tokens=False).input_ids for n in range(len(words) + 1)]
        assert all(ids[: len(part)] == part for part in parts)
        lead = self.tokenizer(text).input_ids.index(ids[0])
        return [hidden[:, lead + len(a) : lead + len(b)].mean(axis=1) for a, b in itertools.pairwise(parts)]


def ours(folder: Path, level: Level, texts: list[LabeledText]) -> tuple[PooledEncoder, NDArray[np.float32]]:
    """(n_layers + 1, n_examples, n_features), by padded batches of three."""
    loaded = load_encoder(ModelSettings(name="tiny", source=str(folder)))
    encoder = PooledEncoder(loaded, level)
    corpus = Corpus("t", level, {"train": tuple(texts), "test": ()}, ("x",))
    split = encode_split(corpus, "train", loaded.tokenizer, **loaded.encoding_options())
    layers = tuple(range(encoder.n_layers + 1))
    result = np.full((len(layers), split.n_examples, encoder.n_features), np.nan, dtype=np.float32)
    with torch.no_grad():
        for batch in split.ordered_batches(3):
            for layer, vectors in encoder.layers(batch, layers).items():
                result[layer, batch.example_index.numpy()] = vectors.numpy()
    return encoder, result


def differences(folder: Path) -> dict[str, float]:
    """By level, the largest difference from plain transformers as a share of the layer's largest value."""
    plain = Plain(folder)
    sentences = [LabeledText(str(i), (Target((), "x"),), text=text) for i, text in enumerate(TEXTS)]
    encoder, got = ours(folder, "sentence", sentences)
    pick = {"cls": lambda h: h[:, 0], "mean": lambda h: h.mean(axis=1), "last": lambda h: h[:, -1]}
    assert encoder.sentence_pooling
    expected = np.stack([pick[encoder.sentence_pooling](plain.layers(text)) for text in TEXTS], axis=1)
    result = {"sentence": _largest(got, expected)}
    words = [
        LabeledText(str(i), tuple(Target((j,), "x") for j in range(len(text.split()))), words=tuple(text.split()))
        for i, text in enumerate(TEXTS)
    ]
    _, got = ours(folder, "word", words)
    by_word = [plain.words(text) for text in TEXTS]
    result["word"] = _largest(got, np.stack([vector for row in by_word for vector in row], axis=1))
    pairs = [
        LabeledText(str(i), (Target((len(text.split()) - 1, 0), "x"),), words=tuple(text.split()))
        for i, text in enumerate(TEXTS)
    ]
    _, got = ours(folder, "pair", pairs)
    result["pair"] = _largest(got, np.stack([np.concatenate([row[-1], row[0]], axis=1) for row in by_word], axis=1))
    return result


def _largest(got: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    assert got.shape == expected.shape
    assert np.ptp(expected[-1], axis=0).max() > 0  # the vectors are not all one
    scale = np.maximum(np.abs(expected).max(axis=(1, 2), keepdims=True), 1)
    return float((np.abs(got - expected) / scale).max())


@pytest.mark.parametrize("name", [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_vectors_equal_plain_transformers(name: str, folder_of: Callable[[str], Path]) -> None:
    folder = folder_of(name)
    found = differences(folder)
    assert max(found.values()) < 1e-5, found
    facts = load_encoder(ModelSettings(name=name, source=str(folder))).facts
    assert facts.is_causal == (name in CAUSAL)
    assert facts.pads_safely == (name not in MIXES_PADDING)
    assert (facts.final_norm is not None) == (name in FINAL_NORM)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_at_load(name: str, folder_of: Callable[[str], Path]) -> None:
    with pytest.raises(ModelError, match=REFUSED[name]):
        load_encoder(ModelSettings(name=name, source=str(folder_of(name))))


def test_every_architecture_of_the_builder_is_tried(tiny_models: ModuleType) -> None:
    assert {*FAST, *SLOW, *REFUSED} == set(tiny_models.NAMES)
    assert len(tiny_models.NAMES) == 42


@pytest.mark.parametrize("name", ["llama3", "t5", "bert"])
def test_the_last_layer_is_stored_before_or_after_the_final_norm(name: str, folder_of: Callable[[str], Path]) -> None:
    loaded = load_encoder(ModelSettings(name=name, source=str(folder_of(name))))
    corpus = Corpus("t", "sentence", {"train": (LabeledText("a", (Target((), "x"),), text=TEXTS[1]),)}, ("x",))
    batch = encode_split(corpus, "train", loaded.tokenizer).collate([0])
    after, before = PooledEncoder(loaded, "sentence"), PooledEncoder(loaded, "sentence", final_norm=False)
    after.sentence_pooling = before.sentence_pooling = "last"
    with torch.no_grad():
        normed, raw = after.layers(batch, (0, 1, 2)), before.layers(batch, (0, 1, 2))
        assert torch.equal(normed[2], before(batch))  # what is trained does not change
    assert torch.equal(normed[0], raw[0])
    assert torch.equal(normed[1], raw[1])
    if name == "bert":
        assert torch.equal(normed[2], raw[2])
        assert not any("final norm" in note for note in (*after.notes, *before.notes))
        return
    weight = loaded.backbone.get_submodule(str(loaded.facts.final_norm)).weight.detach()
    by_hand = weight * raw[2] / (raw[2].square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()  # RMS norm
    torch.testing.assert_close(normed[2], by_hand, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(normed[2], raw[2], rtol=0.01)
    assert any("after the model's final norm" in note for note in after.notes)
    assert any("before the model's final norm" in note for note in before.notes)


def test_a_causal_model_gives_every_text_its_own_vector(folder_of: Callable[[str], Path]) -> None:
    folder = folder_of("llama3")
    encoder, vectors = ours(folder, "sentence", [LabeledText(t, (Target((), "x"),), text=t) for t in TEXTS])
    assert encoder.sentence_pooling == "last"
    assert all(len(np.unique(layer.round(4), axis=0)) == len(TEXTS) for layer in vectors[1:])
    loaded = load_encoder(ModelSettings(name="t", source=str(folder), sentence_pooling="cls"))
    with pytest.raises(ModelError, match="in a causal model sees nothing of the text"):
        PooledEncoder(loaded, "sentence")
    PooledEncoder(loaded, "word")  # words are read as ever
