"""What each method trains, in 42 architectures; that it changes nothing before it is trained, and comes back whole."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from closerlook.models.adapters import adapted_modules, fold_adapters, plain_weights
from closerlook.models.encoder import PooledEncoder
from closerlook.models.encoder_settings import ModelSettings
from closerlook.models.finetuning_module import FineTuningModule
from closerlook.models.loading import load_encoder
from closerlook.models.method_settings import MethodSettings, check_method
from closerlook.models.model_error import ModelError
from closerlook.models.tuned_weights import frozen_names, load_tuned
from closerlook.models.tuning_method import apply_method, count_weights

METHODS = {
    "full": MethodSettings(),
    "head": MethodSettings("head"),
    "bitfit": MethodSettings("bitfit"),
    "lora": MethodSettings("lora", rank=4, alpha=8, dropout=0.1),
    "all-linear": MethodSettings("lora", rank=2, alpha=8, dropout=0.0, targets="all-linear"),
    "lp_ft": MethodSettings("lp_ft", head_epochs=1),
    "top_layers": MethodSettings("top_layers", n_layers=1),
}
FAST = {
    ("bert", "head"), ("bert", "lora"), ("gpt2", "lora"), ("llama3", "bitfit"), ("llama3", "lora"),
    ("t5", "top_layers"),
}  # fmt: skip
NAMES = (
    "bert", "gpt2", "llama3", "t5", "distilbert", "electra", "mpnet", "roberta", "camembert", "xlmr", "albert",
    "deberta2", "deberta", "modernbert", "qwen2", "qwen3", "gemma", "llama2", "llama2new", "bart", "xlnet",
    "longformer", "bigbird", "mobilebert", "squeezebert", "convbert", "rembert", "fnet", "luke", "nystromformer",
    "eurobert", "ernie", "layoutlm", "gptneox", "nomic_bert", "jina_embeddings_v3", "gemma3", "gemma3mm", "mt5",
)  # fmt: skip
NO_BIASES = {
    "llama2", "llama2new", "llama3", "gemma", "gemma3", "gemma3mm", "qwen3", "t5", "mt5", "modernbert", "eurobert",
}  # fmt: skip
REFUSED = {
    "bitfit": (NO_BIASES, "has nothing to train: .* has no biases"),
    "top_layers": ({"albert"}, "blocks of AlbertModel cannot be told apart"),
    "lora": ({"squeezebert"}, "SqueezeBertModel cannot be given adapters there.*query"),
    "all-linear": ({"squeezebert"}, "SqueezeBertModel cannot be given adapters there"),
}


def encoder_of(folder: Path) -> PooledEncoder:
    return PooledEncoder(load_encoder(ModelSettings(name="t", source=str(folder))), "sentence")


def vectors(encoder: PooledEncoder) -> torch.Tensor:
    ids = torch.arange(20, 32)[None]
    more = {"attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
    with torch.no_grad():
        inputs = {name: more[name] for name in encoder.facts.inputs}
        return encoder.backbone.eval()(input_ids=ids, **inputs).last_hidden_state


def update(encoder: PooledEncoder) -> None:
    """One step of all weights that may be trained."""
    encoder.train()
    torch.manual_seed(0)
    ids = torch.arange(20, 32)[None]
    encoder.backbone(input_ids=ids).last_hidden_state.square().sum().backward()
    trained = [p for p in encoder.parameters() if p.requires_grad]
    torch.optim.AdamW(trained, lr=1e-2).step()


def check(name: str, folder: Path, method: MethodSettings) -> None:
    untuned, encoder = encoder_of(folder), encoder_of(folder)
    before, random_numbers = vectors(untuned), torch.get_rng_state()
    apply_method(encoder, method, seed=0)
    assert torch.equal(random_numbers, torch.get_rng_state())
    assert torch.equal(vectors(encoder), before)
    if method.name == "head":
        assert count_weights(encoder).trained == 0
        return
    update(encoder)
    tuned = vectors(encoder)
    assert not torch.equal(tuned, before)
    frozen = frozen_names(encoder)
    kept = {f"encoder.{key}": value.clone() for key, value in encoder.state_dict().items() if key not in frozen}
    again = encoder_of(folder)
    apply_method(again, method, seed=7)
    load_tuned(again, kept)
    assert torch.equal(vectors(again), tuned)
    if method.name == "lora":
        assert all("lora_" in key for key in kept)
        plain = plain_weights(again.backbone)
        untuned.backbone.load_state_dict(plain, strict=True)
        fold_adapters(again.backbone)
        assert plain.keys() == again.backbone.state_dict().keys()
        scale = float(tuned.abs().max())
        for one in (untuned, again):
            torch.testing.assert_close(vectors(one), tuned, atol=1e-4 * scale, rtol=0)


@pytest.mark.parametrize(
    ("name", "method"),
    [
        pytest.param(*pair, marks=[] if pair in FAST else [pytest.mark.slow])
        for pair in itertools.product(NAMES, METHODS)
    ],
)
def test_method_changes_nothing_at_first_then_its_weights_which_come_back_whole(
    name: str, method: str, tiny_models: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / f"tiny-{name}"
    if not folder.exists():
        tiny_models.build(name, folder)
    refused, message = REFUSED.get(method, ((), ""))
    if name in refused:
        with pytest.raises(ModelError, match=message):
            apply_method(encoder_of(folder), METHODS[method], seed=0)
    else:
        check(name, folder, METHODS[method])


def names_trained(tiny_bert: Path, method: MethodSettings) -> set[str]:
    encoder = encoder_of(tiny_bert)
    apply_method(encoder, method, seed=0)
    return {name for name, p in encoder.backbone.named_parameters() if p.requires_grad}


def test_each_method_trains_what_it_says(tiny_bert: Path) -> None:
    everything = {name for name, _ in encoder_of(tiny_bert).backbone.named_parameters()}
    trained = {name: names_trained(tiny_bert, method) for name, method in METHODS.items()}
    assert trained["full"] == trained["lp_ft"] == everything
    assert trained["head"] == set()
    assert trained["bitfit"] == {name for name in everything if name.endswith(".bias")}
    assert trained["top_layers"] == {name for name in everything if name.startswith("encoder.layer.1.")}
    assert len(trained["lora"]) == 2 * 2 * 2  # A and B of query and value in two blocks
    assert len(trained["all-linear"]) == 2 * 6 * 2
    named = MethodSettings("lora", rank=1, alpha=1, dropout=0.0, targets=["key"])
    assert {name.split(".")[5] for name in names_trained(tiny_bert, named)} == {"key"}


def test_adapters_are_drawn_from_the_seed(tiny_bert: Path) -> None:
    def first(seed: int) -> torch.Tensor:
        encoder = encoder_of(tiny_bert)
        apply_method(encoder, METHODS["lora"], seed=seed)
        module: Any = next(iter(adapted_modules(encoder.backbone).values()))
        return module.lora_A["default"].weight.detach()

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def test_checkpoint_of_another_method_is_refused(tiny_bert: Path) -> None:
    encoder = encoder_of(tiny_bert)
    apply_method(encoder, METHODS["lora"], seed=0)
    whole = {f"encoder.{name}": value for name, value in encoder_of(tiny_bert).state_dict().items()}
    with pytest.raises(ModelError, match=r"of another model or method: \d+ weights are missing.*lora_A"):
        load_tuned(encoder, {**whole, "head.weight": torch.zeros(3, 32)})


def test_rates_fall_from_block_to_block(tiny_bert: Path) -> None:
    from closerlook.models.optimization import parameter_groups

    optimizer = partial(torch.optim.AdamW, lr=1.0)
    for method in ("full", "lora", "bitfit"):  # combines with any
        encoder = encoder_of(tiny_bert)
        apply_method(encoder, METHODS[method], seed=0)
        module = FineTuningModule(encoder, 3, optimizer=optimizer, layer_decay=0.5)
        groups = parameter_groups(module.named_parameters(), weight_decay=0.1, rate_scales=module._rate_scales)
        names = {id(p): name for name, p in module.named_parameters()}
        rates = {names[id(p)]: group["rate_scale"] for group in groups for p in group["params"]}
        assert rates.keys() == {name for name, p in module.named_parameters() if p.requires_grad}
        for name, rate in rates.items():
            depth = 3 if name.startswith("head") else int(name.split(".")[4]) + 1 if ".layer." in name else 0
            assert rate == 0.5 ** (3 - depth), name


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (MethodSettings("lorra"), r"method\.name=lorra: did you mean lora\? Expected one of full, head, bitfit"),
        (MethodSettings("full", rank=4), r"method\.rank=4: method=full does not read it; expected method=lora"),
        (MethodSettings("lora", rank=0, alpha=1, dropout=0), r"method\.rank=0: expected at least 1"),
        (MethodSettings("lora", alpha=1, dropout=0), r"method\.rank is missing"),
        (MethodSettings("lora", rank=1, alpha=0, dropout=0), r"method\.alpha=0: expected a number above 0"),
        (MethodSettings("lora", rank=1, alpha=1, dropout=1), r"method\.dropout=1: expected 0 to 1, without 1"),
        (MethodSettings("lora", rank=1, alpha=1, dropout=0, targets=[]), r"method\.targets=\[\]: expected names"),
        (MethodSettings("lp_ft"), r"needs method\.head_epochs or method\.head_updates"),
        (MethodSettings("top_layers", n_layers=0), r"method\.n_layers=0: expected at least 1"),
        (MethodSettings("head", rate_factor=0), r"method\.rate_factor=0: expected a number above 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(method: MethodSettings, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_method(method)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (MethodSettings("top_layers", n_layers=3), r"method\.n_layers=3: expected 1 to 2, the blocks of this encoder"),
        (
            MethodSettings("lora", rank=1, alpha=1, dropout=0, targets=["qury"]),
            r"method\.targets=\['qury'\].*Expected names of its linear modules: dense, key, query, value",
        ),
    ],
)
def test_methods_that_do_not_fit_the_encoder_are_refused(tiny_bert: Path, method: MethodSettings, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        apply_method(encoder_of(tiny_bert), method, seed=0)


@pytest.mark.slow
def test_missing_peft_is_one_clear_error(project: Path, tmp_path: Path) -> None:
    (tmp_path / "peft.py").write_text("raise ImportError('No module named peft')\n")
    done = subprocess.run(
        [sys.executable, str(project / "train.py"), "method=lora", "task.limit_train_texts=20", "logger=none",
         f"run_dir={tmp_path}/run"],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "method=lora needs the package peft, which is missing. Run `pip install peft`" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
