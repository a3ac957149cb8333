"""What of an encoder is trained: all of it, nothing, its biases, adapters, or its upper blocks."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from closerlook.models.adapters import add_adapters
from closerlook.models.blocks import depth_of
from closerlook.models.encoder import PooledEncoder
from closerlook.models.method_settings import MethodSettings, check_method
from closerlook.models.model_error import ModelError


@dataclass(frozen=True)
class WeightCounts:
    """How many numbers a model has, and how many of them are trained."""

    total: int
    trained: int


def apply_method(encoder: PooledEncoder, method: MethodSettings, *, seed: int) -> None:
    """Let those weights of an encoder be trained that the method trains, and freeze the others, in place.

    Args:
        encoder: The encoder, as it was loaded.
        method: The method.
        seed: Seeds the adapters of ``lora``.

    Raises:
        ModelError: The encoder has nothing to train by this method.
    """
    check_method(method)
    backbone = encoder.backbone
    if method.name in ("full", "lp_ft"):
        return
    encoder.requires_grad_(False)
    if method.name == "lora":
        add_adapters(backbone, method, seed)
    elif method.name == "bitfit":
        _train_biases(backbone)
    elif method.name == "top_layers":
        _train_top(encoder, method.n_layers or 0)


def _train_biases(backbone: nn.Module) -> None:
    biases = [p for name, p in backbone.named_parameters() if name.rpartition(".")[2].endswith("bias")]
    if not biases:
        raise ModelError(
            f"method=bitfit has nothing to train: {type(backbone).__name__} has no biases (as Llama and T5 have none). "
            "Expected a model with biases; choose method=lora, top_layers or full"
        )
    for bias in biases:
        bias.requires_grad_(True)


def _train_top(encoder: PooledEncoder, n: int) -> None:
    if n > encoder.n_layers:
        raise ModelError(f"method.n_layers={n}: expected 1 to {encoder.n_layers}, the blocks of this encoder")
    parameters = dict(encoder.backbone.named_parameters())
    depths = depth_of(parameters, encoder.backbone, encoder.n_layers, encoder.facts.final_norm)
    for name, parameter in parameters.items():
        parameter.requires_grad_(depths[name] > encoder.n_layers - n)


def count_weights(module: nn.Module) -> WeightCounts:
    """The weights of a model, those that are used twice counted once."""
    parameters = list(module.parameters())
    return WeightCounts(sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if p.requires_grad))
