"""Fine-tune one encoder on one task with one seed, and store its space along the way."""

from __future__ import annotations

import errno
import logging
import math
import os
import shutil
import signal
import time
import traceback
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from closerlook.callbacks.interruption import Interrupted, hand_over, stoppable
from closerlook.pipelines.launch import await_leader, forget_launch, is_leader, launch_id
from closerlook.pipelines.logging_targets import check_loggers, live_sink, log_snapshots, open_loggers
from closerlook.pipelines.run_state import (
    FAILED,
    FINISHED,
    INTERRUPTED,
    RUNNING,
    clear,
    decide,
    has_computed,
    identity_digest,
    only_process,
    plan,
    write_state,
)
from closerlook.results.run import RESULTS_FOLDER, SNAPSHOTS_FOLDER, RunError, RunInfo
from closerlook.results.run_dir import RunDir

log = logging.getLogger(__name__)

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class TrainOutcome:
    """What training gave.

    Attributes:
        run_dir: The run's directory.
        info: What the run is; None when it was finished before and skipped.
        metrics: Test metrics of the tuned model.
        seconds: Wall time of the fit, snapshots included.
        snapshot_seconds: Wall time of the snapshots.
        n_snapshots: Snapshots on disk.
        skipped: The run was finished before with the same settings.
    """

    run_dir: Path
    info: RunInfo | None
    metrics: dict[str, float]
    seconds: float = 0.0
    snapshot_seconds: float = 0.0
    n_snapshots: int = 0
    skipped: bool = False


def train(config: DictConfig) -> TrainOutcome:
    """Run one fine-tuning job.

    Args:
        config: A composed ``train`` configuration.

    Raises:
        RunError: The run directory holds another configuration, another process is at work in it, a checkpoint is
            damaged, or the disk is full.
        Interrupted: SIGTERM or Ctrl-C came; the same command goes on from there.
        DataError: The data is missing or malformed.
        ModelError: The encoder cannot be loaded.
        SnapshotError: A snapshot cannot be written.
    """
    settings: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    run_dir = Path(settings["run_dir"])
    try:
        with stoppable():
            if not is_leader():
                return _follow(config, settings, run_dir)
            with only_process(run_dir):
                return _lead(config, settings, run_dir)
    except Interrupted as stop:
        hand_over(stop.signum)
        raise


def _lead(config: DictConfig, settings: dict[str, Any], run_dir: Path) -> TrainOutcome:
    """Decide, run, and record how it ended."""
    decision = decide(run_dir, settings, overwrite=settings["overwrite"], ckpt_path=settings["ckpt_path"])
    if decision.action == "skip":
        return TrainOutcome(run_dir, RunDir(run_dir).info(), {}, skipped=True)
    if decision.action == "resume":
        log.info("going on from %s (%s)", decision.checkpoint, decision.reason)
    details = {"launch": launch_id(), "checkpoint": str(decision.checkpoint or "")}
    parts = None
    if settings["overwrite"] and decision.action == "start" and has_computed(run_dir):
        parts = prepare(config, settings)  # a mistake in them must not cost the earlier run
        check_loggers(settings, run_dir, parts.info)
    if decision.action == "start":
        clear(run_dir)

    def record(status: str, **more: str) -> None:
        write_state(run_dir, status, identity_digest(settings), **details, **more)

    record(RUNNING)
    try:
        outcome = _fit(config, settings, run_dir, decision.checkpoint, parts or prepare(config, settings))
    except (Interrupted, KeyboardInterrupt) as stop:
        record(INTERRUPTED, error=str(stop) or "stopped by SIGINT")
        raise
    except BaseException as error:
        with suppress(OSError):  # a full disk, say: the error itself matters more
            record(FAILED, error=f"{type(error).__name__}: {error}", traceback=traceback.format_exc())
        if isinstance(error, OSError) and error.errno in _DISK_FULL:
            raise RunError(_disk_full(run_dir, error)) from error
        raise
    finally:
        forget_launch()
    record(FINISHED)
    return outcome


