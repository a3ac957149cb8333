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

from closerlook.callbacks.checkpoint_file import CHECKPOINTS_FOLDER, LAST_FILE
from closerlook.data.task_settings import TaskSettings
from closerlook.files import sha256_of, write_text
from closerlook.pipelines.scopes import choose_layers
from closerlook.pipelines.spaces import build_space, store_examples, store_space, take_over_first
from closerlook.representations.reader import SnapshotReader
from closerlook.results.run import CONFIG_FILE, RUN_FILE, SNAPSHOTS_FOLDER, RunError, RunInfo, load_config
from closerlook.study.join import CROSS_FOLDER, CrossOrigin

if TYPE_CHECKING:
    from closerlook.data.datamodule import CorpusDataModule
    from closerlook.models.encoder import PooledEncoder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CrossTaskOutcome:
    """What storing the space of another task gave.

    Attributes:
        run_dir: A run directory of its own, to be probed like any other.
        info: What it is: task B, with a note that says what the encoder was tuned on.
        skipped: It was there already, from the same checkpoint.
    """

    run_dir: Path
    info: RunInfo
    skipped: bool = False


def task_settings(name: str, *, data_dir: str | None = None, **changes: Any) -> TaskSettings:
    """The settings of a task as its file in ``conf/task`` gives them.

    Args:
        name: A file of ``conf/task``, e.g. ``ps_fxn``.
        data_dir: Where source files are; stands for ``paths.data_dir``.
        **changes: Settings to change, e.g. ``limit_train_texts=64``.

    Raises:
        RunError: There is no such task.
    """
    from omegaconf import OmegaConf

    from closerlook.config import config_dir

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
    run_dir: Path,
    task: TaskSettings,
    *,
    layers: Any = "all",
    pretrained: Path | None = None,
    batch_size: int | None = None,
) -> CrossTaskOutcome:
    """Store the space of ``task`` in the encoder that a run tuned on its own task, before and after.

    The examples and the number type follow the run's own snapshot settings. Runs on a GPU when there is one.

    Args:
        run_dir: A finished run of train.py, with its last checkpoint.
        task: The other task; see :func:`task_settings`.
        layers: Which of the layers that the run stores: ``all``, ``blocks``, ``last``, or a list.
        pretrained: A run of that task from the same pre-trained encoder: its step 0 is taken over where it is of the
            same examples.
        batch_size: Texts per forward pass; None takes the run's.

    Returns:
        Where the snapshots are. They are kept when the checkpoint and the task's settings are the same as before.

    Raises:
        RunError: There is no run, it has no checkpoint or no configuration, ``task`` is its own task, or it stores no
            such layer.
        DataError: The task's data is missing or malformed.
        ModelError: The encoder cannot be loaded.
    """
    run_dir = Path(run_dir)
    info, config, checkpoint = _source(run_dir, task)
    target = run_dir / CROSS_FOLDER / task.name
    origin = CrossOrigin(info.task, info.title, _digest(checkpoint), _plain(task))
    wanted = choose_layers(layers, config["snapshot"].get("layers") or range(info.n_layers + 1))
    stored = _stored_layers(target) if _is_of(target, origin) else ()
    if set(wanted) <= set(stored):
        return CrossTaskOutcome(target, RunInfo.load(target), skipped=True)
    _forget(target, keep_results=bool(stored))
    encoder, data, checksums = build_space(config, task, info.seed, batch_size)
    found = _describe(info, task, data, checksums)
    settings = config["snapshot"] | {"layers": sorted({*wanted, *stored})}
    root = target / SNAPSHOTS_FOLDER
    subsets = store_examples(root, data, settings)
    step, epoch = _tuned_moment(checkpoint, info)
    dtype = settings.get("dtype", "float32")
    if pretrained is None or not take_over_first(root, tuple(settings["layers"]), dtype, pretrained / SNAPSHOTS_FOLDER):
        store_space(root, 0, 0.0, encoder, data, subsets, settings)
    _load_tuned(encoder, checkpoint)
    store_space(root, step, epoch, encoder, data, subsets, settings)
    write_text(
        target / CONFIG_FILE, _yaml(config | {"task": _plain(task), "snapshot": settings, "run_dir": str(target)})
    )
    origin.save(target)  # before run.json: without it the folder would pass for a run of its own
    found.save(target)
    return CrossTaskOutcome(target, found)


