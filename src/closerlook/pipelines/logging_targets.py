"""Dashboards of a job: opened before it starts, closed on every way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from hydra.errors import InstantiationException
from pytorch_lightning.loggers import Logger

from closerlook.config import TrainConfig
from closerlook.pipelines.example_sample import example_sample
from closerlook.representations.format import SnapshotError
from closerlook.representations.reader import SnapshotReader
from closerlook.results.run import RunError, RunInfo, RunResults
from closerlook.results.run_dir import RunDir
from closerlook.tracking.artifacts import artifact_name, log_snapshots_artifact
from closerlook.tracking.log_results import log_live, log_probed_run
from closerlook.tracking.loggers import RunLogger, build_loggers
from closerlook.tracking.wandb_run import open_run
from closerlook.tracking.wandb_settings import WandbSettings


def open_loggers(stack: ExitStack, config: TrainConfig, info: RunInfo) -> list[Logger]:
    """Open the configured loggers; ``stack`` closes them however the job ends.

    Args:
        stack: Closes what is opened here.
        config: The settings.
        info: What the run is.

    Raises:
        RunError: A package is missing, or a setting is wrong.
    """
    nodes, run_dir = config.logger or {}, Path(config.run_dir)
    run = _open_wandb(stack, nodes, asdict(config), run_dir, info, "train")
    with _one_clear_error():
        return build_loggers(nodes, run_dir=run_dir, info=info, run=run)


def check_loggers(config: TrainConfig, info: RunInfo) -> None:
    """Find mistakes in the loggers' settings before anything is written.

    Raises:
        RunError: A package is missing, or a setting is wrong.
    """
    nodes = dict(config.logger or {})
    with _one_clear_error():
        if (wandb := nodes.pop("wandb", None)) is not None:
            WandbSettings.from_dict(wandb)
        build_loggers(nodes, run_dir=Path(config.run_dir), info=info)  # Lightning's loggers write with the first metric


@contextmanager
def _one_clear_error() -> Iterator[None]:
    try:
        yield
    except (ImportError, ValueError, TypeError, InstantiationException) as error:
        cause = " ".join(str(error).split())
        if not cause.startswith("logger."):
            cause = (
                f"the logger cannot be set up: {cause}. Expected the settings of one of conf/logger/, "
                "e.g. logger=wandb, csv, tensorboard or none"
            )
        raise RunError(cause) from error


def _open_wandb(
    stack: ExitStack, nodes: Mapping[str, Any], config: dict[str, Any], run_dir: Path, info: RunInfo, job_type: str
) -> Any:
    if nodes.get("wandb") is None:
        return None
    with _one_clear_error():
        settings = WandbSettings.from_dict(nodes["wandb"])
    return stack.enter_context(open_run(settings, run_dir=run_dir, info=info, config=config, job_type=job_type))


def live_sink(loggers: list[Any]) -> Callable[[pd.DataFrame], None]:
    """Send tables of live probes to every logger that takes metrics."""

    def sink(table: pd.DataFrame) -> None:
        for logger in loggers:
            log_live(logger, table)

    return sink


def log_snapshots(loggers: list[Any], run_dir: Path, info: RunInfo) -> None:
    """Record the snapshots as an output of the W&B run, if there is one."""
    folder = RunDir(run_dir).snapshots
    for logger in loggers:
        if isinstance(logger, RunLogger):
            digests = snapshot_digests(folder)
            log_snapshots_artifact(logger.experiment, folder, name=artifact_name(info), metadata={"digests": digests})


def track_results(settings: dict[str, Any], run_dir: Path, results: RunResults) -> None:
    """Log a probed run to W&B as a job of its own that declares the snapshots as its input."""
    nodes = settings.get("logger") or {}
    if nodes.get("wandb") is None:
        return
    with _one_clear_error():
        wandb_settings = WandbSettings.from_dict(nodes["wandb"])
    run = RunDir(run_dir)
    examples = example_sample(run, results, wandb_settings.examples)
    log_probed_run(wandb_settings, results, settings, snapshot_digests(run.snapshots), examples)


def snapshot_digests(folder: Path) -> dict[str, str]:
    """Digest of every stored layer, by ``step/split/layer``; empty when nothing is stored."""
    try:
        reader = SnapshotReader(folder)
    except SnapshotError:
        return {}
    return {
        f"step-{step}/{split}/layer-{layer:02d}": reader.checksum(step, split, layer)
        for step in reader.steps
        for split in reader.splits
        for layer in reader.layers
    }
