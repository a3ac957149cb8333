"""``probe.py`` and ``closerlook-probe``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from omegaconf import DictConfig

from closerlook.cli.command_line import as_hydra_takes, shows_help
from closerlook.cli.console import Console
from closerlook.cli.one_message import announce_loading, one_clear_message, quiet
from closerlook.cli.streams import sturdy_streams
from closerlook.config import ProbeConfig, config_dir, register, typed
from closerlook.errors import UserError

if TYPE_CHECKING:
    from closerlook.pipelines.join_runs import StudyOutcome

# What else is imported inside functions loads pandas or torch, for seconds: --help and a mistyped key do not wait.

_SOURCES = ("run_dir", "runs", "checkpoints", "vectors", "released_dir")
_DRY_RUN = "--dry-run"

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
register()


def main() -> None:
    """Probe one run, all runs below a directory, models that exist, or vectors of your own; join runs."""
    sturdy_streams()
    if shows_help("probe", sys.argv[1:]):
        return
    with one_clear_message():
        _refuse_group_of_models(sys.argv[1:])
        sys.argv[1:] = as_hydra_takes(as_overrides(sys.argv[1:]), ProbeConfig)
    announce_loading(sys.argv[1:])
    _main()


def _refuse_group_of_models(arguments: Sequence[str]) -> None:
    """``model=...`` of train.py chooses one model; here they are listed.

    Raises:
        UserError: It is there.
    """
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if equals and key in ("model", "snapshot"):
            instead = f"name it in the list: checkpoints=[{value}]" if key == "model" else "set snapshot.<setting>=..."
            raise UserError(f"{argument}: probe.py has no such group; {instead}")


def as_overrides(arguments: Sequence[str]) -> list[str]:
    """The command line with ``--dry-run``, which Hydra does not know, as an override of the dashboards."""
    if _DRY_RUN not in arguments:
        return list(arguments)
    kept = [item for item in arguments if item != _DRY_RUN and not item.startswith("dashboards=")]
    return [*kept, "dashboards=dry_run"]


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="probe")
def _main(config: DictConfig) -> None:
    from closerlook.interruption import interrupt, on_signals

    with one_clear_message(kept="with what is not computed yet"), on_signals(interrupt):
        _run(typed(config))


@quiet
def _run(config: ProbeConfig) -> None:
    from closerlook.pipelines.cluster import spread_over
    from closerlook.results.run import RunError

    chosen = [name for name in _SOURCES if getattr(config, name) is not None]
    if len(chosen) > 1:
        raise RunError(f"got {' and '.join(chosen)}, expected one of {', '.join(_SOURCES)}: leave the others out")
    if config.runs is None and config.dashboards is not None:
        raise RunError(f"dashboards={config.dashboards} shows joined runs: add runs=<directory with runs below it>")
    if config.serve:
        _serve(config)
        return
    if config.show is not None:
        from closerlook.cli.show_tables import print_examples

        print_examples(config)
        return
    if config.checkpoints is None:
        _refuse_settings_of_checkpoints(config)
    if config.vectors is not None or config.released_dir is not None:
        _vectors(config)
        return
    with spread_over(config.cluster):
        if config.checkpoints is not None:
            from closerlook.cli.probe_checkpoints import run_of_checkpoints

            config = replace(config, run_dir=run_of_checkpoints(config), checkpoints=None, output_dir=None)
        if config.runs is None:
            _probe(config)
        else:
            _join(config)


def _refuse_settings_of_checkpoints(config: ProbeConfig) -> None:
    """A run has its task, model and snapshots already: such a setting would change nothing.

    Raises:
        RunError: There is one.
    """
    from closerlook.results.run import RunError

    default = ProbeConfig()
    for name in ("task", "model", "snapshot"):
        if getattr(config, name) != getattr(default, name):
            instead = "; another task's texts: cross_task=..." if name == "task" else ""
            raise RunError(f"{name} goes with checkpoints=[...]; a run has its own{instead}")


def _probe(config: ProbeConfig) -> None:
    from closerlook.results.run_dir import RunDir

    if config.run_dir is not None:
        RunDir(Path(config.run_dir)).info()  # a mistyped name is told before the rest is loaded
    from closerlook.cli.messages import print_probing
    from closerlook.cli.probing_progress import cell_bar
    from closerlook.pipelines.probe_run import probe

    failed = False
    for one in [config] if config.cross_task is None else _other_tasks(config):
        with cell_bar() as watch:
            outcome = probe(one, watch)
        print_probing(outcome)
        failed |= bool(outcome.probes.failed)
    if failed:
        raise SystemExit(1)


def _other_tasks(config: ProbeConfig) -> list[ProbeConfig]:
    """The configurations that probe other tasks' spaces in the encoder of ``run_dir``; the spaces are stored first."""
    from closerlook.pipelines.cross_settings import ALL_TASKS, for_other_tasks, task_names
    from closerlook.pipelines.cross_task import run_cross_task, task_settings
    from closerlook.results.run import RunError
    from closerlook.results.run_dir import RunDir

    if config.run_dir is None:
        raise RunError("cross_task needs run_dir: the run whose tuned encoder is to look at the other task")
    if config.cross_task == ALL_TASKS:
        raise RunError("cross_task=all means the tasks of several runs: pass runs=<their directory>, or name the tasks")
    output = None if config.output_dir is None else Path(config.output_dir)
    run, other = RunDir(Path(config.run_dir), output), for_other_tasks(config)
    spaces = [
        run_cross_task(
            run,
            task_settings(name, data_dir=config.paths.data_dir),
            layers=other.layers,
            trust_remote_code=config.trust_remote_code,
        )
        for name in task_names(config.cross_task)
    ]
    return [replace(other, run_dir=str(space.run.root), output_dir=None) for space in spaces]


