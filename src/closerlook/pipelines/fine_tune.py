"""Fine-tune one encoder on one task with one seed, and store its space along the way."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy

from closerlook.callbacks.history_logger import HistoryLogger
from closerlook.callbacks.snapshot import RunSnapshots
from closerlook.config import TrainConfig, as_yaml
from closerlook.data.tasks import load_corpus
from closerlook.errors import UserError
from closerlook.interruption import Interrupted, hand_over, interrupt, on_signals
from closerlook.models.export import Exported
from closerlook.models.finetuning_module import FineTuningModule
from closerlook.models.model_source import local_checksums
from closerlook.models.tuning_method import WeightCounts, count_weights
from closerlook.pipelines.build import Built, build
from closerlook.pipelines.export import export, withdraw
from closerlook.pipelines.fit import Listeners, check_nodes, fit, make_trainer, step_of
from closerlook.pipelines.instances import make
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
from closerlook.results.provenance import git_commit, now, versions
from closerlook.results.run import RunError, RunInfo
from closerlook.results.run_dir import RunDir
from closerlook.tracking.loggers import RunLogger

log = logging.getLogger(__name__)

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class TrainOutcome:
    """What training gave.

    Attributes:
        run_dir: The run's directory.
        info: What the run is.
        metrics: Test metrics of the tuned model; empty when the run was finished before.
        seconds: Wall time of the fit, snapshots included.
        snapshot_seconds: Wall time of the snapshots.
        n_snapshots: Snapshots on disk.
        score: The last validation accuracy; None without a validation split.
        skipped: The run was finished before with the same settings.
        model: The tuned model as a folder of transformers; None when none was written.
    """

    run_dir: Path
    info: RunInfo
    metrics: dict[str, float]
    seconds: float = 0.0
    snapshot_seconds: float = 0.0
    n_snapshots: int = 0
    score: float | None = None
    skipped: bool = False
    model: Path | None = None


@dataclass(frozen=True)
class Parts:
    """What a job is made of: the texts and the encoder, what trains it, and the run's description."""

    built: Built
    module: FineTuningModule
    info: RunInfo


def train(config: TrainConfig, begun: Callable[[RunDir], None] = lambda run: None) -> TrainOutcome:
    """Run one fine-tuning job.

    Args:
        config: The settings of train.py.
        begun: Called when the job is known to begin: it was neither refused nor finished before.

    Raises:
        RunError: The run directory holds another configuration, another process is at work in it, a checkpoint is
            damaged, or the disk is full.
        Interrupted: SIGTERM or Ctrl-C came; the same command goes on from there.
        DataError: The data is missing or malformed.
        ModelError: The encoder cannot be loaded.
        SnapshotError: A snapshot cannot be written.
    """
    run = RunDir(Path(config.run_dir))
    check_nodes(config)
    try:
        with on_signals(interrupt):
            if not is_leader():
                return _follow(config, run)
            with only_process(run):
                return _lead(config, run, begun)
    except Interrupted as stop:
        hand_over(stop.signum)
        raise


def _lead(config: TrainConfig, run: RunDir, begun: Callable[[RunDir], None]) -> TrainOutcome:
    """Decide, run, and record how it ended."""
    decision = decide(run, config)
    if decision.action == "skip":
        _still_of_the_same_files(config, run)
        return TrainOutcome(run.root, run.info(), {}, score=_score(run), skipped=True)
    if decision.action == "resume":
        log.info("going on from %s (%s)", decision.checkpoint, decision.reason)
    details = {"launch": launch_id(), "checkpoint": str(decision.checkpoint or "")}
    parts = None
    if config.overwrite and decision.action == "start" and has_computed(run):
        parts = prepare(config)  # a mistake in them must not cost the earlier run
        check_loggers(config, parts.info)
    if decision.action == "start":
        clear(run)

    def record(status: str, **more: str) -> None:
        write_state(run, status, identity_digest(config), **details, **more)

    record(RUNNING)
    begun(run)
    try:
        outcome = _fit(config, run, decision.checkpoint, parts or prepare(config))
    except (Interrupted, KeyboardInterrupt) as stop:
        record(INTERRUPTED, error=str(stop) or "stopped by SIGINT")
        raise
    except BaseException as error:
        with suppress(OSError):  # a full disk, say: the error itself matters more
            record(FAILED, error=f"{type(error).__name__}: {error}", traceback=traceback.format_exc())
        if isinstance(error, OSError) and error.errno in _DISK_FULL:
            raise RunError(_disk_full(run.root, error)) from error
        raise
    finally:
        forget_launch()
    run.seal(*(file for file in (run.history_file, run.last_checkpoint) if file.is_file()))
    record(FINISHED)
    return outcome


