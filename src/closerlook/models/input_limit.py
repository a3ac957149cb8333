"""The longest input an encoder takes: decided here and nowhere else."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from closerlook.models.model_error import ModelError

_NOT_KNOWN = 10**9
"""transformers writes 1e30 for a tokenizer whose limit is not known."""


def position_limit(backbone: PreTrainedModel) -> int | None:
    """The most subwords that an encoder has positions for; None where positions are relative.

    A table of learned positions decides where there is one: its rows, less those that no subword gets (RoBERTa
    counts from its padding index on, BART and OPT from 2). Otherwise it is what the configuration says.
    """
    config = backbone.config.get_text_config()
    said = int(getattr(config, "max_position_embeddings", None) or -1)
    tables = [_rows(module) for name, module in backbone.named_modules() if _is_position_table(name, module)]
    if tables and said > 0:
        return min(*tables, said)
    if tables:
        return min(tables)
    relative = getattr(config, "relative_attention", False) or said < 1
    return None if relative else said


def _is_position_table(name: str, module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    positions = "position" in name or name.split(".")[-1] == "wpe"
    return positions and "Embedding" in type(module).__name__ and isinstance(weight, Tensor) and weight.ndim == 2


def _rows(table: Any) -> int:
    padding = getattr(table, "padding_idx", None)
    return len(table.weight) - (padding + 1 if padding is not None else int(getattr(table, "offset", 0)))


def input_limit(wanted: int | None, positions: int | None, tokenizer: PreTrainedTokenizerFast) -> int | None:
    """The most subwords that an input may have, special ones included; None = no limit.

    Args:
        wanted: ``task.max_length``; None takes what the encoder and its tokenizer were made for.
        positions: The encoder's own limit.
        tokenizer: Its tokenizer.

    Raises:
        ModelError: More is wanted than the encoder has positions for.
    """
    if wanted is not None and positions is not None and wanted > positions:
        raise ModelError(
            f"task.max_length={wanted} is more than the {positions} subwords that the encoder takes: "
            "expected at most that many; leave it null for all of them"
        )
    if wanted is not None:
        return wanted
    known = [n for n in (positions, int(tokenizer.model_max_length)) if n is not None and n < _NOT_KNOWN]
    return min(known, default=None)
