"""One Weights & Biases run that sums up a study: claims, main table, figures.

===============================================  ======================================================
``study/claims``                                 table: one row a claim
``study/findings``                            table: one row a claim and condition
``study/main_table``                             table: before and after, mean and interval over seeds
``study/clusters``, ``study/cross_<model>``      figures E2 and E5
``claims/<key>/verdict``, ``claims/<key>/effect``  summary values; the effect is the mean over tested conditions
``study/<task>/<model>/<moment>/<measure>``      summary values of the main table
===============================================  ======================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from closerlook.study import paper_figures as draw
from closerlook.study.claims import headline
from closerlook.study.frames import claims_frame, findings_frame, main_frame, methods_frame
from closerlook.study.join import Study
from closerlook.study.main_table import MAIN_MEASURES, StudySummary
from closerlook.study.verdicts import Claim
from closerlook.study.wording import measured, where
from closerlook.tracking.charts import wandb_table
from closerlook.tracking.metric_names import segment
from closerlook.tracking.wandb_run import harmless, open_run
from closerlook.tracking.wandb_settings import WandbSettings

if TYPE_CHECKING:
    from wandb import Run

JOB_TYPE = "study"
CLAIMS = "study/claims"
FINDINGS = "study/findings"
MAIN_TABLE = "study/main_table"
METHODS = "study/methods"
CLUSTERS = "study/clusters"


@dataclass(frozen=True)
class StudyInfo:
    """What a summary run is, in place of a :class:`RunInfo`: it has no single task, model or seed."""

    title: str
    tasks: tuple[str, ...]
    models: tuple[str, ...]
    seeds: tuple[int, ...]
    runs: tuple[str, ...]
    group: str = "study"


def log_study(
    settings: WandbSettings,
    target: Path,
    study: Study,
    summary: StudySummary,
    claims: Sequence[Claim],
    page: Path | None = None,
) -> None:
    """Log one summary run; W&B trouble is one warning, the results are on disk.

    Args:
        settings: Where and how to log.
        target: The directory that W&B writes below.
        study: The joined runs.
        summary: The main table and the cross-task matrices.
        claims: The claims.
        page: The study's HTML page, kept with the run as a file.
    """
    info = study_info(study)
    with open_run(settings, run_dir=target, info=info, config={}, job_type=JOB_TYPE) as run:
        _log_summary(run, summary, claims, page)


def study_info(study: Study) -> StudyInfo:
    """What a study is made of."""
    return StudyInfo(
        title=f"study {study.root.resolve().name}",
        tasks=tuple(sorted({run.info.task for run in study.runs})),
        models=tuple(sorted({run.info.model for run in study.runs})),
        seeds=tuple(sorted({run.info.seed for run in study.runs})),
        runs=tuple(run.path for run in study.runs),
    )


@harmless
def _log_summary(run: Run, summary: StudySummary, claims: Sequence[Claim], page: Path | None) -> None:
    content: dict[str, Any] = {
        CLAIMS: wandb_table(claims_frame(claims)),
        FINDINGS: wandb_table(findings_frame(claims)),
        MAIN_TABLE: wandb_table(main_frame(summary)),
        CLUSTERS: draw.e2_clusters(summary),
    }
    if summary.methods:
        content[METHODS] = wandb_table(methods_frame(summary))
    content |= {f"study/cross_{segment(matrix.model)}": draw.e5_matrix(matrix) for matrix in summary.matrices}
    run.log(content)
    run.summary.update(dict(summary_values(summary, claims)) | {"claims/headline": headline(claims)})
    if page is not None:
        run.save(str(page), base_path=str(page.parent), policy="now")


def summary_values(summary: StudySummary, claims: Sequence[Claim]) -> Iterator[tuple[str, float | str]]:
    """Flat values for the table of runs; undefined ones are left out."""
    for claim in claims:
        yield f"claims/{claim.key}/verdict", str(claim.verdict)
        known = [one.effect.value for one in claim.tested if one.effect.known]
        if known:
            yield f"claims/{claim.key}/effect", sum(known) / len(known)
    for row in summary.rows:
        for measure in MAIN_MEASURES:
            for moment, found in zip(("before", "after"), row.before_after[measure], strict=True):
                if found.n:
                    yield f"study/{segment(row.task)}/{segment(row.model)}/{moment}/{measure}", found.mean


def claims_markdown(claims: Sequence[Claim]) -> str:
    """The claims table as Markdown, for a W&B report."""
    lines = ["| claim | verdict | here | paper |", "|---|---|---|---|"]
    for claim in claims:
        lines.append(_line(f"**{claim.statement}**", str(claim.verdict), claim.reason, claim.paper))
        lines.extend(_line(where(one), str(one.verdict), measured(one), one.paper) for one in claim.findings)
    return "\n".join(lines)


def _line(*parts: str) -> str:
    return f"| {' | '.join(_cell(part) for part in parts)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