def _still_of_the_same_files(config: TrainConfig, run: RunDir) -> None:
    """A finished run is that of the same command only while data and weights are the files that it was made from.

    Raises:
        RunError: A file has changed; the message names it.
    """
    info = run.info()
    try:
        now_ = {"data": dict(load_corpus(config.task).checksums), "weights": local_checksums(config.model)}
    except UserError as error:  # gone, say: what was computed from them is still there
        log.warning("the data and weights of %s are not compared with those that it was made from: %s", run.root, error)
        return
    for name, before in (("data", info.checksums), ("weights", info.model_checksums)):
        changed = sorted(key for key in before.keys() | now_[name].keys() if before.get(key) != now_[name].get(key))
        if before and now_[name] and changed:
            raise RunError(
                f"{run.root} is finished with the same settings, but other {name}: {', '.join(changed)} changed since. "
                "Put the old files back, or train again with overwrite=true"
            )


def _score(run: RunDir) -> float | None:
    """The last validation accuracy, which a search over settings is scored on; None without a validation split."""
    history = run.history()
    if "val/accuracy" not in history or history["val/accuracy"].isna().all():
        return None
    return float(history["val/accuracy"].dropna().iloc[-1])


def _follow(config: TrainConfig, run: RunDir) -> TrainOutcome:
    """One more process of a launch: it does what the first one decided, and writes nothing of its own."""
    if plan(run, config).action == "skip":
        return TrainOutcome(run.root, run.info(), {}, skipped=True)
    parts = prepare(config)
    checkpoint = await_leader(run).checkpoint
    return _fit(config, run, Path(checkpoint) if checkpoint else None, parts, leads=False)


def _disk_full(run_dir: Path, error: OSError) -> str:
    free = shutil.disk_usage(run_dir).free / 1e6
    return (
        f"the disk is full: could not write {error.filename or 'a file'} in {run_dir} ({error.strerror}; "
        f"{free:.0f} MB are free). The last checkpoint and all complete snapshots are kept. Make room "
        "(`python train.py ... estimate=true` says how much), then run the same command again"
    )


def _fit(
    config: TrainConfig, run: RunDir, checkpoint: Path | None, parts: Parts, *, leads: bool = True
) -> TrainOutcome:
    data, module, info = parts.built.data, parts.module, parts.info
    with ExitStack() as stack:
        loggers: list[pl.loggers.Logger] = []
        if leads:
            info = _same_inputs(info, run, checkpoint)
            run.unseal(run.history_file, run.last_checkpoint)
            withdraw(run)
            run.save_info(info)
            run.save_config(as_yaml(config))
            if "fork" in str(config.trainer.get("strategy")):
                _prepare_wandb_for_forks()
            loggers = open_loggers(stack, config, info)
        history = HistoryLogger(run.root, step_of(checkpoint))

        def length(n_updates: int, per_epoch: int) -> None:
            known = with_length(info, n_updates, per_epoch)
            run.save_info(known)
            for logger in loggers:
                if isinstance(logger, RunLogger):
                    logger.info = known

        listeners = Listeners(length, live_sink(loggers))
        trainer = make_trainer(config, run, data, [history, *loggers], listeners)
        start = time.perf_counter()
        fit(trainer, module, data, checkpoint)
        seconds = time.perf_counter() - start
        history.reload()
        for logger in loggers:
            if isinstance(logger, RunLogger):  # what comes now is of the last update, however training ended
                logger.info = replace(run.info(), n_updates=trainer.global_step)
        tested = trainer.test(module, datamodule=data, verbose=False)
        snapshots = [c for c in trainer.callbacks if isinstance(c, RunSnapshots)]  # type: ignore[attr-defined]
        if snapshots and leads:
            log_snapshots(loggers, run.root, info)
        scores = {key: float(value) for key, value in tested[0].items()} if tested else {}
        exported = None
        if leads and config.export:
            exported = _export(config, run, parts, trainer, scores)
    return TrainOutcome(
        run_dir=run.root,
        info=run.info(),
        metrics=scores,
        seconds=seconds,
        snapshot_seconds=sum(c.seconds for c in snapshots),
        n_snapshots=len(list(run.snapshots.glob("step-*"))),
        score=_score(run),
        model=run.model if exported else None,
    )


