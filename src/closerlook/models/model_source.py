"""Where an encoder comes from: a package, a folder or the hub; and what is wrong with a folder before it is read."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError

from closerlook.files import sha256_of
from closerlook.models.encoder_settings import ModelSettings
from closerlook.models.model_error import ModelError
from closerlook.results.run_dir import MODEL_FOLDER, RUN_FILE, RunDir

CONFIG_FILE = "config.json"
ADAPTER_CONFIG = "adapter_config.json"
WEIGHTS_FILES = ("model.safetensors", "pytorch_model.bin")
"""Single files of weights, in the order in which they are looked for; sharded ones have an index beside them."""
_EXPECTED = "config.json, tokenizer.json and model.safetensors"
_HUB_TIMEOUT_S = 5.0
_LFS_HEAD = b"version https://git-lfs"
_DECISIVE = (
    "model",
    "adapter",
    "pytorch_model",
    "config.json",
    "tokenizer",
    "vocab",
    "merges",
    "special_tokens",
    "added_tokens",
    "spiece",
    "sentencepiece",
)
"""How the names begin of the files that decide what an encoder computes."""


def locate(settings: ModelSettings) -> Path | str:
    """The folder, or the hub id, that the settings name; a folder is looked at before anything of it is read.

    Raises:
        ModelError: The package is not installed, the folder does not hold a model, a file of it is not whole or not
            the one that was expected, or the hub id is unknown or out of reach.
    """
    if settings.package:
        return _checked(_package_folder(settings), settings)
    if not settings.source:
        raise ModelError(
            f"model {settings.name!r} has no weights: set model.source to a hub id or to a folder that "
            f"holds {_EXPECTED}"
        )
    return _checked(folder, settings) if (folder := local_folder("source", settings.source)) else _on_hub(settings)


def local_folder(setting: str, value: str) -> Path | None:
    """The folder, or the .gguf file, that a setting names; None when it is a hub id.

    Raises:
        ModelError: It names a file, or looks like a folder and is none.
    """
    path = Path(value).expanduser()
    if path.is_dir():
        return path
    if path.suffix == ".gguf" and path.is_file():
        return path
    if path.is_file():
        raise ModelError(f"model.{setting}={value} is a file; expected its folder: model.{setting}={path.parent}")
    if value.startswith((".", "/", "~")) or value.endswith("/") or value.count("/") > 1:
        raise ModelError(f"model.{setting}={value} is not a folder. Expected a folder or a hub id")
    return None


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a model's folder that decides what it computes: weights, configuration, tokenizer."""
    if folder.suffix == ".gguf":
        return {folder.name: sha256_of(folder)}
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name.startswith(_DECISIVE))
    return {path.name: sha256_of(path) for path in files}


def local_checksums(settings: ModelSettings) -> dict[str, str]:
    """SHA-256 of the files that decide what an encoder of this machine computes; empty for hub ids and random weights.

    Raises:
        ModelError: The package is not installed, or the folder is gone.
    """
    found = {}
    folder = _package_folder(settings) if settings.package else local_folder("source", settings.source or "")
    if folder is not None:
        found = checksums(_checked(folder, settings))
    if settings.adapter and (other := local_folder("adapter", settings.adapter)):
        found |= {f"adapter/{name}": value for name, value in checksums(other).items()}
    if settings.tokenizer and (other := local_folder("tokenizer", settings.tokenizer)):
        found |= {f"tokenizer/{name}": value for name, value in checksums(other).items()}
    return found


def _package_folder(settings: ModelSettings) -> Path:
    spec = importlib.util.find_spec(str(settings.package))
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            f"model {settings.name!r} comes with the package {settings.package!r}, which is not installed. "
            "Install it with `pip install 'closerlook[demo]'`, or choose another model, e.g. model=bert_tiny"
        )
    return Path(next(iter(spec.submodule_search_locations))) / settings.package_folder


