"""Load an encoder and its tokenizer, and check that they are whole and belong together."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from closerlook.models.adapter_loading import adapter_folder, fold_adapter
from closerlook.models.backbone_loading import load_backbone
from closerlook.models.encoder_check import EncoderFacts, inspect_encoder
from closerlook.models.encoder_settings import ModelSettings
from closerlook.models.input_limit import input_limit, position_limit
from closerlook.models.model_source import local_checksums, locate
from closerlook.models.sentence_pooling import recommended_pooling
from closerlook.models.tokenizer_loading import check_vocabulary, load_tokenizer


@dataclass(frozen=True)
class LoadedEncoder:
    """An encoder ready for use.

    Attributes:
        backbone: The part of a ``transformers`` model that reads text, in evaluation mode, float32.
        tokenizer: Its fast tokenizer.
        source: Where it came from: hub id, ``package:...`` or a folder's name.
        revision: Commit on the hub, or the SHA-256 of the weights.
        checksums: SHA-256 of the files that decide what it computes, by name; empty for hub ids.
        facts: What it does, found out by running it.
        n_embeddings: Number of token ids it has vectors for; None = not known.
        sentence_pooling: ``model.sentence_pooling`` as it was set.
        recommended_pooling: The pooling that its files recommend, if they do.
        notes: Sentences for the user about what is odd.
    """

    backbone: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    source: str
    revision: str
    checksums: dict[str, str]
    facts: EncoderFacts
    n_embeddings: int | None
    sentence_pooling: str
    recommended_pooling: str | None
    notes: tuple[str, ...]

    @property
    def n_layers(self) -> int:
        """Number of blocks; hidden states go from 0 (embeddings) to ``n_layers``."""
        return self.facts.n_layers

    @property
    def hidden_size(self) -> int:
        """Length of a hidden vector."""
        return self.facts.hidden_size

    def encoding_options(self, max_length: int | None = None) -> dict[str, Any]:
        """What tokenising must keep to for this encoder: arguments of `encode_texts`.

        Args:
            max_length: ``task.max_length``; None takes what the encoder and its tokenizer were made for.

        Raises:
            ModelError: More is wanted than the encoder has positions for.
        """
        limit = input_limit(max_length, position_limit(self.backbone), self.tokenizer)
        return {"max_length": limit, "n_embeddings": self.n_embeddings}


def load_encoder(settings: ModelSettings, *, seed: int = 0) -> LoadedEncoder:
    """Load the encoder that ``settings`` names.

    Args:
        settings: Which encoder.
        seed: Seeds the weights when ``settings.random_init`` asks for untrained ones.

    Raises:
        ModelError: The package is not installed, the hub id is unknown or out of reach, a file is missing, cut or
            not the one that was expected, weights or vocabulary do not fit, or the model does not give one vector
            per subword and layer.
    """
    transformers_logging.disable_progress_bar()  # "Loading weights" is done in a moment
    transformers_logging.set_verbosity_error()  # its report of weights is read here, and said in one sentence
    target = locate(settings)
    tokenizer = load_tokenizer(settings, target)
    backbone, notes = load_backbone(settings, target, seed)
    if (adapter := adapter_folder(settings)) is not None:
        backbone, of_adapter = fold_adapter(backbone, adapter, settings.name)
        notes = [*notes, *of_adapter]
    n_embeddings, more = check_vocabulary(tokenizer, backbone, settings.name)
    sums = local_checksums(settings)
    return LoadedEncoder(
        backbone=backbone,
        tokenizer=tokenizer,
        source=f"package:{settings.package}" if settings.package else str(settings.source),
        revision=_revision(settings, sums, backbone.config),
        checksums=sums,
        facts=inspect_encoder(backbone, tokenizer, position_limit(backbone), settings.name),
        n_embeddings=n_embeddings,
        sentence_pooling=settings.sentence_pooling,
        recommended_pooling=recommended_pooling(target, settings),
        notes=(*notes, *more),
    )


def _revision(settings: ModelSettings, sums: dict[str, str], config: Any) -> str:
    if settings.random_init:
        return "random weights"
    if not sums:
        return str(getattr(config, "_commit_hash", None) or settings.revision or "unknown")
    own = [(name, value) for name, value in sums.items() if not name.startswith("tokenizer/")]
    safe = [value for name, value in own if name.endswith(".safetensors")]
    parts = safe or [value for name, value in own if name.endswith((".bin", ".gguf"))]
    return f"sha256:{parts[0] if len(parts) == 1 else hashlib.sha256(''.join(parts).encode()).hexdigest()}"
