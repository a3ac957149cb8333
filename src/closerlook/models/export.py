"""A tuned encoder as a folder of Hugging Face transformers, with its head where a class of theirs has room for it."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from closerlook.data.batching import Batch
from closerlook.models.adapters import plain_weights
from closerlook.models.encoder import PooledEncoder

HEAD_WEIGHTS_FILE = "head.safetensors"
"""The head of an encoder that is exported without a classification class: ``weight``, ``bias``."""

_CLASSES = {"sentence": AutoModelForSequenceClassification, "word": AutoModelForTokenClassification}
_SCALE = 2.0**-16
"""What the layer between the class token and the classifier multiplies by: there tanh and gelu are linear to float32's
precision, and powers of two are exact."""

_FACTORS = (0.5, 1 / _SCALE)
"""What else a layer in between may make of the logits: gelu's slope at 0; or it is not in use, like a pooler."""

_TOLERANCE = 1e-4
"""Share of the largest logit by which the folder's logits may differ from the run's own."""
_NEAR = 0.02
"""How near a factor must be to a known one to be tried."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        kind: The class that reads the folder, e.g. ``AutoModelForSequenceClassification``.
        reason: Why it is no classification class; empty when it is one.
        difference: The largest difference between its logits and the run's own; None without logits.
    """

    kind: str
    reason: str = ""
    difference: float | None = None


class _NoFitError(Exception):
    """The classification class of a model does not compute what the run's head does; the message says why."""


def save_model(
    folder: Path,
    encoder: PooledEncoder,
    head: nn.Linear,
    tokenizer: PreTrainedTokenizerFast,
    label_names: Sequence[str],
    batches: Sequence[Batch],
) -> Exported:
    """Write a folder that ``from_pretrained`` and ``pipeline`` read.

    Where a classification class of transformers has room for the head, the folder is of that class, and what it
    answers is compared with the run's own logits before it is kept. Elsewhere it is the encoder alone, with the head
    beside it.

    Args:
        folder: An empty folder.
        encoder: The tuned encoder, in evaluation mode.
        head: (n_classes, n_features) the tuned head.
        tokenizer: The tokenizer.
        label_names: Names of the classes, in the order of the head's rows.
        batches: Texts to compare the logits on.

    Raises:
        OSError: The folder cannot be written.
    """
    weights = {name: value.detach().cpu().contiguous() for name, value in plain_weights(encoder.backbone).items()}
    config = copy.deepcopy(encoder.backbone.config)
    config.id2label = dict(enumerate(label_names))
    config.label2id = {name: number for number, name in enumerate(label_names)}
    try:
        exported = _save_classifier(folder, encoder, head, config, weights, batches)
    except _NoFitError as why:
        exported = _save_encoder(folder, encoder, head, config, weights, str(why))
    copy.deepcopy(tokenizer).save_pretrained(folder)
    _save_pooling(folder, encoder)
    return exported


def _save_classifier(
    folder: Path,
    encoder: PooledEncoder,
    head: nn.Linear,
    config: Any,
    weights: dict[str, Tensor],
    batches: Sequence[Batch],
) -> Exported:
    if encoder.level not in _CLASSES:
        raise _NoFitError("no class of transformers classifies pairs of words")
    factory = _CLASSES[encoder.level]
    with torch.device("meta"):  # nothing is drawn, nothing is copied
        try:
            model = factory.from_config(config)
        except ValueError as error:
            raise _NoFitError(
                f"transformers has no {factory.__name__} for {type(encoder.backbone).__name__}"
            ) from error
    own, bias = _logits(encoder, head, batches), head.bias.detach().float().cpu()
    scale = _SCALE
    while True:
        model.load_state_dict(_state(model, encoder, head, weights, scale), assign=True)
        model.save_pretrained(folder)
        found = _logits_of(factory.from_pretrained(folder), encoder, batches)
        difference = float((found - own).abs().max())
        if difference <= _TOLERANCE * max(1.0, float(own.abs().max())):
            return Exported(factory.__name__, difference=difference)
        factor = float(((found - bias) * (own - bias)).sum() / (own - bias).square().sum())
        near = next((one for one in _FACTORS if abs(factor / one - 1) < _NEAR), None)
        if near is None or scale != _SCALE:
            raise _NoFitError(f"{type(model).__name__} does more between encoder and head than the run's classifier")
        scale *= near


