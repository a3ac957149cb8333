"""``train.py`` and ``closerlook-train``."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import hydra
from omegaconf import DictConfig

from closerlook.cli.estimate_tables import print_total
from closerlook.cli.one_message import in_multirun, one_clear_message, quiet
from closerlook.cli.sweep_tables import end_of_sweep
from closerlook.config import TrainConfig, config_dir, register, typed

# Waiting OpenMP threads must sleep: spinning ones made an epoch 12 times slower beside one busy process.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Asking for GPUs must not start CUDA in the process of a sweep: its jobs are forks of it.
os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
register()


def main() -> None:
    """Run one job or a sweep; the exit status is not 0 when any job is not finished."""
    code: int | str | None = 0
    try:
        _main()
    except SystemExit as end:
        code = end.code
    print_total()
    unfinished = end_of_sweep()
    if code or unfinished:
        sys.exit(code or 1)


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="train")
def _main(composed: DictConfig) -> float | None:
    """One job; returns the test accuracy, which sweepers may optimise."""
    with one_clear_message():
        config: TrainConfig = typed(composed)
        if config.estimate:
            _estimate(config)
            return None
        return _job_of_sweep(config) if in_multirun() else _run(config)


@quiet
def _run(config: TrainConfig) -> float | None:
    from closerlook.cli.messages import print_training
    from closerlook.pipelines.fine_tune import train

    outcome = train(config)
    print_training(outcome)
    return outcome.metrics.get("test/accuracy")


def _job_of_sweep(config: TrainConfig) -> float | None:
    """One job of a sweep: skipped, refused or run; whatever becomes of it, the sweep goes on."""
    from closerlook.pipelines.run_state import plan
    from closerlook.pipelines.sweep_jobs import in_own_process
    from closerlook.results.run_dir import RunDir

    run = RunDir(Path(config.run_dir))
    decision = plan(run, config)
    if decision.action in ("skip", "refuse"):
        print(f"{decision.action}: {run.root} ({decision.reason})")
        return None
    if not config.sweep.isolate or not hasattr(os, "fork"):
        return _run(config)
    _import_ahead()
    return in_own_process(partial(_run_alone, config), run)


def _run_alone(config: TrainConfig) -> float | None:
    with one_clear_message(alone=True):
        return _run(config)


def _import_ahead() -> None:
    """Import what every job needs once, in the process that they are forked from: seconds less per job."""
    import closerlook.pipelines.fine_tune  # noqa: F401


@quiet
def _estimate(config: TrainConfig) -> None:
    from closerlook.cli.estimate_tables import estimate_job

    estimate_job(config)


if __name__ == "__main__":
    main()
