"""The tokenizer of an encoder: whole, fast, and of the same vocabulary as the encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from torch import nn
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from closerlook.models.adapter_loading import adapter_folder
from closerlook.models.backbone_loading import from_pretrained
from closerlook.models.encoder_settings import ModelSettings
from closerlook.models.model_error import ModelError
from closerlook.models.model_source import local_folder

_FEW_ROWS = 0.8
"""A tokenizer with fewer ids than this share of the embedding's rows is probably another model's."""


def load_tokenizer(settings: ModelSettings, target: Path | str) -> PreTrainedTokenizerFast:
    """The tokenizer in the model's folder, or the one that ``model.tokenizer`` names.

    Raises:
        ModelError: There is none, it cannot be read, it is not a fast one, or it knows no word.
    """
    if source := settings.tokenizer:
        target = local_folder("tokenizer", source) or source
        settings = replace(settings, source=source, revision=None)  # the revision is the model's
    elif (adapter := adapter_folder(settings)) and (adapter / "tokenizer.json").is_file():
        target = adapter  # it may have added tokens to the base's
    tokenizer = from_pretrained(AutoTokenizer, target, settings, use_fast=True)
    require_fast(tokenizer, settings.name)
    if not _ordinary_ids(tokenizer):  # transformers makes an empty one where the files are missing
        raise ModelError(
            f"model {settings.name!r} has no tokenizer: got one of {len(tokenizer)} special tokens and no word from "
            f"{target}; expected a tokenizer.json there. Save it with `tokenizer.save_pretrained(folder)`, or name the "
            "model that it comes from: model.tokenizer=<folder or hub id>"
        )
    return tokenizer


def require_fast(tokenizer: Any, name: str) -> None:
    """Refuse a tokenizer that does not say which characters its subwords are of.

    Raises:
        ModelError: It is none of the fast ones.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"the tokenizer of {name!r} has no fast version, got {type(tokenizer).__name__}. "
            "Words and subwords can only be aligned with one: add a tokenizer.json to the model"
        )


def check_vocabulary(
    tokenizer: PreTrainedTokenizerFast, backbone: PreTrainedModel, name: str
) -> tuple[int | None, list[str]]:
    """The number of ids the encoder has vectors for (None where it has no such table), and what is odd about it.

    Special tokens may have none (T5's ``<extra_id_0>``, an added padding token): texts do not hold them.

    Raises:
        ModelError: The tokenizer gives ids for which the encoder has no vector.
    """
    try:
        n_rows = len(cast(nn.Embedding, backbone.get_input_embeddings()).weight)
    except NotImplementedError:
        return None, []
    ids = _ordinary_ids(tokenizer)
    if max(ids) >= n_rows:
        token = tokenizer.convert_ids_to_tokens(max(ids))
        raise ModelError(
            f"the tokenizer of model {name!r} is not the encoder's: it gives ids up to {max(ids)} ({token!r}), the "
            f"encoder has vectors for {n_rows}. Give the one that belongs to it with model.tokenizer=<folder or hub id>"
        )
    if max(ids) + 1 < _FEW_ROWS * n_rows:
        return n_rows, [
            f"Warning: the tokenizer has {max(ids) + 1:,} ids, the encoder {n_rows:,} vectors: is it the encoder's?"
        ]
    return n_rows, []


def _ordinary_ids(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Ids of the tokens that texts are made of."""
    added = tokenizer.added_tokens_encoder.keys() | set(tokenizer.all_special_tokens)
    return [number for token, number in tokenizer.get_vocab().items() if token not in added]