def _source(run_dir: Path, task: TaskSettings) -> tuple[RunInfo, dict[str, Any], Path]:
    info, config = RunInfo.load(run_dir), load_config(run_dir)
    checkpoint = run_dir / CHECKPOINTS_FOLDER / LAST_FILE
    if task.name == info.task:
        raise RunError(
            f"cross_task={task.name} is the task that {run_dir} was tuned on; choose another, or probe the run"
        )
    if not config:
        raise RunError(f"{run_dir} has no {CONFIG_FILE}, so its encoder cannot be rebuilt. Train it again")
    if not checkpoint.is_file():
        raise RunError(
            f"{run_dir} has no {CHECKPOINTS_FOLDER}/{LAST_FILE}, so there is no tuned encoder to look into. "
            "Run its train.py command again (callbacks=default keeps the last checkpoint)"
        )
    return info, config, checkpoint


def _plain(task: TaskSettings) -> dict[str, Any]:
    return asdict(task)


def _digest(checkpoint: Path) -> str:
    """SHA-256 of a checkpoint, computed once a process as long as the file is the same: they are large."""
    stat = checkpoint.stat()
    key = (checkpoint.resolve(), stat.st_mtime_ns, stat.st_size)
    if key not in _digests:
        _digests[key] = sha256_of(checkpoint)
    return _digests[key]


_digests: dict[tuple[Path, int, int], str] = {}
_WHERE_FROM = ("data_dir", "download")
"""Settings of a task that say where its files are, not what is in them."""


def _is_of(target: Path, origin: CrossOrigin) -> bool:
    """Whether what is stored is from the same checkpoint and the same examples."""
    stored = CrossOrigin.load(target)
    if stored is None or not (target / RUN_FILE).is_file():
        return False
    a, b = (
        replace(one, task={key: value for key, value in one.task.items() if key not in _WHERE_FROM})
        for one in (stored, origin)
    )
    return a == b


def _yaml(config: dict[str, Any]) -> str:
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(config))


def _stored_layers(target: Path) -> tuple[int, ...]:
    """The layers of both snapshots; none unless both are whole."""
    from closerlook.representations.format import SnapshotError

    try:
        reader = SnapshotReader(target / SNAPSHOTS_FOLDER)
    except SnapshotError:
        return ()
    return reader.layers if len(reader.steps) == 2 else ()


def _forget(target: Path, *, keep_results: bool) -> None:
    """Delete snapshots and results of another checkpoint: they must not be mixed with this one's.

    Args:
        target: The cross-task folder.
        keep_results: The checkpoint is the same and layers are added: finished cells stay true.
    """
    from closerlook.pipelines.run_state import clear
    from closerlook.results.run_dir import RunDir

    if not target.is_dir():
        return
    CrossOrigin.path(target).unlink(missing_ok=True)
    if keep_results:
        shutil.rmtree(target / SNAPSHOTS_FOLDER, ignore_errors=True)
    else:
        clear(RunDir(target))


def _describe(info: RunInfo, task: TaskSettings, data: CorpusDataModule, checksums: dict[str, str]) -> RunInfo:
    from closerlook.pipelines.provenance import git_commit, now, versions

    note = (
        f"The encoder was tuned on {info.task}, not on {task.name} (E5). Step 0 is the pre-trained encoder, the other "
        f"step is {info.title} after its last update."
    )
    return replace(
        info,
        task=data.corpus.name,
        level=data.corpus.level,
        label_names=data.corpus.label_names,
        n_train=data.encoded("train").n_examples,
        n_test=data.encoded("test").n_examples,
        created=now(),
        git_commit=git_commit(),
        versions=versions(),
        checksums=checksums,
        notes=(note, *data.corpus.notes),
    )


def _tuned_moment(checkpoint: Path, info: RunInfo) -> tuple[int, float]:
    """Updates and epochs at the last checkpoint.

    Raises:
        RunError: The checkpoint was written before the first update.
    """
    step = int(_read(checkpoint)["global_step"])
    if step < 1:
        raise RunError(f"{checkpoint} was written before the first update; train the run first")
    return step, round(step * info.n_epochs / max(info.n_updates, 1), 6)


def _read(checkpoint: Path) -> dict[str, Any]:
    import torch

    return dict(torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True))


def _load_tuned(encoder: PooledEncoder, checkpoint: Path) -> None:
    prefix = "encoder."
    state = _read(checkpoint)["state_dict"]
    encoder.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}, strict=True)
