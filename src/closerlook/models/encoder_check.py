"""What an encoder does, found out with two short texts before anything is trained or measured."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from closerlook.models.model_error import ModelError
from closerlook.models.model_source import first_line

_TEXTS = ("A short text.", "A second text, which is a little longer than the first one.")
_TOLERANCE = 1e-4
"""Share of the largest value of a layer by which two ways to the same vector may differ (rounding: about 1e-6)."""

_UNCHANGED = 1e-6
"""The same for vectors that other subwords must not touch at all: untrained attention touches little."""


@dataclass(frozen=True)
class EncoderFacts:
    """What one pass of two texts shows.

    Attributes:
        n_layers: Number of blocks; hidden states go from 0 (embeddings) to ``n_layers``.
        hidden_size: Length of a hidden vector.
        inputs: What the model reads beside token ids: ``attention_mask``, ``token_type_ids``.
        is_causal: A subword's vector knows nothing of the subwords after it.
        pads_safely: A text's vectors are the same alone and beside a longer text.
        final_norm: Name of the norm after the last block, which the other layers do not go through; None = none.
    """

    n_layers: int
    hidden_size: int
    inputs: tuple[str, ...]
    is_causal: bool
    pads_safely: bool
    final_norm: str | None


def inspect_encoder(
    backbone: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, limit: int | None, name: str
) -> EncoderFacts:
    """Run two short texts through an encoder, alone and together.

    Args:
        backbone: The encoder, in evaluation mode.
        tokenizer: Its tokenizer.
        limit: The most subwords that it has positions for.
        name: The model's name, for errors.

    Raises:
        ModelError: It fails, or does not give one vector per subword and layer.
    """
    try:
        return _inspect(backbone, tokenizer, limit, name)
    except ModelError:
        raise
    except Exception as error:  # whatever somebody's forward pass raises
        raise ModelError(
            f"model {name!r} ({type(backbone).__name__}) fails on a short text: {type(error).__name__}: "
            f"{first_line(error)}. Expected an encoder that reads input_ids and gives all hidden states: choose "
            "another model"
        ) from error


@torch.no_grad()
def _inspect(
    backbone: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, limit: int | None, name: str
) -> EncoderFacts:
    parameters = inspect.signature(backbone.forward).parameters
    optional = [n for n in ("attention_mask", "token_type_ids") if n in parameters]
    inputs = tuple(n for n in optional if n == "attention_mask" or n in tokenizer.model_input_names)
    short, long = (tokenizer(text, truncation=False, padding=False).input_ids[:limit] for text in _TEXTS)
    probe = _Probe(backbone, inputs, name)
    alone = probe.hidden([long])
    together = probe.hidden([long, short])
    apart = probe.hidden([short])
    half = len(long) // 2
    changed = probe.hidden([[*long[:half], *long[1 : len(long) - half + 1]]])
    return EncoderFacts(
        n_layers=len(alone) - 1,
        hidden_size=int(alone[-1].shape[-1]),
        inputs=inputs,
        is_causal=_same(changed[-1][0, :half], alone[-1][0, :half], _UNCHANGED),
        pads_safely=all(_same(a[1, : len(short)], b[0]) for a, b in zip(together, apart, strict=True)),
        final_norm=_final_norm(backbone, probe, long),
    )


class _Probe:
    """Runs token ids through an encoder and checks the form of what comes out.

    Args:
        backbone: The encoder.
        inputs: What it reads beside token ids.
        name: The model's name, for errors.
    """

    def __init__(self, backbone: PreTrainedModel, inputs: tuple[str, ...], name: str) -> None:
        self.backbone, self.inputs, self.name = backbone, inputs, name

    def hidden(self, rows: list[list[int]]) -> tuple[Tensor, ...]:
        """All layers of a batch that is padded at its end, each (n_texts, n_subwords, hidden_size)."""
        width = max(map(len, rows))
        device = self.backbone.device  # a model in somebody's training is on a GPU already
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=device)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=device)
        more = {"attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
        output = self.backbone(input_ids=ids, output_hidden_states=True, **{name: more[name] for name in self.inputs})
        layers = output.hidden_states
        self._check(layers, output.last_hidden_state, ids.shape)
        return layers

    def _check(self, layers: tuple[Tensor, ...] | None, last: Tensor, shape: torch.Size) -> None:
        if layers is None:
            raise self._unfit("no hidden states", "those of every layer")
        size = self.backbone.config.get_text_config().hidden_size
        shapes = sorted({tuple(layer.shape) for layer in layers})
        if shapes != [(*shape, size)]:
            raise self._unfit(
                f"layers of shape {', '.join(map(str, shapes))} for {shape[0]} texts of {shape[1]} subwords",
                f"({shape[0]}, {shape[1]}, {size}) for all of them",
            )
        blocks = getattr(self.backbone.config.get_text_config(), "num_hidden_layers", len(layers) - 1)
        if len(layers) != blocks + 1:
            raise self._unfit(f"{len(layers)} hidden states", f"{blocks + 1}: the embeddings and {blocks} blocks")
        if not all(bool(layer.isfinite().all()) for layer in layers):
            raise self._unfit("hidden states that are not finite", "numbers (are the weights damaged?)")
        if not torch.equal(layers[-1], last):
            raise self._unfit("a last hidden state that is not last_hidden_state", "the same vectors")

    def _unfit(self, got: str, expected: str) -> ModelError:
        return ModelError(
            f"model {self.name!r} ({type(self.backbone).__name__}) cannot be looked at layer by layer: got {got}; "
            f"expected {expected}. Choose another model"
        )


def _same(a: Tensor, b: Tensor, tolerance: float = _TOLERANCE) -> bool:
    scale = max(float(b.abs().max()) if b.numel() else 0.0, 1e-12)
    return bool(((a - b).abs() <= tolerance * scale).all())


def _final_norm(backbone: nn.Module, probe: _Probe, ids: list[int]) -> str | None:
    """The module outside all blocks that turns the last block's output into the last hidden state."""
    outputs: dict[str, Tensor] = {}

    def remember(name: str) -> object:
        def hook(module: nn.Module, arguments: object, output: object) -> None:
            if isinstance(output, Tensor):
                outputs[name] = output

        return hook

    outside = {
        name: module
        for name, module in backbone.named_modules()
        if "norm" in type(module).__name__.lower() and not any(part.isdigit() for part in name.split("."))
    }
    handles = [module.register_forward_hook(remember(name)) for name, module in outside.items()]
    try:
        last = probe.hidden([ids])[-1]
    finally:
        for handle in handles:
            handle.remove()
    return next((name for name, output in outputs.items() if torch.equal(output, last)), None)
