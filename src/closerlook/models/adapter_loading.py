"""A PEFT adapter on disk, folded into the weights of the encoder that it belongs to.

What an adapter changes is known by the names in its file, not by its configuration: the same adapter fits the bare
encoder, whatever head it was trained under. Nothing of it is left out silently: every tensor is either of the encoder,
or of what stands above it (the head).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from torch import Tensor, nn
from transformers import PreTrainedModel

from closerlook.models.encoder_settings import ModelSettings
from closerlook.models.model_error import ModelError
from closerlook.models.model_source import ADAPTER_CONFIG, adapter_config, first_line, local_folder

_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
_PEFT_PREFIX = "base_model.model."
_NO_WEIGHTS = ("PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "MULTITASK_PROMPT_TUNING", "ADAPTION_PROMPT", "CPT")
"""Kinds that add virtual subwords instead of changing weights: an example's vectors would not be its own."""


def adapter_folder(settings: ModelSettings) -> Path | None:
    """The folder of the adapter that the settings name, fetched from the hub if need be; None = there is none.

    Raises:
        ModelError: It is no adapter, or out of reach.
    """
    if settings.adapter is None:
        return None
    folder = local_folder("adapter", settings.adapter)
    if folder is None:
        hub_id, _, revision = settings.adapter.partition("@")
        patterns = [ADAPTER_CONFIG, *_WEIGHTS, "tokenizer*", "special_tokens*", "added_tokens*"]
        try:
            folder = Path(snapshot_download(hub_id, revision=revision or None, allow_patterns=patterns))
        except Exception as error:  # the hub client raises whatever its HTTP library raises
            raise ModelError(
                f"model.adapter={settings.adapter} is no folder, and the hub does not give it ({first_line(error)})"
            ) from error
    if not (folder / ADAPTER_CONFIG).is_file():
        raise ModelError(f"{folder} is no PEFT adapter: it has no {ADAPTER_CONFIG}")
    return folder


def fold_adapter(tower: PreTrainedModel, folder: Path, name: str) -> tuple[PreTrainedModel, list[str]]:
    """Add an adapter to the weights of its encoder.

    Args:
        tower: The encoder that it was trained on; changed.
        folder: The adapter's folder.
        name: The model's name, for errors.

    Returns:
        The encoder, without a trace of the adapter's modules; and sentences for the user about what was left out.

    Raises:
        ModelError: ``peft`` is not installed, the adapter adds virtual subwords, cannot be read, is damaged, or does
            not fit the encoder.
    """
    kind = str(adapter_config(folder).get("peft_type"))
    if kind in _NO_WEIGHTS:
        raise ModelError(
            f"the adapter in {folder} is of type {kind}, which puts virtual subwords before every text instead of "
            "changing weights; expected one that changes weights, such as LORA"
        )
    own, above = _of_tower(_tensors(folder), tower)
    if not own:
        raise ModelError(
            f"the adapter in {folder} does not fit the encoder of model {name!r}: none of its {len(above)} tensors "
            f"({', '.join(above[:3])}) is of a module of {type(tower).__name__}. Give the base that it was trained on: "
            "model.source=<folder or hub id>"
        )
    state = tower.state_dict()
    whole = {key: value for key, value in own.items() if key in state}  # trained as they are: modules_to_save
    parts = {key: value for key, value in own.items() if key not in state}
    _take_over(tower, state, whole, name)
    folded = _merge(tower, folder, parts, name) if parts else tower
    notes = [f"Tensors of the adapter above the encoder are left out: {', '.join(above[:3])}."] if above else []
    return folded, notes


def _tensors(folder: Path) -> dict[str, Tensor]:
    for file in (folder / name for name in _WEIGHTS):
        if not file.is_file():
            continue
        try:
            if file.suffix == ".bin":
                return torch.load(file, map_location="cpu", weights_only=True)
            from safetensors.torch import load_file

            return load_file(file)
        except Exception as error:  # whatever the readers raise on damaged files
            raise ModelError(f"{file} cannot be read ({first_line(error)}): expected whole tensors") from error
    raise ModelError(f"{folder} has no weights: expected {' or '.join(_WEIGHTS)} beside its {ADAPTER_CONFIG}")


