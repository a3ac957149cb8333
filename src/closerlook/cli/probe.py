"""``probe.py`` and ``closerlook-probe``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from closerlook.cli.errors import one_clear_message, quiet
from closerlook.config import config_dir, register

_SOURCES = ("run_dir", "runs", "vectors", "released_dir")

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
register()


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="probe")
def main(config: DictConfig) -> None:
    """Probe one run, or vectors of your own."""
    with one_clear_message():
        _run(config)


@quiet
def _run(config: DictConfig) -> None:
    from closerlook.results.run import RunError

    chosen = [name for name in _SOURCES if config[name] is not None]
    if len(chosen) > 1:
        raise RunError(f"got {' and '.join(chosen)}, expected one of {', '.join(_SOURCES)}: leave the others out")
    if config.runs is not None:
        _join(config)
    elif config.vectors is not None or config.released_dir is not None:
        _vectors(config)
    else:
        _probe(config)


def _probe(config: DictConfig) -> None:
    from closerlook.cli.messages import print_probing
    from closerlook.pipelines.probe import probe

    if config.cross_task is not None:
        from closerlook.pipelines.cross_task import run_cross_task, task_settings
        from closerlook.results.run import RunError

        if config.run_dir is None:
            raise RunError("cross_task needs run_dir: the run whose tuned encoder is to look at the other task")
        task = task_settings(config.cross_task, data_dir=config.paths.data_dir)
        config.run_dir = str(run_cross_task(Path(config.run_dir), task).run_dir)
    outcome = probe(config)
    print_probing(outcome)
    if outcome.failed:
        raise SystemExit(1)


def _vectors(config: DictConfig) -> None:
    from closerlook.cli.messages import print_vectors
    from closerlook.pipelines.probe_vectors import probe_vectors

    for space in probe_vectors(OmegaConf.to_container(config, resolve=True)):  # type: ignore[arg-type]
        print_vectors(space)


def _join(config: DictConfig) -> None:
    from rich.console import Console

    from closerlook.pipelines.study import study
    from closerlook.study.terminal import print_study

    logger: dict[str, Any] = OmegaConf.to_container(config.logger or {}, resolve=True)  # type: ignore[assignment]
    output = None if config.output_dir is None else Path(config.output_dir)
    outcome = study(Path(config.runs), output_dir=output, logger=logger, tags=tuple(config.tags), report=config.report)
    console = Console(highlight=False)
    print_study(outcome.summary, outcome.claims, console)
    console.print(f"  {len(outcome.study.runs)} runs joined in {outcome.seconds:.1f} s", soft_wrap=True)
    console.print(f"  results: {outcome.table_file}\n  claims:  {outcome.claims_file}", soft_wrap=True)
    if outcome.page is not None:
        console.print(f"  page:    [bold]{outcome.page}[/bold]  (open it in a browser)", soft_wrap=True)


if __name__ == "__main__":
    main()
