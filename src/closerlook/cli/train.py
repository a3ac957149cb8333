"""``train.py`` and ``closerlook-train``."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from closerlook.cli.errors import in_multirun, one_clear_message, quiet
from closerlook.cli.estimate import print_total
from closerlook.cli.sweep import end_of_sweep
from closerlook.config import config_dir, register

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
def _main(config: DictConfig) -> float | None:
    """One job; returns the test accuracy, which sweepers may optimise."""
    with one_clear_message():
        if config.estimate:
            _estimate(config)
            return None
        return _job_of_sweep(config) if in_multirun() else _run(config)


@quiet
def _run(config: DictConfig) -> float | None:
    from closerlook.cli.messages import print_training
    from closerlook.pipelines.train import train

    outcome = train(config)
    print_training(outcome)
    return outcome.metrics.get("test/accuracy")


def _job_of_sweep(config: DictConfig) -> float | None:
    """One job of a sweep: skipped, refused or run; whatever becomes of it, the sweep goes on."""
    from closerlook.pipelines.run_state import plan
    from closerlook.pipelines.sweep import in_own_process

    settings = OmegaConf.to_container(config, resolve=True)
    run_dir = Path(settings["run_dir"])  # type: ignore[index,call-overload]
    decision = plan(run_dir, settings, overwrite=config.overwrite, ckpt_path=config.ckpt_path)  # type: ignore[arg-type]
    if decision.action in ("skip", "refuse"):
        print(f"{decision.action}: {run_dir} ({decision.reason})")
        return None
    if not config.sweep.isolate or not hasattr(os, "fork"):
        return _run(config)
    _import_ahead()
    return in_own_process(partial(_run_alone, config), run_dir)


def _run_alone(config: DictConfig) -> float | None:
    with one_clear_message(alone=True):
        return _run(config)


def _import_ahead() -> None:
    """Import what every job needs once, in the process that they are forked from: seconds less per job."""
    from importlib import import_module

    for name in (
        "pytorch_lightning",
        "transformers",
        "closerlook.callbacks.checkpoint",
        "closerlook.callbacks.snapshot",
    ):
        import_module(name)


@quiet
def _estimate(config: DictConfig) -> None:
    from closerlook.cli.estimate import estimate_job

    estimate_job(config)


if __name__ == "__main__":
    main()
