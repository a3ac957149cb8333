"""What is looked at before any checkpoint's space is computed: the command, the directory, and every model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from closerlook.callbacks.snapshot import is_complete
from closerlook.config import ProbeConfig, TrainConfig
from closerlook.data.corpus import Corpus
from closerlook.data.datamodule import CorpusDataModule
from closerlook.models.encoder import PooledEncoder
from closerlook.models.encoder_settings import ModelSettings, SnapshotSettings
from closerlook.models.loading import LoadedEncoder, load_encoder
from closerlook.models.model_error import ModelError
from closerlook.models.model_source import local_checksums
from closerlook.models.stored_space import choose_layers
from closerlook.models.weights_digest import embedding_sketch, share_coordinates, tensors_digest
from closerlook.pipelines.build import encode
from closerlook.pipelines.checkpoint_sources import CheckpointSource
from closerlook.results.run import CheckpointOrigin, RunError, RunInfo
from closerlook.results.run_dir import RunDir

Watch = Callable[[str, int, int], Callable[[int], object]]
"""Takes a model's name, how many models are done and how many there are; returns what is called with the number of
texts after each batch: a progress bar."""

_OF_TRAINING = ("enabled", "every_n_updates", "every_n_epochs", "before_training")
_WHERE_FROM = ("data_dir", "download")


@dataclass(frozen=True)
class CheckedModel:
    """A model that has been loaded once and is whole.

    Attributes:
        source: Where it is.
        origin: What it is, for ``run.json``.
        settings: How it is loaded: sentences are read as in the first model.
        tokenised: Key of its texts in :attr:`CheckedModels.tokenised`.
        coordinates: What its axes are: empty where those of the first model.
    """

    source: CheckpointSource
    origin: CheckpointOrigin
    settings: ModelSettings
    tokenised: str
    coordinates: str


@dataclass
class CheckedModels:
    """All models of a command.

    Attributes:
        models: In order.
        tokenised: The texts, once for all models that read them alike.
        notes: Sentences for the user.
    """

    models: list[CheckedModel] = field(default_factory=list)
    tokenised: dict[str, CorpusDataModule] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def refuse_settings(config: ProbeConfig) -> None:
    """Refuse a command without a task, and settings that are about a training.

    Raises:
        RunError: That is so.
    """
    if not config.task.name:
        raise RunError("checkpoints need texts: add task=<one of conf/task>, e.g. task=trec6, or data of your own")
    default = SnapshotSettings()
    for name in _OF_TRAINING:
        if getattr(config.snapshot, name) != getattr(default, name):
            raise RunError(
                f"snapshot.{name} is about a training; of checkpoints one snapshot each is stored: leave it out"
            )


def job_settings(config: ProbeConfig) -> dict[str, Any]:
    """The settings that decide what is stored of each model: a run's ``config.yaml`` holds them beside the model."""
    return {"task": asdict(config.task), "snapshot": asdict(config.snapshot)}


