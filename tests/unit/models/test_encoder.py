import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from closerlook.data.batching import EncodedSplit, encode_split
from closerlook.data.corpus import Corpus, LabeledText, Target
from closerlook.models.encoder import PooledEncoder
from closerlook.models.encoder_settings import ModelSettings
from closerlook.models.loading import LoadedEncoder, load_encoder

WORDS = ("Uncharacteristically", "small", "dogs", "bark", "at", "antidisestablishmentarianism", ".")


@pytest.fixture(scope="module")
def loaded(tiny_bert: Path) -> LoadedEncoder:
    return load_encoder(ModelSettings(name="tiny", source=str(tiny_bert)))


def encode(loaded: LoadedEncoder, level: str, texts: list[LabeledText]) -> EncodedSplit:
    labels = tuple(sorted({t.label for text in texts for t in text.targets}))
    corpus = Corpus("test", level, {"train": tuple(texts), "test": ()}, labels)  # type: ignore[arg-type]
    return encode_split(corpus, "train", loaded.tokenizer)


def word_vectors_by_hand(loaded: LoadedEncoder, words: tuple[str, ...], layer: int) -> list[np.ndarray]:
    """Word by word: find the subwords by tokenising each word alone, then average their vectors."""
    pieces = [loaded.tokenizer.encode(word, add_special_tokens=False) for word in words]
    ids = [loaded.tokenizer.cls_token_id, *(i for p in pieces for i in p), loaded.tokenizer.sep_token_id]
    with torch.no_grad():
        hidden = loaded.backbone(torch.tensor([ids]), output_hidden_states=True).hidden_states[layer][0].numpy()
    bounds = np.cumsum([1, *map(len, pieces)])
    return [hidden[a:b].mean(axis=0) for a, b in itertools.pairwise(bounds)]


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_word_is_the_mean_of_its_subwords(loaded: LoadedEncoder, layer: int) -> None:
    targets = tuple(Target((i,), "X") for i in range(len(WORDS)))
    short = LabeledText("b", (Target((0,), "X"),), words=("Yes",))
    split = encode(loaded, "word", [LabeledText("a", targets, words=WORDS), short])
    encoder = PooledEncoder(loaded, "word")
    batch = split.collate([1, 0])  # padded, and not in the order of the corpus
    with torch.no_grad():
        got = encoder.layers(batch, (layer,))[layer].numpy()
    by_example = {int(i): got[row] for row, i in enumerate(batch.example_index)}
    for i, expected in enumerate(word_vectors_by_hand(loaded, WORDS, layer)):
        np.testing.assert_allclose(by_example[i], expected, atol=2e-6)
    np.testing.assert_allclose(by_example[7], word_vectors_by_hand(loaded, ("Yes",), layer)[0], atol=2e-6)


def test_pair_is_head_then_modifier(loaded: LoadedEncoder) -> None:
    split = encode(loaded, "pair", [LabeledText("a", (Target((3, 2), "nsubj"),), words=WORDS)])
    encoder = PooledEncoder(loaded, "pair")
    assert encoder.n_features == 64
    with torch.no_grad():
        got = encoder(split.collate([0]))[0].numpy()
    by_hand = word_vectors_by_hand(loaded, WORDS, 2)
    np.testing.assert_allclose(got, np.concatenate([by_hand[3], by_hand[2]]), atol=2e-6)


@pytest.mark.parametrize(("pooling", "row"), [("cls", 0), ("mean", None), ("last", -1)])
def test_sentence_vector_ignores_padding(loaded: LoadedEncoder, pooling: str, row: int | None) -> None:
    texts = ["A short one.", "A much longer sentence, with quite a few words more than the other."]
    split = encode(loaded, "sentence", [LabeledText(t, (Target((), "X"),), text=t) for t in texts])
    encoder = PooledEncoder(replace(loaded, sentence_pooling=pooling), "sentence")
    with torch.no_grad():
        together = encoder(split.collate([0, 1])).numpy()
        alone = encoder(split.collate([0])).numpy()
        output = loaded.backbone(**loaded.tokenizer(texts[0], return_tensors="pt")).last_hidden_state[0].numpy()
    np.testing.assert_allclose(together[0], alone[0], atol=2e-6)
    np.testing.assert_allclose(alone[0], output.mean(axis=0) if row is None else output[row], atol=2e-6)


def test_a_pair_of_texts_is_read_with_its_token_types(loaded: LoadedEncoder) -> None:
    pairs = [("A dog sleeps.", "An animal rests, it seems, and dreams."), ("Yes.", "No.")]
    texts = [LabeledText(a, (Target((), "X"),), text=a, second_text=b) for a, b in pairs]
    split = encode(loaded, "sentence", texts)
    with torch.no_grad():
        got = PooledEncoder(loaded, "sentence")(split.collate([0, 1])).numpy()
        for row, (a, b) in enumerate(pairs):
            inputs = loaded.tokenizer(a, b, return_tensors="pt")
            assert inputs["token_type_ids"].sum() > 0
            np.testing.assert_allclose(got[row], loaded.backbone(**inputs).last_hidden_state[0, 0].numpy(), atol=2e-6)


def test_last_layer_equals_forward(loaded: LoadedEncoder) -> None:
    split = encode(loaded, "word", [LabeledText("a", (Target((1,), "X"),), words=WORDS)])
    encoder = PooledEncoder(loaded, "word")
    batch = split.collate([0])
    with torch.no_grad():
        assert torch.equal(encoder(batch), encoder.layers(batch, (0, 2))[2])


def test_padding_that_would_be_mixed_in_is_left_out(loaded: LoadedEncoder) -> None:
    texts = ["A short one.", "A much longer sentence, with quite a few words more than the other.", "A small one."]
    split = encode(loaded, "sentence", [LabeledText(t, (Target((), "X"),), text=t) for t in texts])
    batch = split.collate([0, 1, 2])
    padded = PooledEncoder(loaded, "sentence")
    apart = PooledEncoder(replace(loaded, facts=replace(loaded.facts, pads_safely=False)), "sentence")
    widths: list[tuple[int, ...]] = []
    apart.backbone.embeddings.register_forward_hook(lambda module, args, out: widths.append(tuple(out.shape[:2])))
    with torch.no_grad():
        for layer in range(3):
            np.testing.assert_allclose(
                apart.layers(batch, (layer,))[layer].numpy(), padded.layers(batch, (layer,))[layer].numpy(), atol=2e-6
            )
    assert sorted(widths[:2]) == [(1, 17), (2, 6)]
    apart(batch)[:, 0].sum().backward()  # and gradients go through
    assert apart.backbone.embeddings.word_embeddings.weight.grad.abs().sum() > 0
    apart.backbone.zero_grad()
    assert any("padding" in note for note in apart.notes)


def test_unknown_pooling_is_refused(loaded: LoadedEncoder) -> None:
    with pytest.raises(ValueError, match=r"model\.sentence_pooling is 'max'; expected auto, cls .*, mean or last"):
        PooledEncoder(replace(loaded, sentence_pooling="max"), "sentence")
