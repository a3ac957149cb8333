"""``checkpoints=[...]``: which models are meant, in which order, at which step, and under which name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from closerlook.config import CheckpointModelSettings, config_dir
from closerlook.models.encoder_settings import ModelSettings
from closerlook.models.model_source import ADAPTER_CONFIG, CONFIG_FILE, adapter_config
from closerlook.results.run import RunError

_STEP = re.compile(r"(?:^|[^a-z])(?:checkpoint|ckpt|steps?|iter|update)[-_=]?(\d+)(?![\d.])", re.IGNORECASE)
_NUMBERED = re.compile(r"^checkpoint-(\d+)$")
_PRESET = re.compile(r"^\w+$")
_SET_ELSEWHERE = {
    "package": "name the model's folder in checkpoints",
    "revision": "write id@revision in checkpoints",
    "sha256": "checksums are kept by themselves",
    "adapter": "name the adapter in checkpoints",
    "random_init": "random_encoder=true gives the untrained baseline",
}


@dataclass(frozen=True)
class CheckpointSource:
    """A model that exists.

    Attributes:
        name: Its short name, unique among those of a run.
        step: The step of its snapshot.
        settings: How it is loaded.
        final: It is what a Trainer left in its own folder, beside ``checkpoint-*``: often one of those again.
    """

    name: str
    step: int
    settings: ModelSettings
    final: bool = False

    @property
    def source(self) -> str:
        """Folder, file or hub id, as a person would name it; of the adapter alone where it is one."""
        one = self.settings
        return one.adapter or (f"package:{one.package}" if one.package else _with_revision(one))

    @property
    def folder(self) -> Path | None:
        """Its folder, if it has one on this machine."""
        path = Path(self.settings.adapter or self.settings.source or "").expanduser()
        return path if self.settings.package is None and path.is_dir() else None


def checkpoint_sources(wanted: Any, how: CheckpointModelSettings) -> tuple[CheckpointSource, ...]:
    """The models that ``checkpoints=`` means, in order; nothing of them is loaded.

    A folder with ``checkpoint-*`` stands for all of them, by number, and then for the model in the folder itself. Where
    only adapters of one model are named, that model comes first: it is what they changed.

    Args:
        wanted: A place or a list of places: a folder, a .gguf file, a hub id (``id@revision``), a name of conf/model.
        how: ``model.*``.

    Raises:
        RunError: Nothing or something else than texts is named, one twice, or a setting of ``model`` has no meaning
            for several models.
        ModelError: An adapter's configuration is damaged.
    """
    _refuse_single(how)
    places = [wanted] if isinstance(wanted, str) else list(wanted or [])
    if not places or not all(isinstance(place, str) and place for place in places):
        raise RunError(
            f"checkpoints={wanted}: expected a folder, a hub id or several, "
            "e.g. checkpoints=[bert_tiny,out/checkpoint-500]"
        )
    found = [one for place in places for one in _expanded(place, how)]
    bases = {(one.settings.source, one.settings.revision) for one in found}
    if len(bases) == 1 and all(one.settings.adapter for one in found):
        found.insert(0, _base_of(found[0]))
    twice = [source for source, n in Counter(one.source for one in found).items() if n > 1]
    if twice:
        raise RunError(f"checkpoints: got {twice[0]} twice, expected each model once")
    return _numbered(_named(found))


def run_name(sources: Sequence[CheckpointSource], places: Any, how: CheckpointModelSettings) -> str:
    """The model's name of a run of several: as set, the folder's, or the first and the last one's."""
    if how.name:
        return how.name
    places = [places] if isinstance(places, str) else list(places)
    if len(places) == 1 and len(sources) > 1:
        return Path(places[0]).expanduser().resolve().name
    first, last = sources[0].name, sources[-1].name
    return first if len(sources) == 1 else f"{first}-to-{last}"


def _refuse_single(how: CheckpointModelSettings) -> None:
    default = CheckpointModelSettings()
    for name, instead in _SET_ELSEWHERE.items():
        if getattr(how, name) != getattr(default, name):
            raise RunError(f"model.{name} is of one model, checkpoints are several: {instead}")


