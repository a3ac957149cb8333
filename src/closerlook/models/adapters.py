"""Low-rank adapters (LoRA) in an encoder, by peft."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from closerlook.models.method_settings import MethodSettings
from closerlook.models.model_error import ModelError
from closerlook.models.model_source import first_line

if TYPE_CHECKING:
    from peft.tuners.lora import LoraLayer
    from transformers import PreTrainedModel

_ALL_LINEAR = "all-linear"


def add_adapters(backbone: PreTrainedModel, method: MethodSettings, seed: int) -> None:
    """Put adapters into an encoder, in place; they change nothing before they are trained. All else is frozen.

    Args:
        backbone: The encoder.
        method: ``rank``, ``alpha``, ``dropout`` and ``targets`` are read.
        seed: Seeds the adapters; other random numbers are as without them.

    Raises:
        ModelError: peft is missing, or no module has such a name.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model  # seconds to load
    except ImportError as error:
        raise ModelError("method=lora needs the package peft, which is missing. Run `pip install peft`") from error
    targets = method.targets or _known_targets(backbone)
    sizes: dict[str, Any] = {"r": method.rank, "lora_alpha": method.alpha, "lora_dropout": method.dropout}
    config = LoraConfig(**sizes, target_modules=targets if isinstance(targets, str) else list(targets))
    try:
        with torch.random.fork_rng(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="fan_in_fan_out is set to")  # it sets it right by itself
            torch.manual_seed(seed)
            inject_adapter_in_model(config, backbone)
    except (ValueError, NotImplementedError) as error:
        kinds = ("Linear", "Conv1D", "Conv1d")  # Conv1D is GPT-2's linear layer
        linear = sorted({n.rpartition(".")[2] for n, m in backbone.named_modules() if type(m).__name__ in kinds})
        raise ModelError(
            f"method.targets={targets}: {type(backbone).__name__} cannot be given adapters there: {first_line(error)}. "
            f"Expected names of its linear modules: {', '.join(linear) or 'it has none'}"
        ) from error


def _known_targets(backbone: PreTrainedModel) -> Any:
    """What peft adapts in this architecture: query and value in most; all linear modules where it knows none."""
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as KNOWN

    names = KNOWN.get(backbone.config.model_type)
    modules = {name.rpartition(".")[2] for name, _ in backbone.named_modules()}
    return names if isinstance(names, list) and modules & set(names) else _ALL_LINEAR


def adapted_modules(backbone: nn.Module) -> dict[str, LoraLayer]:
    """The modules that have adapters, by name."""
    if not any("lora_A" in name for name, _ in backbone.named_modules()):
        return {}  # without peft, which takes seconds to load
    from peft.tuners.lora import LoraLayer

    return {name: module for name, module in backbone.named_modules() if isinstance(module, LoraLayer)}


def plain_weights(backbone: nn.Module) -> dict[str, Tensor]:
    """The weights under the names that the encoder has without adapters, each matrix with its update added."""
    adapted, found = adapted_modules(backbone), {}
    for name, value in backbone.state_dict().items():
        owner = next((one for one in adapted if name.startswith(f"{one}.")), None)
        if owner is None:
            found[name] = value
        elif (inner := name.removeprefix(f"{owner}.")).startswith("base_layer."):
            kind = inner.removeprefix("base_layer.")
            module: Any = adapted[owner]
            updates = [module.get_delta_weight(one) for one in module.active_adapters]
            found[f"{owner}.{kind}"] = value + sum(updates) if kind == "weight" else value
    return found


def fold_adapters(backbone: nn.Module) -> None:
    """Add the updates to the matrices and take the adapters out, in place: a plain encoder that computes the same."""
    for name, module in adapted_modules(backbone).items():
        module.merge()
        parent, _, child = name.rpartition(".")
        setattr(backbone.get_submodule(parent), child, module.get_base_layer())