def _follow(config: DictConfig, settings: dict[str, Any], run_dir: Path) -> TrainOutcome:
    """One more process of a launch: it does what the first one decided, and writes nothing of its own."""
    planned = plan(run_dir, settings, overwrite=settings["overwrite"], ckpt_path=settings["ckpt_path"])
    if planned.action == "skip":
        return TrainOutcome(run_dir, RunDir(run_dir).info(), {}, skipped=True)
    parts = prepare(config, settings)
    checkpoint = await_leader(run_dir).checkpoint
    return _fit(config, settings, run_dir, Path(checkpoint) if checkpoint else None, parts, leads=False)


def _disk_full(run_dir: Path, error: OSError) -> str:
    free = shutil.disk_usage(run_dir).free / 1e6
    return (
        f"the disk is full: could not write {error.filename or 'a file'} in {run_dir} ({error.strerror}; "
        f"{free:.0f} MB are free). The last checkpoint and all complete snapshots are kept. Make room "
        "(`python train.py ... estimate=true` says how much), then run the same command again"
    )


@dataclass(frozen=True)
class Parts:
    """What a job is made of.

    Attributes:
        data: The datamodule, set up.
        module: The LightningModule.
        info: What the run is.
    """

    data: Any
    module: Any
    info: RunInfo


def prepare(config: DictConfig, settings: dict[str, Any]) -> Parts:
    """Seed, read the data, load the encoder; nothing is written to the run directory.

    Raises:
        DataError: The data is missing or malformed.
        ModelError: The encoder cannot be loaded.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # forked workers would warn and fall back to it anyway
    import pytorch_lightning as pl

    pl.seed_everything(settings["seed"], workers=True, verbose=False)
    return Parts(*build(config, settings))


def _fit(
    config: DictConfig,
    settings: dict[str, Any],
    run_dir: Path,
    checkpoint: Path | None,
    parts: Parts,
    *,
    leads: bool = True,
) -> TrainOutcome:
    from hydra.utils import instantiate

    from closerlook.callbacks.checkpoint import AtomicCheckpointIO
    from closerlook.callbacks.history_logger import HistoryLogger
    from closerlook.callbacks.snapshot import SnapshotCallback

    data, module, info = parts.data, parts.module, parts.info
    with ExitStack() as stack:
        loggers: list[Any] = []
        if leads:
            info = _same_inputs(info, run_dir, checkpoint)
            RunDir(run_dir).save_info(info)
            RunDir(run_dir).save_config(OmegaConf.to_yaml(config, resolve=True))
            if "fork" in str(settings["trainer"].get("strategy")):
                _prepare_wandb_for_forks()
            loggers = open_loggers(stack, settings, run_dir, info, job_type="train")
        history = HistoryLogger(run_dir, _step_of(checkpoint))
        callbacks = _callbacks(config, settings, run_dir, loggers)
        options: dict[str, Any] = {} if "validation" in data.splits else {"limit_val_batches": 0}
        trainer = instantiate(config.trainer, _convert_="object", _partial_=True)(
            callbacks=callbacks,
            logger=[history, *loggers],
            default_root_dir=str(run_dir),
            plugins=[*_plugins(config), AtomicCheckpointIO()],
            **options,
        )
        start = time.perf_counter()
        _run_to_the_end(trainer, module, data, checkpoint)
        history.reload()
        seconds = time.perf_counter() - start
        tested = trainer.test(module, datamodule=data, verbose=False)
        snapshots = [c for c in callbacks if isinstance(c, SnapshotCallback)]
        if snapshots and leads:
            log_snapshots(loggers, run_dir, info)
    return TrainOutcome(
        run_dir=run_dir,
        info=info,
        metrics={key: float(value) for key, value in tested[0].items()} if tested else {},
        seconds=seconds,
        snapshot_seconds=sum(c.seconds for c in snapshots),
        n_snapshots=len(list((run_dir / SNAPSHOTS_FOLDER).glob("step-*"))),
    )


def _prepare_wandb_for_forks() -> None:
    """Two things that W&B watches raise an error of its own in a forked process: keep it from watching.

    It stands in for stdout, and it counts the import of some packages; what is imported before is not counted.
    """
    import sklearn.base  # noqa: F401 - live probes need it in the forked process

    os.environ.setdefault("WANDB_CONSOLE", "off")


def _run_to_the_end(trainer: Any, module: Any, data: Any, checkpoint: Path | None) -> None:
    """Train; when a signal asked to stop, raise once everything is saved.

    Raises:
        Interrupted: SIGTERM or Ctrl-C came.
        RunError: One of several training processes was killed.
    """
    from pytorch_lightning.utilities.exceptions import SIGTERMException
    from torch.multiprocessing.spawn import ProcessException

    from closerlook.callbacks.graceful_stop import STOPPED, GracefulStop, killed_worker, passing_signals_to_workers

    stop = next(c for c in trainer.callbacks if isinstance(c, GracefulStop))
    path = str(checkpoint) if checkpoint else None
    try:
        with passing_signals_to_workers(trainer, stop):
            trainer.fit(module, datamodule=data, ckpt_path=path, weights_only=True)
    except SIGTERMException:
        raise Interrupted(stop.signum or signal.SIGTERM) from None
    except ProcessException as error:
        if getattr(error, "exit_code", None) == STOPPED:
            raise Interrupted(stop.signum or signal.SIGTERM) from None
        if (killed := killed_worker(trainer)) is not None:
            raise RunError(
                f"a training process was killed: {killed} (out of memory? the kernel ends processes with SIGKILL; "
                "see dmesg). The others have ended. The same command goes on from the last checkpoint"
            ) from error
        raise
    except SystemExit:  # Lightning's answer to Ctrl-C
        if trainer.interrupted:
            raise Interrupted(signal.SIGINT) from None
        raise
    if trainer.interrupted or stop.signum is not None:
        raise Interrupted(stop.signum or signal.SIGINT)


def _same_inputs(info: RunInfo, run_dir: Path, checkpoint: Path | None) -> RunInfo:
    """The run's description; a resumed run must find the data and the weights that it started with.

    Raises:
        RunError: They have changed.
    """
    if checkpoint is None or not RunDir(run_dir).info_file.is_file():
        return info
    before = RunDir(run_dir).info()
    for name in ("checksums", "model_revision", "label_names", "n_updates"):
        was, now = getattr(before, name), getattr(info, name)
        if was != now:
            raise RunError(
                f"{run_dir} was begun with other inputs: {name} was {was}, now {now}. Going on would mix the two. "
                "Put the old files back, or train again from the start with overwrite=true"
            )
    return replace(info, created=before.created)


def _plugins(config: DictConfig) -> list[Any]:
    """Lightning plugins of the user's own."""
    from hydra.utils import instantiate

    return list(instantiate(config.trainer.get("plugins")) or [])


