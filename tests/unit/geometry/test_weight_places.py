"""Names of weights read as places: the roles that models share, and what nobody has a rule for."""

from __future__ import annotations

import pytest

from closerlook.geometry.weight_places import KINDS, WeightPlace, weight_places

PLACES = {
    "embeddings.word_embeddings.weight": (0, "embeddings.word_embeddings", False),
    "embeddings.LayerNorm.bias": (0, "norms", False),
    "encoder.layer.3.attention.self.query.weight": (2, "attention.query", False),
    "encoder.layer.3.attention.output.dense.weight": (2, "attention.output", False),
    "encoder.layer.3.attention.output.dense.bias": (2, "biases", False),
    "encoder.layer.3.attention.output.LayerNorm.weight": (2, "norms", False),
    "encoder.layer.3.output.dense.weight": (2, "mlp.down", False),
    "encoder.layer.0.intermediate.dense.weight": (1, "mlp.up", False),
    "encoder.layer.0.surprise.weight": (1, "other.surprise", False),
    "pooler.dense.weight": (2, "other.pooler.dense", True),
    "final_norm.weight": (2, "norms", True),
}


def test_places_and_labels() -> None:
    found = weight_places(PLACES)
    assert {name: (one.block, one.label, one.above) for name, one in found.items()} == PLACES


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("h.0.attn.c_attn.weight", "attention.query+key+value"),
        ("h.0.attn.c_proj.weight", "attention.output"),
        ("h.0.mlp.c_proj.weight", "mlp.down"),
        ("layers.0.self_attn.q_proj.weight", "attention.query"),
        ("layers.0.post_attention_layernorm.weight", "norms"),
        ("layers.0.mlp.gate_proj.weight", "mlp.gate"),
        ("encoder.block.0.layer.0.SelfAttention.o.weight", "attention.output"),
        ("encoder.block.0.layer.1.DenseReluDense.wi_0.weight", "mlp.gate"),
        ("transformer.layer.0.ffn.lin2.weight", "mlp.down"),
        ("transformer.h.0.self_attention.query_key_value.weight", "attention.query+key+value"),
        ("model.layers.0.block_sparse_moe.experts.3.w1.weight", "mlp.block_sparse_moe.experts.3.w1"),
    ],
)
def test_one_role_whatever_models_call_it(name: str, label: str) -> None:
    assert weight_places([name])[name].label == label


def test_two_weights_of_a_block_never_share_a_label() -> None:
    found = weight_places(["layer.0.attn.query.weight", "layer.0.cross_attn.query.weight", "layer.0.mlp.fc1.weight"])
    labels = [one.label for one in found.values()]
    assert labels == ["attention.attn.query", "attention.cross_attn.query", "mlp.up"]


def test_no_names_no_places() -> None:
    assert weight_places([]) == {}
    assert WeightPlace(1, "norms", "x").kind in KINDS
