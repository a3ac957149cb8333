"""Which block of an encoder a weight belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable

from torch import nn

from closerlook.models.model_error import ModelError


def depth_of(names: Iterable[str], backbone: nn.Module, n_layers: int, final_norm: str | None = None) -> dict[str, int]:
    """How deep each weight lies.

    Args:
        names: Names of weights in the backbone, those of adapters too.
        backbone: The encoder.
        n_layers: Its blocks.
        final_norm: Name of the norm after the last block; see :class:`closerlook.models.encoder_check.EncoderFacts`.

    Returns:
        By name, 0 for the embeddings and whatever else blocks share, L for block L, ``n_layers + 1`` for the norm
        above all blocks.

    Raises:
        ModelError: The blocks cannot be told apart: they share their weights (ALBERT).
    """
    lists = [name for name, module in backbone.named_modules() if _is_list(module, n_layers)]
    if not lists:
        raise ModelError(
            f"the {n_layers} blocks of {type(backbone).__name__} cannot be told apart: got no list of {n_layers} "
            "modules (they share their weights, as in ALBERT?). Choose a method that does not count blocks "
            "(method=full, head, bitfit or lora) and finetuning.layer_decay=null"
        )
    inside = re.compile(rf"^(?:{'|'.join(map(re.escape, lists))})\.(\d+)\.")
    above = f"{final_norm}." if final_norm else None
    found = {}
    for name in names:
        if match := inside.match(name):
            found[name] = int(match[1]) + 1
        else:
            found[name] = n_layers + 1 if above and name.startswith(above) else 0
    return found


def _is_list(module: nn.Module, length: int) -> bool:
    return isinstance(module, nn.ModuleList) and len(module) == length