def _vectors(config: ProbeConfig) -> None:
    from closerlook.cli.messages import print_vectors
    from closerlook.pipelines.probe_vectors import probe_vectors

    for space in probe_vectors(config):
        print_vectors(space)


def _join(config: ProbeConfig) -> None:
    from closerlook.cli.probing_progress import print_failures, probe_runs_with_bar
    from closerlook.cli.study_tables import print_study
    from closerlook.pipelines.join_runs import study
    from closerlook.pipelines.probe_runs import Ended

    ends = probe_runs_with_bar(config) if config.each or config.cross_task is not None else ()
    failed = [end for end in ends if end.status is Ended.FAILED]
    outcome = study(config, problems={end.space.name: end.reason for end in failed})
    print_study(outcome.summary, outcome.claims)
    _print_files(outcome)
    if config.dashboards is not None:
        _dashboards(config, outcome)
    if failed:
        print_failures(failed)
        raise SystemExit(1)


def _print_files(outcome: StudyOutcome) -> None:
    console = Console(highlight=False, soft_wrap=True, markup=False)
    n_runs = len(outcome.study.runs)
    console.print(f"  {n_runs} {'run' if n_runs == 1 else 'runs'} joined in {outcome.seconds:.1f} s")
    console.print(f"  results: {outcome.table_file}\n  claims:  {outcome.claims_file}")
    if outcome.page is not None:
        console.print(f"  page:    {outcome.page}  (open it in a browser)")


def _serve(config: ProbeConfig) -> None:
    """Show the runs on a local page until Ctrl-C."""
    from functools import partial

    from closerlook.cli.command_line import command
    from closerlook.pipelines.serve import serve
    from closerlook.results.run import RunError

    if config.runs is None:
        raise RunError("serve=true shows the runs below a directory: add runs=<that directory>, e.g. runs=runs")
    console = Console(highlight=False, soft_wrap=True, markup=False)

    def say(address: str) -> None:
        console.print(f"  {config.runs} at {address}\n  (open it in a browser of this machine; Ctrl-C ends it)")

    serve(Path(config.runs), config.port, command=partial(command, "train"), ready=say)


def _dashboards(config: ProbeConfig, outcome: StudyOutcome) -> None:
    """Write or send the W&B workspace and report of the joined runs, and say where they are."""
    from closerlook.pipelines.dashboards import dashboards

    console = Console(highlight=False, soft_wrap=True, markup=False)
    for name, where in dashboards(config.dashboards, outcome, config.logger or {}).items():
        console.print(f"  {name}: {where}")


if __name__ == "__main__":
    main()