def build(config: DictConfig, settings: dict[str, Any]) -> tuple[Any, Any, RunInfo]:
    """The data, the module and the run's description, from flat settings."""
    from hydra.utils import instantiate

    from closerlook.data.datamodule import CorpusDataModule
    from closerlook.data.task_settings import TaskSettings
    from closerlook.data.tasks import load_corpus
    from closerlook.models.encoder import PooledEncoder
    from closerlook.models.encoder_settings import ModelSettings
    from closerlook.models.finetuning_module import FineTuningModule
    from closerlook.models.loading import load_encoder

    task, tuning, model = settings["task"], settings["finetuning"], ModelSettings(**settings["model"])
    corpus = load_corpus(TaskSettings(**task))
    loaded = load_encoder(model, seed=settings["seed"])
    data = CorpusDataModule(
        corpus,
        loaded.tokenizer,
        batch_size=tuning["batch_size"],
        eval_batch_size=tuning["eval_batch_size"],
        seed=settings["seed"],
        allow_truncation=task["allow_truncation"],
        allow_dropped_words=task["allow_dropped_words"],
        **loaded.encoding_options(task["max_length"]),
    )
    data.setup()
    encoder = PooledEncoder(loaded, corpus.level, final_norm=settings["snapshot"]["final_norm"])
    module = FineTuningModule(
        encoder,
        len(corpus.label_names),
        optimizer=instantiate(config.optimizer),
        warmup_fraction=tuning["warmup_fraction"],
        head_dropout=tuning["head_dropout"],
        weight_decay=float(settings["optimizer"].get("weight_decay", 0.0)),
        freeze_encoder=tuning["freeze_encoder"],
        compile_encoder=tuning["compile"],
    )
    module.train()  # `from_pretrained` leaves the encoder in evaluation mode, and Lightning keeps the mode it finds
    return data, module, _describe(settings, corpus, loaded, data, encoder.notes)