def _expanded(place: str, how: CheckpointModelSettings) -> list[CheckpointSource]:
    """One place as the models in it, with names that may still be those of others."""
    path = Path(place).expanduser()
    if path.is_dir():
        numbered = sorted((p for p in path.iterdir() if p.is_dir() and _NUMBERED.match(p.name)), key=_number)
        found = [CheckpointSource(p.name, 0, _of_folder(p, how)) for p in numbered]
        if not numbered or _is_model(path):
            name = path.resolve().name
            found.append(CheckpointSource(name, 0, _of_folder(path, how), final=bool(numbered)))
        return found
    if path.is_file() or place.startswith((".", "/", "~")):
        return [CheckpointSource(path.stem, 0, _settings(how, source=place))]
    if _PRESET.match(place) and (config_dir() / "model" / f"{place}.yaml").is_file():
        return [CheckpointSource(place, 0, _preset(place, how))]
    hub_id, _, revision = place.partition("@")
    name = hub_id.rpartition("/")[2] + (f"@{revision[:12]}" if revision else "")
    return [CheckpointSource(name, 0, _settings(how, source=hub_id, revision=revision or None))]


def _is_model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (CONFIG_FILE, ADAPTER_CONFIG))


def _number(folder: Path) -> int:
    return int(folder.name.rpartition("-")[2])


def _of_folder(folder: Path, how: CheckpointModelSettings) -> ModelSettings:
    if not (folder / ADAPTER_CONFIG).is_file() or (folder / CONFIG_FILE).is_file():
        return _settings(how, source=str(folder))
    said = adapter_config(folder)
    base = how.source or said.get("base_model_name_or_path")
    if not base:
        raise RunError(
            f"{folder / ADAPTER_CONFIG} does not say which model it belongs to (base_model_name_or_path): name it with "
            "model.source=<folder or hub id>"
        )
    return _settings(how, source=str(base), adapter=str(folder), revision=None if how.source else said.get("revision"))


def _settings(how: CheckpointModelSettings, **changes: Any) -> ModelSettings:
    """Settings of one model; ``model.tokenizer`` is for those that have none."""
    one = ModelSettings(
        name="",
        sentence_pooling=how.sentence_pooling,
        trust_remote_code=how.trust_remote_code,
        attn_implementation=how.attn_implementation,
    )
    one = replace(one, **changes)
    folder = Path(one.source or "").expanduser()
    if how.tokenizer and folder.is_dir() and not (folder / "tokenizer.json").is_file():
        one = replace(one, tokenizer=how.tokenizer)
    return one


def _preset(name: str, how: CheckpointModelSettings) -> ModelSettings:
    node: Any = OmegaConf.to_container(OmegaConf.load(config_dir() / "model" / f"{name}.yaml"))
    if node.get("source") == "???":
        raise RunError(f"checkpoints: {name} stands for any model; name the model's folder or hub id instead")
    if how.sentence_pooling != "auto":
        node["sentence_pooling"] = how.sentence_pooling
    return ModelSettings(**node)


def _base_of(one: CheckpointSource) -> CheckpointSource:
    """The model that an adapter belongs to, without it."""
    settings = replace(one.settings, adapter=None)
    return CheckpointSource(Path(str(settings.source)).name, 0, settings)


def _named(found: list[CheckpointSource]) -> list[CheckpointSource]:
    """Names that tell them apart: the folder's, with the folder around it where two have the same."""
    counts = Counter(one.name for one in found)
    longer = [
        f"{one.folder.resolve().parent.name}/{one.name}" if counts[one.name] > 1 and one.folder else one.name
        for one in found
    ]
    counts = Counter(longer)
    names = [name if counts[name] == 1 else f"{name}#{i}" for i, name in enumerate(longer)]
    return [
        replace(one, name=name, settings=replace(one.settings, name=name))
        for one, name in zip(found, names, strict=True)
    ]


def _numbered(found: list[CheckpointSource]) -> tuple[CheckpointSource, ...]:
    """The steps in their names, where these ascend; a model without one comes right after the one before it."""
    said = [_step_in(one) for one in found]
    steps: list[int] = []
    for i, step in enumerate(said):
        after = steps[-1] + 1 if steps else 0
        steps.append(step if step is not None else max(i, after))
        if steps[-1] < after:  # of two trainings, say: the order in which they are named is what counts
            steps = list(range(len(found)))
            break
    return tuple(replace(one, step=step) for one, step in zip(found, steps, strict=True))


def _step_in(one: CheckpointSource) -> int | None:
    match = _STEP.search(one.name.rpartition("/")[2])
    return int(match[1]) if match else None


def _with_revision(one: ModelSettings) -> str:
    return f"{one.source}@{one.revision}" if one.revision else str(one.source)
