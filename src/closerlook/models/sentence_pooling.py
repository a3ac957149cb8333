"""Which subword vectors stand for a sentence: what the model was made for, unless a setting says otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast
from transformers.utils import cached_file

from closerlook.models.encoder_settings import ModelSettings
from closerlook.models.model_error import ModelError

POOLINGS = ("cls", "mean", "last")
_POOLING_FILE = "1_Pooling/config.json"
_FLAGS = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean", "pooling_mode_lasttoken": "last"}


def recommended_pooling(target: Path | str, settings: ModelSettings) -> str | None:
    """The pooling that a sentence-transformers model was trained with, from its ``1_Pooling/config.json``.

    Args:
        target: The folder of the encoder, or its hub id.
        settings: Which revision.

    Returns:
        ``cls``, ``mean`` or ``last``; None for other models and other poolings.
    """
    if isinstance(target, Path):
        folder = target.parent if not (target / _POOLING_FILE).is_file() else target
        path = folder / _POOLING_FILE if (folder / "modules.json").is_file() else None
    else:
        found = cached_file(
            target,
            _POOLING_FILE,
            revision=settings.revision,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        path = Path(found) if found else None
    if path is None or not path.is_file():
        return None
    try:
        return pooling_of(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, AttributeError) as error:
        raise ModelError(f"{path} cannot be read ({error}); expected the JSON of sentence-transformers") from error


def pooling_of(content: dict[str, Any]) -> str | None:
    """``cls``, ``mean`` or ``last`` by the configuration of a pooling of sentence-transformers; None for another."""
    modes = content.get("pooling_mode")
    named = {str(mode).removesuffix("token") for mode in (modes if isinstance(modes, list | tuple) else [modes])}
    flags = named | {name for flag, name in _FLAGS.items() if content.get(flag)}
    chosen = [pooling for pooling in POOLINGS if pooling in flags]
    return chosen[0] if len(chosen) == 1 and len(flags - {"None"}) == 1 else None


def choose_pooling(
    wanted: str, is_causal: bool, recommended: str | None, tokenizer: PreTrainedTokenizerFast
) -> tuple[str, str]:
    """The pooling of sentences, and why it is that one.

    Args:
        wanted: ``model.sentence_pooling``.
        is_causal: Whether subwords see only those before them.
        recommended: What the model's files recommend.
        tokenizer: Its tokenizer.

    Raises:
        ModelError: There is no such pooling, or the first subword cannot stand for a sentence in this model.
    """
    if wanted not in ("auto", *POOLINGS):
        raise ModelError(
            f"model.sentence_pooling is {wanted!r}; expected auto, cls (the paper), mean or last: set one of them"
        )
    first, last = _ends(tokenizer)
    if wanted == "cls" and is_causal:
        raise ModelError(
            "model.sentence_pooling=cls takes the first subword, which in a causal model sees nothing of the text "
            "after it: got such a model, and texts would share a vector. Set model.sentence_pooling=last, mean or auto"
        )
    if wanted == "cls" and first not in tokenizer.all_special_tokens:
        raise ModelError(
            f"model.sentence_pooling=cls takes the class token, and this tokenizer puts none first: got {first!r}. "
            "Set model.sentence_pooling=mean, last or auto"
        )
    if wanted != "auto":
        return wanted, "as set"
    if recommended:
        return recommended, f"auto: {_POOLING_FILE} says so"
    if is_causal:
        return "last", "auto: a causal model, whose last subword alone has seen the whole text"
    if tokenizer.cls_token is not None and first == tokenizer.cls_token:
        return "cls", f"auto: the class token {first} stands first"
    if tokenizer.cls_token is not None and last == tokenizer.cls_token:
        return "last", f"auto: the class token {last} stands last"
    return "mean", "auto: there is no class token"


def _ends(tokenizer: PreTrainedTokenizerFast) -> tuple[str, str]:
    """The first and the last token of a text."""
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("a text").input_ids)
    return tokens[0], tokens[-1]
