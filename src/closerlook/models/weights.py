"""The weights of an encoder as arrays by name: what is compared between two moments or two models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from closerlook.models.adapters import plain_weights


@dataclass(frozen=True)
class EncoderWeights:
    """The weights of an encoder.

    Attributes:
        arrays: By name, float32; without buffers, which are computed and not learned.
        transposed: Names of those that are stored as (inputs, outputs).
    """

    arrays: Mapping[str, NDArray[Any]]
    transposed: frozenset[str]


def encoder_weights(backbone: PreTrainedModel) -> EncoderWeights:
    """The weights of an encoder, adapters added to them, copied: the encoder may be changed afterwards.

    Args:
        backbone: The part of a model that reads text.
    """
    buffers = {name for name, _ in backbone.named_buffers()}
    state = {name: value for name, value in plain_weights(backbone).items() if name not in buffers}
    arrays = {name: value.detach().float().cpu().numpy().copy() for name, value in state.items()}
    return EncoderWeights(arrays, transposed_weights(backbone))


def transposed_weights(backbone: nn.Module) -> frozenset[str]:
    """Names of the weights that are stored as (inputs, outputs): the other way round than ``nn.Linear``.

    GPT-2's ``Conv1D``; tables of embeddings, which map ids to vectors; the three-dimensional ones of XLNet and Funnel
    (hidden size, heads, size of a head), except for the output's.
    """
    found = set()
    for path, module in backbone.named_modules():
        for name, value in module.named_parameters(recurse=False):
            whole = f"{path}.{name}".lstrip(".")
            by_heads = value.ndim == 3 and not isinstance(module, (nn.Conv1d, nn.Conv2d)) and name != "o"
            if (value.ndim == 2 and isinstance(module, (Conv1D, nn.Embedding))) or by_heads:
                found.add(whole)
    return frozenset(found)