def _export(
    config: TrainConfig, run: RunDir, parts: Parts, trainer: pl.Trainer, scores: dict[str, float]
) -> Exported | None:
    """Export the tuned model, unless its weights are spread over several devices."""
    if not isinstance(trainer.strategy, (SingleDeviceStrategy, DDPStrategy)):
        log.warning("the tuned model is not exported: %s spreads its weights", type(trainer.strategy).__name__)
        return None
    return export(run, config, parts.built, parts.module, run.info(), scores)


def _prepare_wandb_for_forks() -> None:
    """Two things that W&B watches raise an error of its own in a forked process: keep it from watching.

    It stands in for stdout, and it counts the import of some packages; what is imported before is not counted.
    """
    import sklearn.base  # noqa: F401 - live probes need it in the forked process

    os.environ.setdefault("WANDB_CONSOLE", "off")


def _same_inputs(info: RunInfo, run: RunDir, checkpoint: Path | None) -> RunInfo:
    """The run's description; a resumed run must find the data and the weights that it started with.

    Raises:
        RunError: They have changed.
    """
    if checkpoint is None or not run.info_file.is_file():
        return info
    before = run.info()
    for name in ("checksums", "model_revision", "model_checksums", "label_names"):
        was, now_ = getattr(before, name), getattr(info, name)
        if was and was != now_:  # earlier versions did not record all of them
            raise RunError(
                f"{run.root} was begun with other inputs: {name} was {was}, now {now_}. Going on would mix the two. "
                "Put the old files back, or train again from the start with overwrite=true"
            )
    return replace(info, created=before.created)


def prepare(config: TrainConfig) -> Parts:
    """Seed, read the data, load the encoder; nothing is written to the run directory.

    Raises:
        DataError: The data is missing or malformed.
        ModelError: The encoder cannot be loaded.
        RunError: The optimizer has no such setting.
    """
    built = build(config, load_corpus(config.task))
    tuning = config.finetuning
    module = FineTuningModule(
        built.encoder,
        len(built.corpus.label_names),
        optimizer=make(config.optimizer, "optimizer"),
        warmup_fraction=tuning.warmup_fraction,
        head_dropout=tuning.head_dropout,
        weight_decay=float(config.optimizer.get("weight_decay", 0.0)),
        rate_factor=config.method.rate_factor,
        layer_decay=tuning.layer_decay,
        head_epochs=config.method.head_epochs,
        head_updates=config.method.head_updates,
        compile_encoder=tuning.compile,
    )
    module.train()  # `from_pretrained` leaves the encoder in evaluation mode, and Lightning keeps the mode it finds
    return Parts(built, module, _describe(config, built, count_weights(module)))


def with_length(info: RunInfo, n_updates: int, per_epoch: int) -> RunInfo:
    """A run's description with the length of its training: updates in all, and of an epoch."""
    return replace(info, n_updates=n_updates, updates_per_epoch=per_epoch, n_epochs=-(-n_updates // per_epoch))


def _describe(config: TrainConfig, built: Built, weights: WeightCounts) -> RunInfo:
    corpus, loaded, data = built.corpus, built.loaded, built.data
    notes = [*corpus.notes, *built.encoder.notes]
    notes += [f"{split}: {data.encoded(split).report.summary()}" for split in data.splits]
    for note in notes:
        log.info(note)
    return RunInfo(
        task=corpus.name,
        level=corpus.level,
        model=config.model.name,
        model_source=loaded.source,
        model_revision=loaded.revision,
        seed=config.seed,
        label_names=corpus.label_names,
        n_layers=loaded.n_layers,
        hidden_size=loaded.hidden_size,
        n_train=data.encoded("train").n_examples,
        n_test=data.encoded("test").n_examples,
        n_epochs=0,  # the trainer knows how long it is going to be, when it starts
        n_updates=0,
        created=now(),
        git_commit=git_commit(),
        versions=versions(),
        checksums=dict(corpus.checksums),
        notes=tuple(notes),
        variant=config.variant,
        model_checksums=loaded.checksums,
        method=config.method.label,
        n_parameters=weights.total,
        n_trained=weights.trained,
    )