def _describe(settings: dict[str, Any], corpus: Any, loaded: Any, data: Any, encoder_notes: tuple[str, ...]) -> RunInfo:
    from closerlook.pipelines.provenance import git_commit, now, versions

    batches = len(data.train_dataloader())
    notes = [*corpus.notes, *encoder_notes]
    notes += [f"{split}: {data.encoded(split).report.summary()}" for split in data.splits]
    for note in notes:
        log.info(note)
    return RunInfo(
        task=corpus.name,
        level=corpus.level,
        model=settings["model"]["name"],
        model_source=loaded.source,
        model_revision=loaded.revision,
        seed=settings["seed"],
        label_names=corpus.label_names,
        n_layers=loaded.n_layers,
        hidden_size=loaded.hidden_size,
        n_train=data.encoded("train").n_examples,
        n_test=data.encoded("test").n_examples,
        n_epochs=settings["finetuning"]["epochs"],
        n_updates=_updates_per_epoch(batches, settings["trainer"]) * settings["finetuning"]["epochs"],
        created=now(),
        git_commit=git_commit(),
        versions=versions(),
        checksums=dict(corpus.checksums),
        notes=tuple(notes),
    )


def _updates_per_epoch(batches: int, trainer: dict[str, Any]) -> int:
    """Optimizer updates in an epoch when the batches are shared out over processes and accumulated."""
    return math.ceil(math.ceil(batches / n_processes(trainer)) / int(trainer.get("accumulate_grad_batches", 1)))


def n_processes(trainer: dict[str, Any]) -> int:
    """How many processes a trainer's settings ask for, over all machines."""
    devices = trainer.get("devices", 1)
    if isinstance(devices, list):
        devices = len(devices)
    if not isinstance(devices, int) or devices < 1:  # "auto" or -1: all there are
        import torch

        devices = max(1, torch.cuda.device_count())
    return devices * int(trainer.get("num_nodes", 1))


def _callbacks(config: DictConfig, settings: dict[str, Any], run_dir: Path, loggers: list[Any]) -> list[Any]:
    from hydra.utils import instantiate

    from closerlook.callbacks.graceful_stop import GracefulStop
    from closerlook.callbacks.live_probe import LiveProbeCallback
    from closerlook.callbacks.snapshot import SnapshotCallback
    from closerlook.models.encoder_settings import SnapshotSettings

    callbacks = [instantiate(node) for node in (config.callbacks or {}).values() if node is not None]
    if not settings["trainer"].get("enable_progress_bar", True):
        from pytorch_lightning.callbacks import ProgressBar

        callbacks = [c for c in callbacks if not isinstance(c, ProgressBar)]
    if settings["snapshot"]["enabled"]:
        snapshot = SnapshotSettings(**settings["snapshot"])
        default = settings["finetuning"]["eval_batch_size"]
        callbacks.insert(0, SnapshotCallback(run_dir / SNAPSHOTS_FOLDER, snapshot, default_batch_size=default))
    callbacks.insert(0, GracefulStop())
    for callback in callbacks:
        if isinstance(callback, LiveProbeCallback):
            callback.attach(run_dir / RESULTS_FOLDER)
            callback.sinks.append(live_sink(loggers))
    return callbacks


def _step_of(checkpoint: Path | None) -> int | None:
    """The number of updates at a checkpoint.

    Raises:
        RunError: It is no checkpoint, or holds Python objects, which are never unpickled.
    """
    if checkpoint is None:
        return None
    import pickle  # its errors only

    import torch

    try:
        return int(torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["global_step"])
    except (pickle.UnpicklingError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"the checkpoint {checkpoint} cannot be read: got {type(error).__name__}, expected tensors and plain "
            "values of a run of train.py (Python objects are never unpickled). Pass another one with ckpt_path=..."
        ) from error
