"""The W&B workspace and report of joined runs: their JSON on disk, or both saved on the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from closerlook.pipelines.join_runs import StudyOutcome
from closerlook.results.run import RunError

FOLDER = "dashboards"
DRY_RUN, SAVE = "dry_run", "save"


def dashboards(mode: Any, outcome: StudyOutcome, logger: Mapping[str, Any]) -> dict[str, str]:
    """Write or save the dashboards of a study.

    Args:
        mode: ``dry_run`` writes ``workspace.json`` and ``report.json`` below ``<study>/dashboards`` and asks no server;
            ``save``, or True, saves both on the server; False does nothing.
        outcome: The study.
        logger: Settings of the ``logger`` group; ``wandb`` in it says which project and entity.

    Returns:
        Where the workspace and the report are: paths, or addresses.

    Raises:
        RunError: Another mode, wandb-workspaces is not installed, there is no key, or the server did not take them.
    """
    if mode is False or mode == "none":
        return {}
    if mode not in (True, SAVE, DRY_RUN):
        raise RunError(f"dashboards={mode}: expected dry_run (or --dry-run), save, or null")
    from closerlook.tracking.wandb_settings import (  # with wandb, which takes seconds to load
        DEFAULT_PROJECT,
        WandbSettings,
    )
    from closerlook.tracking.workspace import DashboardError, DashboardSettings, save_dashboards, write_dashboards

    wandb = WandbSettings.from_dict(logger.get("wandb") or {})
    depths = tuple(sorted({run.info.n_layers for run in outcome.study.runs}))
    settings = DashboardSettings(
        project=wandb.project or DEFAULT_PROJECT, entity=wandb.entity or "", depths=depths or (1,)
    )
    made: tuple[str, ...]
    try:
        if mode == DRY_RUN:
            made = tuple(map(str, write_dashboards(settings, outcome.claims, outcome.table_file.parent / FOLDER)))
        else:
            made = save_dashboards(settings, outcome.claims)
    except (DashboardError, ModuleNotFoundError) as error:
        raise RunError(str(error)) from error
    return {"W&B workspace": made[0], "W&B report": made[1]}
