"""Where a weight stands, against what it does: change it, and see which layer of the encoder is the first to change."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn
from transformers import FunnelConfig, FunnelModel, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from closerlook.geometry.weight_places import WeightPlace, weight_places
from closerlook.models.backbone_loading import load_backbone
from closerlook.models.encoder_settings import ModelSettings
from closerlook.models.weights import encoder_weights, transposed_weights

FAST = ("bert", "gpt2", "llama3", "t5")
NO_ATTENTION = {"fnet"}
OTHER = {
    "mobilebert": {"bottleneck.input.dense", "output.bottleneck.dense"},
    "opt": {"project_out"},
}
"""Roles of kind ``other``: all of them are named here."""
ROLES = {
    "attention": {"query", "key", "value", "output"},
    "fused": {"query+key+value", "output"},
    "mlp": {"up", "down"},
    "gated": {"gate", "up", "down"},
    "fused and gated": {"gate+up", "down"},
}


def tower(tiny_models: ModuleType, name: str, folder: Path) -> PreTrainedModel:
    """The part that reads text of a small random model; no tokenizer is needed."""
    if name == "funnel":  # AutoModel.from_config cannot build this one, and closerlook refuses it
        sizes = {"d_model": 32, "n_head": 2, "d_head": 16, "d_inner": 37}
        return FunnelModel(FunnelConfig(vocab_size=400, block_sizes=[1, 1], num_decoder_layers=1, **sizes))
    tiny_models.spec(name)[2](400).save_pretrained(folder)
    return load_backbone(ModelSettings(name=name, source=str(folder), random_init=True), folder, 0)[0]


def check(name: str, backbone: PreTrainedModel) -> None:
    names = [key for key, _ in backbone.named_parameters()]
    assert list(encoder_weights(backbone).arrays) == names
    places = weight_places(names)
    assert list(places) == names
    check_kinds(name, backbone, places)
    if name != "funnel":
        check_blocks(name, backbone, places)


def check_kinds(name: str, backbone: nn.Module, places: dict[str, WeightPlace]) -> None:
    """Kinds against the classes of modules; roles against what every block has."""
    modules = dict(backbone.named_modules())
    of_block: dict[int, set[str]] = {}
    for key, place in places.items():
        module = modules[key.rpartition(".")[0]]
        if "Norm" in type(module).__name__:
            assert place.kind == "norms", key
        elif isinstance(module, nn.Embedding):
            assert place.kind == ("attention" if "relative_attention_bias" in key else "embeddings"), key
        elif key.endswith("bias"):
            assert place.kind == "biases", key
        else:
            assert place.kind not in ("norms", "biases"), key
            assert place.kind != "embeddings" or place.block == 0, key
        if place.kind == "other":
            assert place.role in OTHER.get(name, set()), key
        if place.kind in ("attention", "mlp") and not place.above:
            of_block.setdefault(place.block, set()).add(f"{place.kind} {place.role}")
    assert max(of_block) == {"albert": 1, "funnel": 3}.get(name, 2), name  # the one of its decoder comes last
    for block in range(1, max(of_block) + 1):
        attention, mlp = ({one.split(" ")[1] for one in of_block[block] if one.startswith(k)} for k in ("att", "mlp"))
        assert (
            name in NO_ATTENTION
            or attention >= ROLES["attention"]
            or attention >= ROLES["fused"]
            or (name in ("longformer", "luke", "mobilebert", "convbert") and len(attention) >= 4)
        ), (name, attention)
        assert mlp in (ROLES["mlp"], ROLES["gated"], ROLES["fused and gated"]), (name, mlp)


@torch.no_grad()
def check_blocks(name: str, backbone: nn.Module, places: dict[str, WeightPlace]) -> None:
    """The first layer that a weight changes is its block's; of shared ones it is the first that reads them."""
    ids = torch.arange(5, 21)[None]
    moved: set[int] = set()

    def hidden() -> list[np.ndarray]:
        return [one.numpy().copy() for one in backbone(input_ids=ids, output_hidden_states=True).hidden_states]

    before = hidden()
    for key, parameter in backbone.named_parameters():
        if re.search(r"(key|\bk|k_lin|k_proj|k_head)\.bias$", key):  # softmax takes it out again, but for rounding
            continue
        place = places[key]
        kept = parameter.clone()
        parameter.add_(torch.randn_like(parameter) * 0.5)
        after = hidden()
        parameter.copy_(kept)
        sizes = [float(np.abs(a - b).max() / np.abs(a).max()) for a, b in zip(before, after, strict=True)]
        first = next((layer for layer, size in enumerate(sizes) if size > 0), None)
        if first is None:  # of inputs that texts do not have (entities, second halves), or that cancel out
            continue
        shared = place.block == 0 and re.search(r"rel_embeddings|relative_attention_bias|embed_positions|mask_emb", key)
        assert first == place.block or (shared and first == 1), (name, key, place, first)
        moved.add(first)
    assert moved >= ({0, 1} if name == "albert" else {0, 1, 2}), name


@pytest.mark.parametrize("name", FAST)
def test_blocks_are_those_that_change_first(name: str, tiny_models: ModuleType, tmp_path: Path) -> None:
    check(name, tower(tiny_models, name, tmp_path))


@pytest.mark.slow
def test_blocks_of_all_other_architectures(tiny_models: ModuleType, tmp_path: Path) -> None:
    names = [name for name in tiny_models.NAMES if name not in FAST]
    assert len(names) + len(FAST) == 42
    for name in names:
        check(name, tower(tiny_models, name, tmp_path / name))


def test_what_is_stored_the_other_way_round(tiny_models: ModuleType, tmp_path: Path) -> None:
    backbone = tower(tiny_models, "gpt2", tmp_path)
    assert isinstance(backbone.get_submodule("h.0.attn.c_attn"), Conv1D)
    inside = {f"h.{i}.{one}.weight" for i in (0, 1) for one in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")}
    assert transposed_weights(backbone) == inside | {"wte.weight", "wpe.weight"}
