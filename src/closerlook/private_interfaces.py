"""Everything that is used of other packages without being promised by them; a new version may move any of it.

Each use is listed in :data:`USES` with its reason; :func:`missing` says which of them a version no longer has.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from multiprocessing.context import Process

    from omegaconf import DictConfig
    from pytorch_lightning import Trainer
    from pytorch_lightning.callbacks import ModelCheckpoint


class Use(NamedTuple):
    """Something private of another package: where it is, its name (dots for parts), and why it is needed."""

    package: str
    module: str
    name: str
    reason: str


_CHECKPOINT = "pytorch_lightning.callbacks.model_checkpoint"
_LAST = "Lightning saves the last checkpoint only together with a new best one"
_PLAN = "a sweep is planned before it starts: Hydra tells nobody which jobs it is going to launch"

USES = (
    Use("pytorch-lightning", _CHECKPOINT, "ModelCheckpoint._should_skip_saving_checkpoint", _LAST),
    Use("pytorch-lightning", _CHECKPOINT, "ModelCheckpoint._monitor_candidates", _LAST),
    Use("pytorch-lightning", _CHECKPOINT, "ModelCheckpoint._save_topk_checkpoint", _LAST),
    Use("pytorch-lightning", _CHECKPOINT, "ModelCheckpoint._save_last_checkpoint", _LAST),
    Use(
        "pytorch-lightning",
        "pytorch_lightning.trainer.connectors.signal_connector",
        "_SignalConnector",
        "its `received_sigterm` is what the loops look at to stop between two updates",
    ),
    Use(
        "pytorch-lightning",
        "pytorch_lightning.strategies.launchers",
        "_MultiProcessingLauncher",
        "forked training processes must be told to stop, and named when they are killed",
    ),
    Use(
        "pytorch-lightning",
        "pytorch_lightning.trainer.trainer",
        "Trainer._fit_impl",
        "Lightning calls `on_exception` in the process that started the training, which has not trained",
    ),
    Use(
        "pytorch-lightning",
        "pytorch_lightning.callbacks.progress.rich_progress",
        "RichProgressBar._get_train_description",
        "the bar counts epochs from 0, people from 1",
    ),
    Use("hydra-core", "hydra._internal.core_plugins.basic_sweeper", "BasicSweeper.split_arguments", _PLAN),
    Use("hydra-core", "hydra._internal.config_loader_impl", "ConfigLoaderImpl.load_sweep_config", _PLAN),
    Use("hydra-core", "hydra.core.global_hydra", "GlobalHydra.config_loader", _PLAN),
)


def missing(uses: Sequence[Use] = USES) -> list[str]:
    """A line for each of ``uses`` that the installed version does not have."""
    return [_line(use) for use in uses if not _exists(use)]


def _exists(use: Use) -> bool:
    try:
        found: Any = importlib.import_module(use.module)
        for part in use.name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return False
    return True


def _line(use: Use) -> str:
    return f"{use.package} {version(use.package)} has no {use.module}.{use.name} any more; needed since {use.reason}"


def ask_to_stop(trainer: Trainer) -> None:
    """Let the training loops stop at the next place where they look, as if SIGTERM had come to Lightning's handler."""
    trainer._signal_connector.received_sigterm = True


def training_processes(trainer: Trainer) -> list[Process] | None:
    """The processes that this one has started to train, none yet before ``fit``; None when it trains itself."""
    from pytorch_lightning.strategies.launchers import _MultiProcessingLauncher

    launcher = trainer.strategy.launcher
    return launcher.procs if isinstance(launcher, _MultiProcessingLauncher) else None


def forks(trainer: Trainer) -> bool:
    """Whether training processes are forks of this one, which may run any function; spawned ones would pickle it."""
    launcher = trainer.strategy.launcher
    return training_processes(trainer) is not None and launcher is not None and launcher.is_interactive_compatible


def kill_training_processes(trainer: Trainer, signum: int) -> None:
    """Send a signal to the processes that this one has started."""
    launcher: Any = trainer.strategy.launcher
    launcher.kill(signum)


def wrap_fit(trainer: Trainer, wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Put something around the part of ``fit`` that runs in each training process."""
    trainer._fit_impl = wrapper(trainer._fit_impl)  # type: ignore[method-assign]


def save_checkpoints(callback: ModelCheckpoint, trainer: Trainer, *, best: bool) -> None:
    """Save the last checkpoint, and the best one when ``best`` is asked for and it is the best so far."""
    if callback._should_skip_saving_checkpoint(trainer):
        return
    candidates = callback._monitor_candidates(trainer)
    if best:
        callback._save_topk_checkpoint(trainer, candidates)
    callback._save_last_checkpoint(trainer, candidates)


def sweep_combinations(config: DictConfig) -> list[list[str]]:
    """The overrides of each job that Hydra's basic sweeper is going to launch.

    Args:
        config: The sweep's configuration, ``hydra`` included.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    parameters = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parsed = parser.parse_overrides([*parameters, *config.hydra.overrides.task])
    (combinations,) = BasicSweeper.split_arguments(parsed, None)
    return [list(overrides) for overrides in combinations]


@contextmanager
def job_of_sweep(config: DictConfig, overrides: Sequence[str], number: int) -> Iterator[DictConfig]:
    """One job's configuration, ``hydra`` included; inside the block ``${hydra:...}`` is that of the job.

    Args:
        config: The sweep's configuration, ``hydra`` included.
        overrides: The job's overrides.
        number: Its place in the sweep.
    """
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import open_dict, read_write

    job = GlobalHydra.instance().config_loader().load_sweep_config(config, list(overrides))
    before = HydraConfig.instance().cfg
    with open_dict(job), read_write(job):
        job.hydra.job.id, job.hydra.job.num = str(number), number
        try:
            HydraConfig.instance().set_config(job)
            yield job
        finally:
            HydraConfig.instance().cfg = before


def dashboard_json(made: Any) -> Any:
    """The JSON of a W&B workspace or report as the server would get it."""
    return json.loads(made._to_model().model_dump_json(by_alias=True))