def _checked(folder: Path, settings: ModelSettings) -> Path:
    """The folder with the encoder itself, or its .gguf file, after a look at its files."""
    if folder.suffix == ".gguf":
        return folder
    folder = _with_configuration(folder)
    if folder.name == MODEL_FOLDER and (folder.parent / RUN_FILE).is_file():
        RunDir(folder.parent).whole_model()  # what the run ended with, not what is left of an earlier one
    for path in folder.iterdir():
        if path.is_file() and path.stat().st_size < 1024 and path.read_bytes().startswith(_LFS_HEAD):
            raise ModelError(
                f"{path} is a pointer of git-lfs, not the file itself (got {path.stat().st_size} bytes). Run "
                "`git lfs pull` in its folder, or download the file again"
            )
    if settings.random_init:
        return folder
    files = [folder / name for name in WEIGHTS_FILES if (folder / name).is_file()]
    if not files and not any((folder / f"{name}.index.json").is_file() for name in WEIGHTS_FILES):
        raise ModelError(
            f"{folder} has no weights: got {_listing(folder)}; expected {' or '.join(WEIGHTS_FILES)}. Write them "
            "with `model.save_pretrained(folder)`, or set model.random_init=true for untrained ones"
        )
    if settings.sha256 and (got := sha256_of(files[0]) if files else "of several files") != settings.sha256:
        raise ModelError(
            f"{files[0].name if files else 'weights'} of model {settings.name!r} has SHA-256 {got}, expected "
            f"{settings.sha256}. Install the package again, or set model.sha256=null if you changed the weights on "
            "purpose"
        )
    return folder


def _with_configuration(folder: Path) -> Path:
    """The folder, or the one in it, that holds config.json.

    Raises:
        ModelError: There is none; the message says which folder to give, where one can be seen.
    """
    if (folder / CONFIG_FILE).is_file():
        return folder
    if (folder / "modules.json").is_file():  # sentence-transformers: the encoder is its first module
        inner = folder / str(_read_json(folder / "modules.json")[0]["path"])
        if (inner / CONFIG_FILE).is_file():
            return inner
    if (folder / ADAPTER_CONFIG).is_file():
        base = adapter_config(folder).get("base_model_name_or_path")
        raise ModelError(
            f"{folder} is a PEFT adapter of {base}, not a model. Give both: model.source={base} model.adapter={folder}"
        )
    inside = sorted(folder.glob(f"*/{CONFIG_FILE}"), key=lambda path: (len(path.parent.name), path.parent.name))
    if inside:
        raise ModelError(
            f"{folder} has no {CONFIG_FILE}, but {len(inside)} of its folders have (checkpoints of a Trainer?). "
            f"Give one of them, e.g. model.source={inside[-1].parent}"
        )
    if gguf := sorted(folder.glob("*.gguf")):
        raise ModelError(f"{folder} has no {CONFIG_FILE}, but GGUF files. Name one of them: model.source={gguf[0]}")
    raise ModelError(f"{folder} has no {CONFIG_FILE}: got {_listing(folder)}; expected {_EXPECTED} there")


def adapter_config(folder: Path) -> dict[str, Any]:
    """What a PEFT adapter says of itself.

    Raises:
        ModelError: The file is damaged.
    """
    found = _read_json(folder / ADAPTER_CONFIG)
    if not isinstance(found, dict):
        raise ModelError(f"{folder / ADAPTER_CONFIG} is damaged: expected an object. Copy or download it again")
    return found


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} cannot be read ({error}); expected JSON. Copy or download it again") from error


def _listing(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") if names else "no file"


def _on_hub(settings: ModelSettings) -> str:
    """The hub id; fails within seconds when it is neither cached nor within reach."""
    hub_id = str(settings.source)
    if isinstance(try_to_load_from_cache(hub_id, CONFIG_FILE, revision=settings.revision), str):
        return hub_id
    advice = (
        f"Check the id, connect to the network, or set model.source to a local folder with {_EXPECTED}; "
        "model=minilm_l6 needs no network"
    )
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        raise ModelError(f"model {hub_id!r} is not in the local cache and HF_HUB_OFFLINE is set. {advice}")
    try:
        HfApi().model_info(hub_id, revision=settings.revision, timeout=_HUB_TIMEOUT_S)
    except HfHubHTTPError as error:
        raise ModelError(f"the hub does not give model {hub_id!r} ({first_line(error)}). {advice}") from error
    except Exception as error:  # the hub client raises whatever its HTTP library raises
        raise ModelError(f"the hub is out of reach for model {hub_id!r} ({first_line(error)}). {advice}") from error
    return hub_id


def first_line(error: BaseException) -> str:
    """The first line of an error's message, at most 200 characters; its type where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(". ")
