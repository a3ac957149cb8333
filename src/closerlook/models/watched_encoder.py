"""The encoder inside somebody else's model, looked at as it is: nothing of it is changed."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from closerlook.models.backbone_loading import text_tower
from closerlook.models.encoder_check import inspect_encoder
from closerlook.models.input_limit import position_limit
from closerlook.models.loading import LoadedEncoder
from closerlook.models.model_error import ModelError
from closerlook.models.sentence_pooling import pooling_of
from closerlook.models.snapshot_options import EncoderChoice
from closerlook.models.tokenizer_loading import check_vocabulary, require_fast

_N_SHOWN = 5


def find_encoder(model: nn.Module, choice: EncoderChoice = None) -> PreTrainedModel:
    """The part of a model that reads text.

    A classification head, wrappers (DDP, ``torch.compile``, PEFT, sentence-transformers, a LightningModule), a decoder
    and a vision tower are left aside; adapters inside stay in.

    Args:
        model: Any module that holds a ``transformers`` model.
        choice: Which part of it; None takes the only ``transformers`` model in it.

    Raises:
        ModelError: There is no such part, it holds no ``transformers`` model, or several.
    """
    part = _chosen(model, choice)
    found = _outermost(part)
    if len(found) != 1:
        held = ", ".join(repr(name or ".") for name in list(found)[:_N_SHOWN]) or "none"
        which = f"its part {choice!r}" if isinstance(choice, str) else "it"
        raise ModelError(
            f"the encoder of {type(model).__name__} is not clear: {which} holds {len(found)} transformers models "
            f"({held}); expected one. Name it, e.g. encoder={next(iter(found), 'model.bert')!r} or "
            "encoder=lambda model: model.bert"
        )
    (inner,) = found.values()
    base = inner.base_model
    return text_tower(base if isinstance(base, PreTrainedModel) else inner)


def watched(
    model: nn.Module,
    encoder: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    *,
    name: str,
    sentence_pooling: str = "auto",
) -> LoadedEncoder:
    """What is known of an encoder that somebody trains; call it in evaluation mode.

    Args:
        model: The model it is part of; a sentence-transformers model says how it pools.
        encoder: The encoder, see :func:`find_encoder`.
        tokenizer: Its tokenizer.
        name: The model's name, for errors.
        sentence_pooling: ``cls``, ``mean``, ``last`` or ``auto``, see :class:`ModelSettings`.

    Raises:
        ModelError: The tokenizer is not fast or not the encoder's, or there is not one vector per subword and layer.
    """
    require_fast(tokenizer, name)
    n_embeddings, notes = check_vocabulary(tokenizer, encoder, name)
    config = encoder.config
    return LoadedEncoder(
        backbone=encoder,
        tokenizer=tokenizer,
        source=str(getattr(config, "_name_or_path", "") or type(encoder).__name__),
        revision=str(getattr(config, "_commit_hash", None) or "unknown"),
        checksums={},
        facts=inspect_encoder(encoder, tokenizer, position_limit(encoder), name),
        n_embeddings=n_embeddings,
        sentence_pooling=sentence_pooling,
        recommended_pooling=_own_pooling(model),
        notes=tuple(notes),
    )


def _chosen(model: Any, choice: EncoderChoice) -> nn.Module:
    if choice is None:
        return model
    if not isinstance(choice, str):
        part: Any = choice(model)
    else:
        part = model
        for name in choice.split("."):
            if not hasattr(part, name):
                held = ", ".join(child for child, _ in part.named_children()) or "none"
                raise ModelError(
                    f"encoder={choice!r}: {type(part).__name__} has no attribute {name!r}; expected one of its modules "
                    f"({held:.200}). Name the path to the encoder, as in model.bert"
                )
            part = getattr(part, name)
    if not isinstance(part, nn.Module):
        raise ModelError(
            f"encoder={choice!r} is {type(part).__name__}; expected a torch module. Name the encoder itself"
        )
    return part


def _outermost(module: nn.Module, path: str = "") -> dict[str, PreTrainedModel]:
    """The ``transformers`` models in a module, by path; those inside another one are left out."""
    if isinstance(module, PreTrainedModel):
        return {path: module}
    found: dict[str, PreTrainedModel] = {}
    for name, child in module.named_children():
        for at, one in _outermost(child, f"{path}.{name}".lstrip(".")).items():
            if not any(one is other for other in found.values()):
                found[at] = one
    return found


def _own_pooling(model: nn.Module) -> str | None:
    """How a sentence-transformers model makes a sentence of its subwords; None where it does not say."""
    modules: list[Any] = [module for module in model.modules() if type(module).__name__ == "Pooling"]
    return pooling_of(modules[0].get_config_dict()) if len(modules) == 1 else None