def digest_of(config: ProbeConfig) -> str:
    """Digest of the settings that decide what is stored, wherever the data is."""
    task = {key: value for key, value in asdict(config.task).items() if key not in _WHERE_FROM}
    how = config.model
    reading = [how.sentence_pooling, how.tokenizer, how.attn_implementation]
    content = json.dumps([task, asdict(config.snapshot), reading], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def earlier_run(run: RunDir, config: ProbeConfig) -> RunInfo | None:
    """What a killed or finished command has left in the directory, if this one may go on with it.

    Raises:
        RunError: There is a run of train.py, one with other settings, or something unknown.
    """
    if not run.info_file.is_file():
        if run.snapshots.exists() or run.results.exists():
            raise RunError(f"{run.root} holds snapshots or results, but no run.json: choose another output_dir")
        return None
    info, state = run.info(), run.state()
    if not info.checkpoints:
        raise RunError(f"{run.root} holds a run of train.py ({info.title}): choose another output_dir")
    if state is not None and state.identity != digest_of(config):
        changed = _differences(run, config) or "how models are read (model.sentence_pooling, tokenizer)"
        raise RunError(f"{run.root} was made with other settings: {changed}. Choose another output_dir")
    return info


def _differences(run: RunDir, config: ProbeConfig) -> str:
    before, now = run.config(), job_settings(config)
    changed = [
        f"{part}.{key} was {old}, now {now[part].get(key)}"
        for part in now
        for key, old in (before.get(part) or {}).items()
        if key not in _WHERE_FROM and old != now[part].get(key)
    ]
    return "; ".join(changed[:5])


def all_there(run: RunDir, sources: Sequence[CheckpointSource], before: RunInfo) -> bool:
    """Whether nothing has to be loaded: each model's snapshot is whole, and its files are those it was made of."""
    known = {one.name: one for one in before.checkpoints}
    if {one.name for one in sources} != set(known):
        return False
    for one in sources:
        origin = known[one.name]
        if one.step != origin.step or not origin.checksums or not is_complete(run.snapshots, one.step):
            return False
        if local_checksums(one.settings) != origin.checksums:
            return False
    return True


def check_models(
    config: ProbeConfig, sources: Sequence[CheckpointSource], corpus: Corpus, before: RunInfo | None, watch: Watch
) -> CheckedModels:
    """Load each model once, one at a time, with all checks of ``closerlook.models``; tokenise the texts for it.

    Args:
        config: Settings of probe.py.
        sources: The models.
        corpus: The texts.
        before: What the directory holds.
        watch: A progress bar.

    Raises:
        ModelError: A model is not whole, or cannot be read layer by layer.
        DataError: The texts do not fit a tokenizer.
        RunError: A model changed since its snapshot was stored, or models read different examples.
    """
    found = CheckedModels()
    lineages: dict[str, list[np.ndarray | None]] = {}
    poolings: dict[bool, str] = {}
    said: dict[str, list[str]] = {}
    for i, source in enumerate(sources):
        watch(f"checking {source.name}", i, len(sources))
        try:
            loaded = load_encoder(source.settings)
        except ModelError as error:
            raise ModelError(f"checkpoint {source.name} ({source.source}): {error}") from error
        digest = tensors_digest(loaded.backbone)
        if source.final and (same := [one.origin.name for one in found.models if one.origin.tensors == digest]):
            found.notes.append(f"The model in {source.source} itself is {same[0]} again, and is looked at once.")
            continue
        settings, encoder = _read_alike(config, source, loaded, corpus, poolings)
        for note in encoder.notes:
            said.setdefault(note, []).append(source.name)
        found.models.append(
            CheckedModel(
                source,
                _origin(source, loaded, digest),
                settings,
                _tokenised(config, corpus, loaded, found),
                _coordinates(source.name, loaded, lineages),
            )
        )
        del loaded, encoder  # one model at a time
    _refuse_changed(found, before)
    _refuse_other_examples(found, corpus)
    found.notes += _warnings(found)
    everywhere = len(found.models)
    found.notes += [note if len(names) == everywhere else f"{', '.join(names)}: {note}" for note, names in said.items()]
    return found


def layers_of(settings: SnapshotSettings, n_layers: int) -> tuple[int, ...]:
    """The layers to store of a model: those that are wanted and that it has.

    Raises:
        SnapshotError: It has none of them.
    """
    wanted = settings.layers
    there = None if wanted is None else [layer for layer in wanted if layer <= n_layers]
    return choose_layers(there or wanted, n_layers)


def _read_alike(
    config: ProbeConfig, source: CheckpointSource, loaded: LoadedEncoder, corpus: Corpus, poolings: dict[bool, str]
) -> tuple[ModelSettings, PooledEncoder]:
    """A sentence is the same subwords in all models: ``auto`` is what it is in the first (causal and others apart)."""
    settings = source.settings
    usual = poolings.get(loaded.facts.is_causal)
    encoder = PooledEncoder(loaded, corpus.level, final_norm=config.snapshot.final_norm)
    if usual not in (None, encoder.sentence_pooling) and config.model.sentence_pooling == "auto":
        loaded = replace(loaded, sentence_pooling=usual)
        encoder = PooledEncoder(loaded, corpus.level, final_norm=config.snapshot.final_norm)
    if encoder.sentence_pooling:
        poolings.setdefault(loaded.facts.is_causal, encoder.sentence_pooling)
        settings = replace(settings, sentence_pooling=encoder.sentence_pooling)
    return settings, encoder


def _origin(source: CheckpointSource, loaded: LoadedEncoder, digest: str) -> CheckpointOrigin:
    adapter = source.settings.adapter
    return CheckpointOrigin(
        step=source.step,
        name=source.name,
        source=source.source,
        revision=loaded.revision,
        checksums=loaded.checksums,
        base=loaded.source if adapter else "",
        base_revision=str(source.settings.revision or "") if adapter else "",
        n_layers=loaded.n_layers,
        hidden_size=loaded.hidden_size,
        tensors=digest,
    )


def _tokenised(config: ProbeConfig, corpus: Corpus, loaded: LoadedEncoder, found: CheckedModels) -> str:
    """The key of the texts as this model reads them; tokenised now where no other model reads them so."""
    options = loaded.encoding_options(config.task.max_length)
    content = f"{loaded.tokenizer.backend_tokenizer.to_str()}{sorted(options.items(), key=str)}"
    key = hashlib.sha256(content.encode()).hexdigest()
    if key not in found.tokenised:
        found.tokenised[key] = encode(TrainConfig(task=config.task, snapshot=config.snapshot), corpus, loaded)
    return key


def _coordinates(name: str, loaded: LoadedEncoder, lineages: dict[str, list[np.ndarray | None]]) -> str:
    """The name of what a model's axes are: that of the first model that it comes from, or that comes from it."""
    sketch = embedding_sketch(loaded.backbone)
    for label, known in lineages.items():
        if any(share_coordinates(one, sketch) for one in known):
            lineages[label] = [known[0], sketch]
            return label
    label = name if lineages else ""
    lineages[label] = [sketch]
    return label


def _refuse_changed(found: CheckedModels, before: RunInfo | None) -> None:
    now = {one.origin.step: one.origin for one in found.models}
    for was in before.checkpoints if before else ():
        origin = now.get(was.step)
        if origin is None or (origin.tensors != was.tensors and origin.name != was.name):
            raise RunError(
                f"this run holds other checkpoints: got {origin.name if origin else 'none'} at step {was.step}, it has "
                f"{was.name} ({was.source}) there. Add to the end of the list only, or choose another output_dir"
            )
        if origin.tensors != was.tensors:
            raise RunError(
                f"the weights of {was.name} ({origin.source}) have changed since its snapshot was stored: got "
                f"{origin.tensors[:12]}, expected {was.tensors[:12]}. Put the old files back, or choose another "
                "output_dir"
            )


def _refuse_other_examples(found: CheckedModels, corpus: Corpus) -> None:
    """All models must see the same examples, or their numbers would not compare."""
    first = found.models[0]
    for one in found.models[1:]:
        for split in corpus.splits:
            a, b = (found.tokenised[model.tokenised].encoded(split).examples for model in (first, one))
            if list(a.example_ids) != list(b.example_ids):
                raise RunError(
                    f"{first.origin.name} and {one.origin.name} read different examples of {split}: got "
                    f"{len(a.labels)} and {len(b.labels)}, since words are cut or dropped for one of them only. Leave "
                    "long texts out, or set task.allow_truncation=false to see which they are"
                )


def _warnings(found: CheckedModels) -> list[str]:
    notes, by_tensors = [], dict[str, list[str]]()
    for one in found.models:
        by_tensors.setdefault(one.origin.tensors, []).append(one.origin.name)
    notes += [
        f"Warning: {', '.join(names)} hold the same weights: every number of them is the same."
        for names in by_tensors.values()
        if len(names) > 1
    ]
    first = found.models[0].origin
    for one in found.models[1:]:
        origin = one.origin
        if origin.hidden_size != first.hidden_size or origin.n_layers != first.n_layers:
            notes.append(
                f"{origin.name} has {origin.n_layers} layers of {origin.hidden_size}, {first.name} {first.n_layers} of "
                f"{first.hidden_size}: what needs common coordinates is missing, and a layer's number says little."
            )
        elif one.coordinates:
            notes.append(
                f"{origin.name} does not come from {first.name} (their embeddings are unrelated): what subtracts "
                "vectors is missing, since their coordinates have nothing in common."
            )
    return notes
