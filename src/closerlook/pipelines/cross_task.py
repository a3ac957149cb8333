"""Cross-task (E5): the space of task B in an encoder that was tuned on task A, stored like any other run.

The folder ``<run A>/cross/<task B>`` is a run directory of its own: ``run.json``, ``config.yaml`` and ``snapshots``
with step 0 (the pre-trained encoder) and the last step (tuned on A). Every probe, report and dashboard reads it as it
is; ``cross.json`` says what it was tuned on.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from closerlook.config import config_dir
from closerlook.data.data_errors import DataError
from closerlook.data.task_settings import TaskSettings
from closerlook.data.tasks import load_corpus
from closerlook.locks import locked
from closerlook.models.encoder_settings import SnapshotSettings
from closerlook.pipelines.run_checkpoint import intact_digest, read_checkpoint
from closerlook.pipelines.scopes import choose_layers
from closerlook.pipelines.spaces import Moment, Texts, build_space, store_examples, store_space, take_over_first
from closerlook.representations.format import SnapshotError
from closerlook.representations.reader import SnapshotReader
from closerlook.results.provenance import git_commit, now, versions
from closerlook.results.run import CrossOrigin, RunError, RunInfo
from closerlook.results.run_dir import RunDir

if TYPE_CHECKING:
    from closerlook.data.corpus import Corpus
    from closerlook.models.encoder import PooledEncoder

log = logging.getLogger(__name__)

_WHERE_FROM = ("data_dir", "download")
"""Settings of a task that say where its files are, not what is in them."""


@dataclass(frozen=True)
class CrossSpace:
    """The stored space of another task.

    Attributes:
        run: A run directory of its own, to be probed like any other.
        kept: It was there already, from the same checkpoint and the same examples.
    """

    run: RunDir
    kept: bool


@dataclass(frozen=True)
class _Source:
    """The run whose tuned encoder is looked into."""

    run: RunDir
    info: RunInfo
    config: dict[str, Any]
    checkpoint: str


def task_settings(name: str, *, data_dir: str | None = None, **changes: Any) -> TaskSettings:
    """The settings of a task as its file in ``conf/task`` gives them.

    Args:
        name: A file of ``conf/task``, e.g. ``ps_fxn``.
        data_dir: Where source files are; stands for ``paths.data_dir``.
        **changes: Settings to change, e.g. ``limit_train_texts=64``.

    Raises:
        RunError: There is no such task.
    """
    folder = config_dir() / "task"
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
        raise RunError(f"cross_task={name}: no such task; expected one of {known}")
    default = str(OmegaConf.load(config_dir() / "paths" / "default.yaml").data_dir)
    tree = OmegaConf.create({"task": OmegaConf.load(path), "paths": {"data_dir": data_dir or default}})
    resolved: Any = OmegaConf.to_container(tree, resolve=True)
    return TaskSettings(**(resolved["task"] | changes))


def run_cross_task(
    run: RunDir,
    task: TaskSettings,
    *,
    layers: Any = "all",
    pretrained: RunDir | None = None,
    trust_remote_code: bool = False,
) -> CrossSpace:
    """Store the space of ``task`` in the encoder that a run tuned on its own task, before and after.

    The examples and the number type follow the run's own snapshot settings. Runs on a GPU when there is one. Several
    processes that store the same space wait for one another.

    Args:
        run: A finished run of train.py, with its last checkpoint.
        task: The other task; see :func:`task_settings`.
        layers: Which of the layers that the run stores: ``all``, ``blocks``, ``last``, or a list.
        pretrained: A run of that task from the same pre-trained encoder: its step 0 is taken over where it is of the
            same examples.
        trust_remote_code: Run code that comes with the model, whatever the run's files say.

    Returns:
        Where the snapshots are. They are kept when the checkpoint, the task's settings and its data are as before.

    Raises:
        RunError: There is no run, it has no checkpoint or no configuration, its checkpoint or its model is not the one
            that it was made with, ``task`` is its own task, it stores no such layer, or a link stands where the space
            would be written.
        DataError: The task's data is missing or malformed.
        ModelError: The encoder cannot be loaded.
    """
    source = _source(run, task)
    target = run.cross(task.name)
    _refuse_links(target)
    stored_by_run = source.config["snapshot"].get("layers") or range(source.info.n_layers + 1)
    wanted = choose_layers(layers, stored_by_run)
    with locked(run.cross_folder / f".{task.name}.lock"):
        return _store(source, target, task, wanted, pretrained, trust_remote_code=trust_remote_code)


def _store(
    source: _Source,
    target: RunDir,
    task: TaskSettings,
    wanted: tuple[int, ...],
    pretrained: RunDir | None,
    *,
    trust_remote_code: bool,
) -> CrossSpace:
    origin = CrossOrigin(source.info.task, source.info.title, source.checkpoint, asdict(task))
    stored = _stored_layers(target) if _is_of(target, origin) else ()
    try:
        corpus = load_corpus(task)
    except DataError as error:
        if set(wanted) <= set(stored):
            log.warning("%s is kept, but not compared with the data of %s: %s", target.root, task.name, error)
            return CrossSpace(target, kept=True)
        raise
    if stored and target.info().checksums != dict(corpus.checksums):
        log.warning("the data of %s have changed: its space in %s is stored anew", task.name, source.run.root)
        stored = ()
    if stored and set(wanted) <= set(stored):
        return CrossSpace(target, kept=True)
    _forget(target, keep_results=bool(stored))
    layers = sorted({*wanted, *stored})
    config = source.config | {"task": asdict(task), "snapshot": source.config["snapshot"] | {"layers": layers}}
    encoder, data = build_space(config, source.info, task, corpus, trust_remote_code=trust_remote_code)
    settings = SnapshotSettings(**config["snapshot"])
    texts = store_examples(target.snapshots, data, settings)
    if pretrained is None or not take_over_first(target.snapshots, settings, pretrained.snapshots):
        store_space(target.snapshots, Moment(0, 0.0), encoder, texts, settings)
    tuned = _load_tuned(encoder, source)
    store_space(target.snapshots, tuned, encoder, texts, settings)
    target.save_config(OmegaConf.to_yaml(OmegaConf.create(config | {"run_dir": str(target.root)})))
    target.save_origin(origin)  # before run.json: without it the folder would pass for a run of its own
    target.save_info(_describe(source.info, task, texts, corpus))
    return CrossSpace(target, kept=False)


def _source(run: RunDir, task: TaskSettings) -> _Source:
    info, config = run.info(), run.config()
    if task.name == info.task:
        raise RunError(
            f"cross_task={task.name} is the task that {run.root} was tuned on; choose another, or probe the run"
        )
    if task.name != Path(task.name).name or task.name.startswith("."):
        raise RunError(f"cross_task={task.name}: expected a name without slashes, since a folder is named after it")
    if not config:
        raise RunError(f"{run.root} has no {run.config_file.name}, so its encoder cannot be rebuilt. Train it again")
    return _Source(run, info, config, intact_digest(run))


def _refuse_links(target: RunDir) -> None:
    """Nothing is written or deleted through a link: a run directory may come from somebody else.

    Raises:
        RunError: A link stands where the space would be.
    """
    inside = target.root.iterdir() if target.root.is_dir() and not target.root.is_symlink() else ()
    for path in (target.root.parent, target.root, *inside):
        if path.is_symlink():
            raise RunError(
                f"{path} is a symbolic link to {path.readlink()}, expected a folder or file of this run's own: nothing "
                "is written or deleted through links. Remove the link, then run the same command again"
            )


def _is_of(target: RunDir, origin: CrossOrigin) -> bool:
    """Whether what is stored is from the same checkpoint and by the same settings."""
    try:
        stored = target.origin()
    except RunError:  # damaged: stored anew
        return False
    if stored is None or not target.info_file.is_file():
        return False
    a, b = (
        replace(one, task={key: value for key, value in one.task.items() if key not in _WHERE_FROM})
        for one in (stored, origin)
    )
    return a == b


def _stored_layers(target: RunDir) -> tuple[int, ...]:
    """The layers of both snapshots; none unless both are whole."""
    try:
        reader = SnapshotReader(target.snapshots)
    except SnapshotError:
        return ()
    return reader.layers if len(reader.steps) == 2 else ()


def _forget(target: RunDir, *, keep_results: bool) -> None:
    """Delete snapshots and results of another checkpoint or other data: they must not be mixed with these.

    Args:
        target: The cross-task folder.
        keep_results: Only layers are added: finished cells stay true.
    """
    target.cross_file.unlink(missing_ok=True)
    for folder in (target.snapshots, *(() if keep_results else (target.results,))):
        if folder.is_dir():
            shutil.rmtree(folder)
    for file in (target.info_file, target.config_file, target.checksums_file, target.report_file, target.space_file):
        file.unlink(missing_ok=True)


def _describe(info: RunInfo, task: TaskSettings, texts: Texts, corpus: Corpus) -> RunInfo:
    note = (
        f"The encoder was tuned on {info.task}, not on {task.name} (E5). Step 0 is the pre-trained encoder, the other "
        f"step is {info.title} after its last update."
    )
    return replace(
        info,
        task=corpus.name,
        level=corpus.level,
        label_names=corpus.label_names,
        n_train=texts.data.encoded("train").n_examples,
        n_test=texts.data.encoded("test").n_examples,
        created=now(),
        git_commit=git_commit(),
        versions=versions(),
        checksums=dict(corpus.checksums),
        notes=(note, *corpus.notes),
    )


def _load_tuned(encoder: PooledEncoder, source: _Source) -> Moment:
    """Put the tuned weights into the encoder; returns when they are of.

    Raises:
        RunError: The checkpoint was written before the first update.
    """
    from closerlook.models.tuned_weights import load_tuned

    step, state = read_checkpoint(source.run)
    load_tuned(encoder, state)
    return Moment(step, source.info.epoch_of(step))
