"""The weights of an encoder: every one of them from its file, or an error."""

from __future__ import annotations

import pickle  # its errors only
import re
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedModel

from closerlook.models.encoder_settings import ModelSettings
from closerlook.models.model_error import ModelError
from closerlook.models.model_source import first_line

_N_SHOWN = 3


@dataclass(frozen=True)
class _Loaded:
    """What transformers made of a file of weights.

    Attributes:
        tower: The part that reads text.
        missing: Weights of the tower that the file does not have: they are random.
        unexpected: Weights of the file that the model does not have.
        mismatched: Weights whose shapes differ, as transformers lists them.
    """

    tower: PreTrainedModel
    missing: list[str]
    unexpected: list[str]
    mismatched: list[Any]


def load_backbone(settings: ModelSettings, target: Path | str, seed: int) -> tuple[PreTrainedModel, list[str]]:
    """The part of a model that reads text, in evaluation mode, float32; and what was odd about its weights.

    Raises:
        ModelError: The configuration or the weights cannot be read, or do not fit each other.
    """
    extra = {"attn_implementation": settings.attn_implementation} if settings.attn_implementation else {}
    if settings.random_init:
        config = from_pretrained(AutoConfig, target, settings)
        with torch.random.fork_rng(), _one_error(settings):
            torch.manual_seed(seed)
            return _text_tower(AutoModel.from_config(config, **extra))[0].eval(), []
    loaded, notes = _load(settings, target, extra), []
    if loaded.missing and (prefix := _foreign_prefix(loaded, settings)):
        loaded = _load(settings, target, extra | {"key_mapping": {f"^{re.escape(prefix)}": ""}})
        notes.append(f"The names of the weights began with {prefix!r}, which was taken off.")
    _refuse_unfit(loaded, settings)
    if extra_blocks := _of_other_blocks(loaded):
        notes.append(
            f"Warning: {len(extra_blocks)} weights are of blocks that config.json does not have, and are left out: "
            f"{_shown(extra_blocks)}."
        )
    return loaded.tower.eval(), notes


def from_pretrained(factory: Any, target: Path | str, settings: ModelSettings, **options: Any) -> Any:
    """``factory.from_pretrained(target)``, with one clear error for whatever goes wrong in it."""
    if isinstance(target, Path) and target.suffix == ".gguf":
        target, options = target.parent, options | {"gguf_file": target.name}
    with _one_error(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Detected pickle protocol")  # of a file that is refused next
        return factory.from_pretrained(
            str(target), revision=settings.revision, trust_remote_code=settings.trust_remote_code, **options
        )


class _one_error:  # noqa: N801 - a context manager, used like a function
    """Turns whatever transformers, safetensors, tokenizers and torch raise on bad files into a `ModelError`."""

    def __init__(self, settings: ModelSettings) -> None:
        self.settings = settings

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, Exception) or isinstance(error, MemoryError):
            return
        place = self.settings.source or self.settings.package
        what = f"model {self.settings.name!r} cannot be loaded from {place}: "
        if isinstance(error, pickle.UnpicklingError):
            raise ModelError(
                f"{what}its .bin file is cut or holds Python objects, got {_unpickler_reason(error)}; expected tensors "
                "only (nothing else is ever unpickled). Download it again, or convert it to model.safetensors where "
                "you trust it"
            ) from error
        if isinstance(error, ImportError):
            raise ModelError(
                f"{what}a Python package is missing: {first_line(error)}. Install it with pip, or choose another model"
            ) from error
        if "trust_remote_code" in str(error):
            raise ModelError(
                f"{what}it comes with Python code of its own, which is not run. If you have read the code and trust "
                "it, set model.trust_remote_code=true; else choose another model"
            ) from error
        raise ModelError(
            f"{what}{type(error).__name__}: {first_line(error)}. Expected whole, readable config.json, tokenizer.json "
            "and model.safetensors (or pytorch_model.bin) that belong together. Copy or download the model again"
        ) from error


def _unpickler_reason(error: Exception) -> str:
    """What torch's long message says that it found."""
    found = re.search(r"(Unsupported .*|Trying to load .*)", str(error))
    return (found[1] if found else first_line(error))[:120].rstrip(". ")