def _of_tower(tensors: dict[str, Tensor], tower: PreTrainedModel) -> tuple[dict[str, Tensor], list[str]]:
    """An adapter's tensors by the names that the bare encoder has for them, and the names of those above it."""
    modules = {name for name, one in tower.named_modules() if name and not isinstance(one, nn.Identity)}  # no pooler
    prefix = _prefix((key.removeprefix(_PEFT_PREFIX) for key in tensors), modules, tower.base_model_prefix)
    own, above = {}, []
    for key, value in tensors.items():
        inner = key.removeprefix(_PEFT_PREFIX)
        if inner.startswith(prefix) and _module_of(inner.removeprefix(prefix), modules):
            own[inner.removeprefix(prefix)] = value
        else:
            above.append(inner)
    return own, above


def _prefix(names: Iterable[str], modules: set[str], usual: str) -> str:
    """What stands before the encoder's names in an adapter that was trained under a head: ``bert.``, ``model.``."""
    names = list(names)
    beginnings = {".".join(name.split(".")[:depth]) + "." for name in names for depth in (1, 2, 3)}
    tried = ["", f"{usual}.", *sorted(beginnings, key=lambda text: (text.count("."), text))]

    def fits(prefix: str) -> int:
        return sum(name.startswith(prefix) and bool(_module_of(name[len(prefix) :], modules)) for name in names)

    return max(tried, key=fits)


def _module_of(name: str, modules: set[str]) -> str:
    """The longest beginning of a tensor's name that is a module of the encoder, below its top; else empty."""
    parts = name.split(".")
    found = (".".join(parts[:depth]) for depth in range(len(parts) - 1, 0, -1))
    return next((one for one in found if one in modules), "")


def _take_over(tower: PreTrainedModel, state: dict[str, Tensor], whole: dict[str, Tensor], name: str) -> None:
    for key, value in whole.items():
        if value.shape != state[key].shape:
            raise ModelError(
                f"the adapter of model {name!r} does not fit its base: got {key} of shape {tuple(value.shape)}, "
                f"expected {tuple(state[key].shape)}. Give the base that it was trained on: model.source=..."
            )
    tower.load_state_dict(whole, strict=False)


def _merge(tower: PreTrainedModel, folder: Path, parts: dict[str, Tensor], name: str) -> PreTrainedModel:
    try:
        from peft import PeftConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
    except ImportError as error:
        raise ModelError("PEFT adapters need the package peft: pip install peft") from error
    modules = {key for key, _ in tower.named_modules() if key}
    targets = sorted({_module_of(key, modules) for key in parts})
    try:
        config = PeftConfig.from_pretrained(str(folder))
        adapted = PeftModel(tower, _for_tower(config, targets))
        named = {f"{_PEFT_PREFIX}{key}": value for key, value in parts.items()}
        set_peft_model_state_dict(adapted, named)
        put = get_peft_model_state_dict(adapted)
    except Exception as error:  # whatever peft raises on what does not fit
        raise ModelError(
            f"the adapter in {folder} does not fit the encoder of model {name!r}: {type(error).__name__}: "
            f"{first_line(error)}. Give the base that it was trained on: model.source=<folder or hub id>"
        ) from error
    _refuse_unequal(put, named, name)
    merged: Any = adapted.merge_and_unload(safe_merge=True)
    return merged.eval()


def _for_tower(config: Any, targets: list[str]) -> Any:
    """An adapter's configuration for the bare encoder: the modules by name, and no head."""
    changes: dict[str, Any] = {"target_modules": targets, "task_type": None, "inference_mode": True}
    for key in ("modules_to_save", "layers_to_transform", "layers_pattern", "exclude_modules", "target_parameters"):
        if hasattr(config, key):
            changes[key] = None
    if hasattr(config, "feedforward_modules"):  # IA3: which of them scale their input
        wanted = config.feedforward_modules or []
        wanted = [wanted] if isinstance(wanted, str) else wanted
        changes["feedforward_modules"] = [one for one in targets if one.endswith(tuple(wanted))] if wanted else []
    return replace(config, **changes)


def _refuse_unequal(put: dict[str, Tensor], wanted: dict[str, Tensor], name: str) -> None:
    """Nothing of the adapter may stay as it was made, or be left out: peft only warns of it.

    Raises:
        ModelError: Something is.
    """
    missing = sorted(set(wanted) - set(put))
    random = sorted(set(put) - set(wanted))
    unequal = sorted(
        key for key in set(put) & set(wanted) if not torch.equal(put[key].cpu(), wanted[key].to(put[key].dtype))
    )
    for what, keys in (("are not taken", missing), ("are missing in its file", random), ("differ", unequal)):
        if keys:
            raise ModelError(
                f"the adapter of model {name!r} does not fit: {len(keys)} tensors {what} ({', '.join(keys[:3])}). "
                "Save it again with `model.save_pretrained(folder)`"
            )
