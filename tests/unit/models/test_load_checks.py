"""What is wrong with a model's files is one error at load, before anything is trained; never random weights."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoTokenizer,
    BartConfig,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    CanineConfig,
    CanineModel,
    GPT2Config,
    GPT2LMHeadModel,
    IBertConfig,
    RobertaConfig,
    RobertaModel,
    RoCBertConfig,
    T5Config,
    T5EncoderModel,
)

from closerlook.models.encoder_settings import ModelSettings
from closerlook.models.loading import LoadedEncoder, load_encoder
from closerlook.models.model_error import ModelError

Weights = dict[str, torch.Tensor]


def load(folder: Path, **more: Any) -> LoadedEncoder:
    return load_encoder(ModelSettings(name="m", source=str(folder), **more))


@pytest.fixture
def copied(tiny_bert: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bert, tmp_path / "model"))


def rewrite(folder: Path, change: Callable[[Weights], Weights]) -> Weights:
    weights = load_file(folder / "model.safetensors")
    save_file(change(dict(weights)), folder / "model.safetensors", metadata={"format": "pt"})
    return weights


def same_weights(loaded: LoadedEncoder, weights: Weights) -> bool:
    own = loaded.backbone.state_dict()
    return all(torch.equal(value, weights[name]) for name, value in own.items())


def test_a_model_without_tokenizer_files_is_refused(tiny_bert: Path, copied: Path) -> None:
    for path in copied.iterdir():
        if path.name not in ("config.json", "model.safetensors"):
            path.unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer: got one of 5 special tokens.*model\.tokenizer="):
        load(copied)
    loaded = load(copied, tokenizer=str(tiny_bert))
    assert loaded.tokenizer.tokenize("the dog") == ["the", "dog"]
    assert "tokenizer/tokenizer.json" in loaded.checksums
    with pytest.raises(ModelError, match=r"cannot be loaded from no-such/tokenizer"):
        load(copied, tokenizer="no-such/tokenizer", revision="abc")
    with pytest.raises(ModelError, match=r"model\.tokenizer=/nowhere/at/all is not a folder"):
        load(copied, tokenizer="/nowhere/at/all")


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "encoder.", "bert.", "model.bert.", "my_net.bert.", "decoder."]
)
def test_prefixes_of_names_are_taken_off_and_said(prefix: str, copied: Path) -> None:
    weights = rewrite(copied, lambda w: {prefix + name: value for name, value in w.items()})
    loaded = load(copied)
    assert same_weights(loaded, weights)
    if prefix != "bert.":  # transformers knows this one itself
        assert loaded.notes == (f"The names of the weights began with {prefix!r}, which was taken off.",)


def test_the_head_of_a_classifier_is_no_matter(copied: Path) -> None:
    model = BertForSequenceClassification(BertConfig.from_pretrained(copied))
    model.save_pretrained(copied)
    loaded = load(copied)
    assert loaded.notes == ()
    assert same_weights(loaded, {k.removeprefix("bert."): v for k, v in model.state_dict().items()})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: {k: v for k, v in w.items() if "layer.1." not in k}, r"16 of \d+ are missing.*layer\.1"),
        (lambda w: {k: v for k, v in w.items() if "word_embeddings" not in k}, "1 of .* are missing"),
        (lambda w: {"x" + k: v for k, v in w.items()}, "are missing and would stay random.*got instead xembed"),
        (lambda w: {p + k: v.clone() for k, v in w.items() for p in ("q.", "d.")}, "hold more than one encoder"),
        (lambda w: w | {"embeddings.word_embeddings.weight": torch.zeros(9, 32)}, r"got .*\(9, 32\), expected \(30522"),
        (lambda w: w | {"embeddings.word_embeddings.weight": torch.full((30522, 32), torch.nan)}, "not finite"),
    ],
)
def test_weights_that_do_not_fit_are_refused(change: Any, message: str, copied: Path) -> None:
    rewrite(copied, change)
    with pytest.raises(ModelError, match=message):
        load(copied)


def test_blocks_that_the_configuration_does_not_have_are_said(copied: Path) -> None:
    settings = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(settings | {"num_hidden_layers": 1}))
    loaded = load(copied)
    assert loaded.n_layers == 1
    assert "16 weights are of blocks that config.json does not have" in loaded.notes[0]


def test_an_encoder_of_an_encoder_decoder_may_come_alone(tiny_bert: Path, tmp_path: Path) -> None:
    config = T5Config(vocab_size=30522, d_model=32, num_layers=2, num_heads=2, d_kv=16, d_ff=37)
    model = T5EncoderModel(config)
    model.save_pretrained(tmp_path)
    loaded = load(tmp_path, tokenizer=str(tiny_bert))
    assert torch.equal(
        loaded.backbone.block[1].layer[1].DenseReluDense.wo.weight,
        model.encoder.block[1].layer[1].DenseReluDense.wo.weight,
    )


def test_fewer_vectors_than_ids_are_refused_and_many_more_said(copied: Path) -> None:
    config = BertConfig.from_pretrained(copied)
    for size in (200, 100_000):
        config.vocab_size = size
        BertModel(config).save_pretrained(copied)
        if size == 200:
            with pytest.raises(ModelError, match=r"gives ids up to 30521 .* vectors for 200.*model\.tokenizer"):
                load(copied)
    assert "the tokenizer has 30,522 ids, the encoder 100,000 vectors" in load(copied).notes[0]


@pytest.mark.parametrize(
    ("config", "limit"),
    [
        (BertConfig(max_position_embeddings=40), 40),
        (RobertaConfig(max_position_embeddings=42, pad_token_id=1), 40),
        (GPT2Config(n_positions=40), 40),
        (BartConfig(max_position_embeddings=40, decoder_layers=1), 40),
        (IBertConfig(max_position_embeddings=42, pad_token_id=1), 40),  # a table of another class
        (T5Config(), None),
    ],
)
def test_the_limit_is_the_number_of_positions(config: Any, limit: int | None, tiny_bert: Path, tmp_path: Path) -> None:
    small = {"vocab_size": 30522, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    for key, value in small.items():
        setattr(config, key, value)
    config.intermediate_size = config.d_ff = config.encoder_ffn_dim = config.decoder_ffn_dim = 37
    AutoModel.from_config(config).save_pretrained(tmp_path)
    loaded = load(tmp_path, tokenizer=str(tiny_bert))
    assert loaded.encoding_options()["max_length"] == (limit or 512)  # 512: what the tokenizer says
    assert loaded.encoding_options(20)["max_length"] == 20
    if limit is None:
        assert loaded.encoding_options(9000)["max_length"] == 9000
        return
    with torch.no_grad():
        loaded.backbone(torch.full((1, limit), 7), attention_mask=torch.ones(1, limit, dtype=torch.int64))
    with pytest.raises(ModelError, match=f"task.max_length=41 is more than the {limit} subwords"):
        loaded.encoding_options(41)


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4665a5ea423c\nsize 134\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.safetensors", POINTER, "model.safetensors is a pointer of git-lfs"),
        ("tokenizer.json", POINTER, "tokenizer.json is a pointer of git-lfs"),
        ("model.safetensors", "half", "cannot be loaded.*SafetensorError.*Copy or download"),
        ("model.safetensors", "", "cannot be loaded.*SafetensorError"),
        ("tokenizer.json", '{"a": ', "cannot be loaded.*JSONDecodeError"),
        ("tokenizer.json", '{"version": "1.0"}', "cannot be loaded.*KeyError"),
        ("config.json", '{"a": ', "cannot be loaded.*not a valid JSON"),
        ("config.json", "[1]", "cannot be loaded"),
        ("config.json", '{"model_type": "bert", "hidden_size": "x"}', "cannot be loaded.*hidden_size"),
        ("config.json", '{"model_type": "no_such_model"}', "cannot be loaded.*no_such_model"),
    ],
)
def test_files_that_are_not_whole_are_one_error(name: str, content: str, message: str, copied: Path) -> None:
    whole = (copied / name).read_bytes()
    (copied / name).write_bytes(whole[: len(whole) // 2] if content == "half" else content.encode())
    with pytest.raises(ModelError, match=message) as caught:
        load(copied)
    assert "\n" not in str(caught.value)


def test_weights_in_a_bin_file_are_read(copied: Path) -> None:
    weights = load_file(copied / "model.safetensors")
    (copied / "model.safetensors").unlink()
    torch.save(weights, copied / "pytorch_model.bin")
    loaded = load(copied)
    assert same_weights(loaded, weights)
    assert loaded.revision == f"sha256:{loaded.checksums['pytorch_model.bin']}"
    torch.save({"module." + name: value for name, value in weights.items()}, copied / "pytorch_model.bin")
    assert same_weights(load(copied), weights)


class Malicious:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.mark,)


@pytest.mark.parametrize("form", ["pickle", "zip", "cut"])
def test_code_in_a_bin_file_is_not_run(form: str, copied: Path, tmp_path: Path) -> None:
    file = copied / "pytorch_model.bin"
    if form == "pickle":
        file.write_bytes(pickle.dumps({"embeddings.word_embeddings.weight": Malicious(tmp_path / "ran")}))
    else:
        torch.save(load_file(copied / "model.safetensors") | {"a": Malicious(tmp_path / "ran")}, file)
    if form == "cut":
        file.write_bytes(file.read_bytes()[:5000])
    (copied / "model.safetensors").unlink()
    with pytest.raises(
        ModelError,
        match="cannot be loaded" if form == "cut" else "Python objects, got (Unsupported|Trying).*; expected",
    ):
        load(copied)
    assert not (tmp_path / "ran").exists()


def test_sharded_weights_have_one_checksum_of_all(copied: Path) -> None:
    model = BertModel.from_pretrained(copied)
    (copied / "model.safetensors").unlink()
    model.save_pretrained(copied, max_shard_size="1MB")
    assert len(list(copied.glob("model-*.safetensors"))) > 1
    before = load(copied)
    assert same_weights(before, model.state_dict())
    assert before.revision.startswith("sha256:")
    shard = sorted(copied.glob("model-*.safetensors"))[-1]
    save_file({k: v + 1 for k, v in load_file(shard).items()}, shard, metadata={"format": "pt"})
    assert load(copied).revision != before.revision
    shard.unlink()
    with pytest.raises(ModelError, match=f"cannot be loaded.*{shard.name}"):
        load(copied)


def test_what_decides_the_numbers_has_a_checksum(copied: Path) -> None:
    before = load(copied).checksums
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= set(before)
    text = (copied / "tokenizer.json").read_text()
    (copied / "tokenizer.json").write_text(text + "\n")
    (copied / "README.md").write_text("hello")
    assert {name for name, value in load(copied).checksums.items() if before.get(name) != value} == {"tokenizer.json"}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"adapter_config.json": '{"base_model_name_or_path": "org/base"}'},
            "adapter of org/base.*model.adapter=",
        ),
        ({"checkpoint-9/config.json": "{}", "checkpoint-10/config.json": "{}"}, r"Give one.*model\.source=.*-10$"),
        ({"weights.gguf": "GGUF"}, "but GGUF files.*model.source=.*weights.gguf"),
        ({"adapter_config.json": "{"}, "adapter_config.json cannot be read"),
        ({"tf_model.h5": "x", "config.json": "{}"}, "has no weights: got config.json, tf_model.h5; expected model.s"),
        ({"notes.txt": ""}, "has no config.json: got notes.txt; expected"),
        ({}, "has no config.json: got no file"),
    ],
)
def test_folders_that_are_no_model_say_which_to_give(files: dict[str, str], message: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    with pytest.raises(ModelError, match=message):
        load(tmp_path)


def test_a_file_instead_of_its_folder_is_said(copied: Path) -> None:
    with pytest.raises(ModelError, match=rf"is a file; expected its folder: model\.source={copied}"):
        load(copied / "model.safetensors")
    (copied / "m.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(copied / "m.gguf")


def test_a_trainer_root_with_a_model_of_its_own_is_read(copied: Path) -> None:
    shutil.copytree(copied, copied / "checkpoint-5")
    assert load(copied).n_layers == 2


def test_an_old_sentence_transformers_folder_is_read(tiny_bert: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_bert, tmp_path / "0_Transformer")
    (tmp_path / "modules.json").write_text(json.dumps([{"idx": 0, "path": "0_Transformer"}, {"path": "1_Pooling"}]))
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    loaded = load(tmp_path)
    assert (loaded.n_layers, loaded.recommended_pooling) == (2, "mean")


def test_a_tokenizer_that_is_not_fast_is_refused(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        is_fast = False

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda *args, **options: Slow())
    with pytest.raises(ModelError, match="has no fast version, got Slow"):
        load(copied)


def test_a_language_model_loads_without_its_head(tiny_bert: Path, tmp_path: Path) -> None:
    config = GPT2Config(vocab_size=30522, n_embd=32, n_layer=2, n_head=2, n_positions=64)
    model = GPT2LMHeadModel(config)
    model.save_pretrained(tmp_path)
    loaded = load(tmp_path, tokenizer=str(tiny_bert))
    assert loaded.facts.is_causal
    assert loaded.facts.final_norm == "ln_f"
    assert torch.equal(loaded.backbone.wte.weight, model.transformer.wte.weight)


def test_remote_code_is_named_not_run(copied: Path, tmp_path: Path) -> None:
    (copied / "evil.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'ran')!r})\nclass C: pass\n")
    settings = json.loads((copied / "config.json").read_text())
    changed = settings | {"model_type": "evil", "auto_map": {"AutoConfig": "evil.C", "AutoModel": "evil.C"}}
    (copied / "config.json").write_text(json.dumps(changed))
    with pytest.raises(ModelError, match="Python code of its own, which is not run"):
        load(copied)
    assert not (tmp_path / "ran").exists()


def test_roberta_without_positions_left_is_checked_on_short_texts(tiny_bert: Path, tmp_path: Path) -> None:
    config = RobertaConfig(
        vocab_size=30522, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=37,
        max_position_embeddings=8, pad_token_id=1,
    )  # fmt: skip
    RobertaModel(config).save_pretrained(tmp_path)
    assert load(tmp_path, tokenizer=str(tiny_bert)).encoding_options()["max_length"] == 6


def test_untrained_attention_is_not_taken_for_causal(tiny_bert: Path, tmp_path: Path) -> None:
    config = RoCBertConfig(
        vocab_size=30522, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=37,
        max_position_embeddings=40,
    )  # fmt: skip
    AutoModel.from_config(config).save_pretrained(tmp_path)
    assert not load(tmp_path, tokenizer=str(tiny_bert)).facts.is_causal  # a subword moves others by 5e-5 only


def test_an_encoder_of_characters_is_one_error(tiny_bert: Path, tmp_path: Path) -> None:
    config = CanineConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=37)
    CanineModel(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"cannot be looked at layer by layer|fails on a short text"):
        load(tmp_path, tokenizer=str(tiny_bert))
