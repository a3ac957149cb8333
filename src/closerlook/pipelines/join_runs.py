"""Join the runs below a directory: the main table, the claims, every figure of the paper; page, Parquet, JSON, W&B."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from closerlook.config import ProbeConfig
from closerlook.files import replacing, write_json
from closerlook.study.claims import claims_of, headline
from closerlook.study.conditions import Condition, conditions_of
from closerlook.study.join import Study, load_study
from closerlook.study.main_table import StudySummary, summarise
from closerlook.study.verdicts import Claim

PAGE_FILE = "study.html"
TABLE_FILE = "study.parquet"
CLAIMS_FILE = "claims.json"


@dataclass(frozen=True)
class StudyOutcome:
    """What joining runs gave.

    Attributes:
        study: The runs and their joined table.
        conditions: Its conditions: all seeds of one setting.
        summary: The main table and what is missing.
        claims: The paper's claims on these runs.
        page: The HTML page; None when none was asked for.
        table_file: All results as Parquet.
        claims_file: The claims as JSON.
        seconds: Wall time.
    """

    study: Study
    conditions: tuple[Condition, ...]
    summary: StudySummary
    claims: tuple[Claim, ...]
    page: Path | None
    table_file: Path
    claims_file: Path
    seconds: float


def study(config: ProbeConfig, *, problems: Mapping[str, str]) -> StudyOutcome:
    """Join all runs below a directory; needs no GPU and no network, and works while a sweep is running.

    Args:
        config: Settings of probe.py with ``runs``; ``output_dir`` is where page, Parquet and JSON go, ``select`` takes
            some of the runs (see :func:`closerlook.study.join.find_runs`), a ``wandb`` logger logs one summary run.
        problems: By run path, what went wrong when it was probed: stands beside what is missing.

    Raises:
        RunError: There is no run below ``runs``, or none that ``select`` takes.
    """
    start = time.perf_counter()
    runs_dir = Path(str(config.runs))
    target = Path(config.output_dir or runs_dir)
    joined = load_study(runs_dir, config.select)
    joined = replace(joined, problems=(*joined.problems, *_new_problems(joined.problems, problems)))
    conditions = tuple(conditions_of(joined))
    summary, claims = summarise(joined, conditions), claims_of(conditions)
    table_file, claims_file = target / TABLE_FILE, target / CLAIMS_FILE
    with replacing(table_file) as temporary:
        joined.table.to_parquet(temporary, index=False)
    write_json(claims_file, claims_json(joined, claims))
    page = _page(target, joined, conditions, summary, claims) if config.report else None
    if (node := (config.logger or {}).get("wandb")) is not None:
        from closerlook.tracking.study_run import log_study
        from closerlook.tracking.wandb_settings import WandbSettings  # with wandb, which takes seconds to load

        settings = WandbSettings.from_dict(dict(node) | ({"tags": config.tags} if config.tags else {}))
        log_study(settings, target, joined, summary, claims, page)
    seconds = time.perf_counter() - start
    return StudyOutcome(joined, conditions, summary, claims, page, table_file, claims_file, seconds)


def _new_problems(known: Sequence[str], problems: Mapping[str, str]) -> list[str]:
    """The problems of runs that joining has not met."""
    return [f"{path}: {why}" for path, why in problems.items() if not any(one.startswith(f"{path}: ") for one in known)]


def claims_json(joined: Study, claims: tuple[Claim, ...]) -> dict[str, Any]:
    """The claims as plain values, with the runs behind them."""
    runs = [
        {
            "path": run.path,
            "task": run.info.task,
            "tuned_on": run.tuned_on,
            "model": run.info.model,
            "variant": run.variant,
            "seed": run.info.seed,
            "status": run.status,
            "n_epochs": run.info.n_epochs,
            "n_train": run.info.n_train,
            "n_rows": run.n_rows,
        }
        for run in joined.runs
    ]
    return {"headline": headline(claims), "claims": [claim.to_dict() for claim in claims], "runs": runs}


def _page(
    target: Path, joined: Study, conditions: tuple[Condition, ...], summary: StudySummary, claims: tuple[Claim, ...]
) -> Path:
    from closerlook.report.study_page import build_study_page  # with plotly, which takes a second to load

    return build_study_page(joined, conditions, summary, claims, target / PAGE_FILE)
