"""Lightning loggers from plain settings; the W&B one plots everything over epochs and never stops a training."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb
from hydra.utils import instantiate
from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from closerlook.results.run import RunInfo
from closerlook.tracking import metric_names as names
from closerlook.tracking.log_results import define_metrics
from closerlook.tracking.wandb_run import sync_hint, without_key

log = logging.getLogger(__name__)


class RunLogger(WandbLogger):
    """Lightning's W&B logger on a run that is already open, with ``epoch`` as the axis of every metric.

    Lightning numbers epochs 0, 1, 2 and updates from 0; here both count what has been done, in fractions of an
    epoch, as the snapshots do: 1.0 is the end of the first epoch.

    Args:
        run: The open run.
        info: What the run is: how many updates an epoch has, and how many are planned.

    Attributes:
        info: The same; the trainer knows them better once it has started.
    """

    def __init__(self, run: wandb.Run, info: RunInfo) -> None:
        super().__init__(experiment=run)  # with a run given, Lightning defines no `*` metric of its own
        self.info = info
        self._warned = False

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log one row; trouble is one warning."""
        row = {key: float(value) for key, value in metrics.items() if key != names.EPOCH}
        if not row:
            return
        if step is not None:
            done = min(step + 1, self.info.n_updates)
            row |= {names.UPDATE: float(done), names.EPOCH: self.info.epoch_of(done)}
        try:
            define_metrics(self.experiment, row)
            self.experiment.log(row)
        except Exception as error:  # whatever W&B raises: training goes on
            self._warn(error)

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:
        """The resolved configuration is in the run already."""

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            log.warning(
                "W&B: logging failed (%s); training goes on, metrics.csv has everything. Later: %s",
                without_key(error),
                sync_hint(self.experiment),
            )


def build_loggers(
    nodes: Mapping[str, Mapping[str, Any] | None], *, run_dir: Path, info: RunInfo, run: wandb.Run | None = None
) -> list[Logger]:
    """The Lightning loggers of a configuration's ``logger`` group.

    Args:
        nodes: Settings by name. ``wandb`` stands for ``run``; any other node names its class in ``_target_``, and
            writes into the run directory unless it says otherwise.
        run_dir: The run's directory.
        info: What the run is.
        run: The open W&B run, when ``nodes`` has ``wandb``.

    Returns:
        The loggers, in the order of ``nodes``.

    Raises:
        ValueError: A node names no class, or ``wandb`` is asked for without a run.
        ModuleNotFoundError: The logger's package is missing; the message says how to install it.
    """
    return [_build(name, dict(node), run_dir, info, run) for name, node in nodes.items() if node is not None]


def _build(name: str, node: dict[str, Any], run_dir: Path, info: RunInfo, run: wandb.Run | None) -> Logger:
    if name == "wandb":
        if run is None:
            raise ValueError("logger.wandb needs an open run: pass run=, see closerlook.tracking.wandb_run.open_run")
        return RunLogger(run, info)
    if "_target_" not in node:
        raise ValueError(
            f"logger.{name}: got no _target_, expected the class of a Lightning logger, "
            "e.g. _target_: pytorch_lightning.loggers.CSVLogger (see conf/logger/)"
        )
    node.setdefault("save_dir", str(run_dir))
    try:
        return instantiate(node, _convert_="all")
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) or isinstance(error.__cause__, ModuleNotFoundError):
            raise ModuleNotFoundError(
                f"logger.{name} needs a package that is not installed: {error}. "
                f"Install it, e.g. `pip install 'closerlook[{name}]'`, or choose logger=csv"
            ) from error
        raise