def _state(
    model: PreTrainedModel, encoder: PooledEncoder, head: nn.Linear, weights: dict[str, Tensor], scale: float
) -> dict[str, Tensor]:
    """The weights of a classification model that computes what encoder and head do.

    Raises:
        _NoFitError: It has a layer that the head cannot be put into.
    """
    base = f"{model.base_model_prefix}."
    layers = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    shape = head.weight.shape
    ends = [name for name, layer in layers.items() if layer.weight.shape == shape and not name.startswith(base)]
    if len(ends) != 1 or layers[ends[0]].bias is None:
        raise _NoFitError(f"{type(model).__name__} has no classifier with a bias, the run's head has one")
    (end,) = ends
    state: dict[str, Tensor] = {}
    between = False
    for name, wanted in model.state_dict().items():
        layer, _, kind = name.rpartition(".")
        inner = name.removeprefix(base) if name.startswith(base) else None
        if inner in weights:
            state[name] = weights[inner]
        elif layer in layers and layer != end and kind == "weight" and wanted.shape[0] == wanted.shape[1]:
            state[name] = torch.eye(wanted.shape[0]) * _SCALE
            between = True
        elif layer in layers and layer != end and kind == "bias":
            state[name] = torch.zeros(wanted.shape)
        elif layer != end:
            raise _NoFitError(f"{type(model).__name__} has a layer that the run's classifier has not ({name})")
    if not between:
        scale = 1.0
    weight, bias = (value.detach().float().cpu() for value in (head.weight, head.bias))
    return state | {f"{end}.weight": weight / scale, f"{end}.bias": bias.clone()}


@torch.no_grad()
def _logits(encoder: PooledEncoder, head: nn.Linear, batches: Sequence[Batch]) -> Tensor:
    device = head.weight.device
    return torch.cat([head(encoder(batch.to(device))).float().cpu() for batch in batches])


@torch.no_grad()
def _logits_of(model: PreTrainedModel, encoder: PooledEncoder, batches: Sequence[Batch]) -> Tensor:
    """What a classification model answers; the logits of a word are the mean of its subwords'."""
    found = []
    for batch in batches:
        inputs = {name: getattr(batch, name) for name in ("input_ids", *encoder.facts.inputs)}
        logits = model.eval()(**inputs).logits
        found.append(encoder.pool(logits, batch) if encoder.level == "word" else logits[batch.target_rows])
    return torch.cat(found)


def _save_encoder(
    folder: Path, encoder: PooledEncoder, head: nn.Linear, config: Any, weights: dict[str, Tensor], reason: str
) -> Exported:
    for file in folder.iterdir():
        file.unlink()
    with torch.device("meta"):
        model = AutoModel.from_config(config)
    # the encoder of an encoder-decoder keeps its name in there: AutoModel then finds it, and closerlook only it
    tower = type(encoder.backbone)
    prefix = next((f"{name}." for name, module in model.named_modules() if type(module) is tower and name), "")
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    named = {f"{prefix}{name}": value for name, value in weights.items()}
    save_file(_unshared(named), folder / "model.safetensors", metadata={"format": "pt"})
    own = {name: value.detach().float().cpu() for name, value in head.named_parameters()}
    save_file(own, folder / HEAD_WEIGHTS_FILE)
    return Exported("AutoModel", reason)


def _unshared(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tied weights as copies: the format refuses tensors that share memory."""
    seen: set[int] = set()
    found = {}
    for name, value in weights.items():
        found[name] = value.clone() if value.data_ptr() in seen else value
        seen.add(value.data_ptr())
    return found


def _save_pooling(folder: Path, encoder: PooledEncoder) -> None:
    """Say how a sentence's vector is read, in the way of sentence-transformers: it reads the folder, too."""
    pooling = encoder.sentence_pooling
    if pooling is None:
        return
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules, indent=2), encoding="utf-8")
    (folder / "1_Pooling").mkdir()
    flags = {f"pooling_mode_{name}": name.startswith(pooling) for name in ("cls_token", "mean_tokens", "lasttoken")}
    content = {"word_embedding_dimension": encoder.facts.hidden_size, **flags}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(content, indent=2), encoding="utf-8")