def _load(settings: ModelSettings, target: Path | str, options: dict[str, Any]) -> _Loaded:
    model, info = from_pretrained(
        AutoModel,
        target,
        settings,
        dtype=torch.float32,
        weights_only=True,  # of a .bin file: tensors only, no code is run
        ignore_mismatched_sizes=True,  # they are refused below, by name and shape
        output_loading_info=True,
        **options,
    )
    tower, prefix = _text_tower(model)
    needed = {prefix + name for name in tower.state_dict()}
    return _Loaded(
        tower,
        missing=sorted(needed & set(info["missing_keys"])),
        unexpected=sorted(info["unexpected_keys"]),
        mismatched=[entry for entry in info["mismatched_keys"] if entry[0] in needed],
    )


def text_tower(model: PreTrainedModel) -> PreTrainedModel:
    """The part of a model that reads text: an encoder-decoder's encoder, a multimodal model's language model."""
    # not by config.is_encoder_decoder: an encoder that was saved alone (T5EncoderModel) says false, and comes whole
    encoder_decoder = isinstance(getattr(model, "encoder", None), PreTrainedModel) and hasattr(model, "decoder")
    tower: PreTrainedModel = model.get_encoder() if encoder_decoder else getattr(model, "language_model", model)
    return tower


def _text_tower(model: PreTrainedModel) -> tuple[PreTrainedModel, str]:
    """The part that reads text, made ready for tuning, and its weights' prefix in the model."""
    tower = text_tower(model)
    prefix = next((f"{name}." for name, module in model.named_modules() if module is tower and name), "")
    tower.config.use_cache = False  # of keys and values, for generating text
    if getattr(tower, "pooler", None) is not None:
        tower.pooler = nn.Identity()  # nothing reads it: its weights would get no gradient, which DDP refuses
    return tower, prefix


def _foreign_prefix(loaded: _Loaded, settings: ModelSettings) -> str | None:
    """What stands before the names of most weights, such as ``module.``; None when that is not the matter.

    Raises:
        ModelError: Two prefixes fit equally well: the file holds two encoders.
    """
    missing = set(loaded.missing)
    found: Counter[str] = Counter()
    for name in loaded.unexpected:
        parts = name.split(".")
        found.update(".".join(parts[:i]) + "." for i in range(1, len(parts)) if ".".join(parts[i:]) in missing)
    best = found.most_common(2)
    if len(best) == 2 and best[0][1] == best[1][1]:
        raise ModelError(
            f"the weights of model {settings.name!r} hold more than one encoder: got names that begin with "
            f"{best[0][0]!r} and with {best[1][0]!r}; expected one. Save the one that is meant with "
            "`encoder.save_pretrained(folder)`"
        )
    return best[0][0] if best else None


def _refuse_unfit(loaded: _Loaded, settings: ModelSettings) -> None:
    where = f"the weights of model {settings.name!r} do not fit its config.json: "
    if loaded.mismatched:
        name, found, expected = loaded.mismatched[0]
        raise ModelError(
            f"{where}got {name} of shape {tuple(found)}, expected {tuple(expected)} ({len(loaded.mismatched)} differ). "
            "Give the config.json that was saved with these weights"
        )
    if loaded.missing:
        found = _shown(loaded.unexpected) if loaded.unexpected else "no other names"
        raise ModelError(
            f"{where}{len(loaded.missing)} of {len(loaded.tower.state_dict())} are missing and would stay random: "
            f"{_shown(loaded.missing)}; got instead {found}. Save the model with `model.save_pretrained(folder)`, or "
            "set model.random_init=true if random weights are meant"
        )


def _of_other_blocks(loaded: _Loaded) -> list[str]:
    """Unexpected names that differ from the tower's own in a number only."""
    own = {re.sub(r"\d+", "#", name) for name in loaded.tower.state_dict()}
    return [name for name in loaded.unexpected if any(re.sub(r"\d+", "#", name).endswith(known) for known in own)]


def _shown(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:_N_SHOWN]) + (", ..." if len(names) > _N_SHOWN else "")
