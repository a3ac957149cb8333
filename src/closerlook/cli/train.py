"""``train.py`` and ``closerlook-train``."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from omegaconf import DictConfig

from closerlook.cli.command_line import as_hydra_takes, shows_help
from closerlook.cli.one_message import announce_loading, in_multirun, one_clear_message, quiet
from closerlook.cli.streams import sturdy_streams
from closerlook.cli.sweep_tables import end_of_sweep, searches
from closerlook.config import TrainConfig, config_dir, register, typed
from closerlook.errors import UserError
from closerlook.files import write_text

if TYPE_CHECKING:
    from closerlook.results.run_dir import RunDir

# Waiting OpenMP threads must sleep: spinning ones made an epoch 12 times slower beside one busy process.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Asking for GPUs must not start CUDA in the process of a sweep: its jobs are forks of it.
os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
register()


def main() -> None:
    """Run one job or a sweep; the exit status is not 0 when any job is not finished."""
    sturdy_streams()
    if shows_help("train", sys.argv[1:]):
        return
    code: int | str | None = 0
    try:
        with one_clear_message():
            sys.argv[1:] = as_hydra_takes(sys.argv[1:], TrainConfig)
        announce_loading(sys.argv[1:])
        _main()
    except SystemExit as end:
        code = end.code
    unfinished = end_of_sweep()
    if code or unfinished or _refused:
        sys.exit(code or 1)


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="train")
def _main(composed: DictConfig) -> float | None:
    """One job; returns its score, the last validation accuracy, which sweepers may optimise."""
    with one_clear_message():
        config: TrainConfig = typed(composed)
        score = _job_of_sweep(config) if in_multirun() else _run(config)
        if score is None and searches():
            raise UserError(
                "the search has no score: expected a validation accuracy, which decides in place of the test set. "
                "Set task.validation_fraction, and see the job's own message above"
            )
        return score


@quiet
def _run(config: TrainConfig) -> float | None:
    from closerlook.cli.messages import print_training
    from closerlook.pipelines.fine_tune import train

    outcome = train(config, _record_command)
    print_training(outcome)
    return outcome.score


def _record_command(run: RunDir) -> None:
    """Write Hydra's own settings and the overrides into ``.hydra``, once the run begins; keys are left out."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from closerlook.redaction import redact

    hydra = HydraConfig.get()
    for name, node in (("hydra", {"hydra": hydra}), ("overrides", hydra.overrides.task)):
        plain = redact(OmegaConf.to_container(OmegaConf.create(node)))
        write_text(run.root / ".hydra" / f"{name}.yaml", OmegaConf.to_yaml(OmegaConf.create(plain)))


def _job_of_sweep(config: TrainConfig) -> float | None:
    """One job of a sweep: refused, or run, which finds out that it is finished; the sweep goes on."""
    from closerlook.pipelines.run_state import plan
    from closerlook.pipelines.sweep_jobs import in_own_process
    from closerlook.results.run_dir import RunDir

    run = RunDir(Path(config.run_dir))
    decision = plan(run, config)
    if decision.action == "refuse":
        _refused.append(str(run.root))
        print(f"refuse: {run.root} ({decision.reason})")
        return None
    if not config.sweep.isolate or not hasattr(os, "fork"):
        return _run(config)
    _import_ahead()
    return in_own_process(partial(_run_alone, config), run)


_refused: list[str] = []
"""Directories of jobs that this process has refused."""


def _run_alone(config: TrainConfig) -> float | None:
    with one_clear_message(alone=True):
        return _run(config)


def _import_ahead() -> None:
    """Import what every job needs once, in the process that they are forked from: seconds less per job."""
    import closerlook.pipelines.fine_tune  # noqa: F401


if __name__ == "__main__":
    main()
