"""One self-contained HTML page of a study: the claims, the main table, and every figure of the paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import plotly.graph_objects as go

from closerlook import measures as m
from closerlook.files import write_text
from closerlook.report.page import render
from closerlook.report.sections import Section, Slot
from closerlook.study import paper_figures as draw
from closerlook.study.claims import headline
from closerlook.study.conditions import Condition
from closerlook.study.join import Study
from closerlook.study.main_table import MAIN_MEASURES, StudySummary
from closerlook.study.verdicts import CLAIM_TITLES, Claim
from closerlook.study.wording import beside, measured, number, plain, seed_text, where

_CHOICE = "condition"


def build_study_page(
    study: Study, conditions: Sequence[Condition], summary: StudySummary, claims: Sequence[Claim], path: Path
) -> Path:
    """Write the page of a study: one HTML file that opens offline.

    Args:
        study: The joined runs.
        conditions: Their conditions.
        summary: The main table, the cross-task matrices and what is missing.
        claims: The claims.
        path: The file to write, all or nothing.

    Returns:
        ``path``.
    """
    write_text(path, render_study_page(study, conditions, summary, claims))
    return path


def render_study_page(
    study: Study, conditions: Sequence[Condition], summary: StudySummary, claims: Sequence[Claim]
) -> str:
    """The page as HTML text; see :func:`build_study_page`."""
    shown = draw.own_conditions(conditions)
    return render(
        "study.html.j2",
        study_sections(shown, summary),
        title=study.root.resolve().name,
        headline=headline(claims),
        families=[(title, [one for one in claims if one.family == name]) for name, title in CLAIM_TITLES.items()],
        summary=summary,
        plain=plain,
        beside=beside,
        measures=MAIN_MEASURES,
        accuracy=m.ACCURACY,
        clusters=m.N_CLUSTERS,
        train_test=m.TRAIN_TEST_SIMILARITY,
        runs=study.runs,
        choices=[condition.title for condition in shown],
        signed=number,
        seeds=lambda value, measure: seed_text(measure, value),
        measured=measured,
        where=where,
    )


class _PaperFigure(NamedTuple):
    """A figure of the paper that shows one setting: the measure it draws, who draws it, whether it scrolls."""

    measure: str
    makers: tuple[Callable[[Condition], go.Figure], ...]
    wide: bool = False


_OF_ONE_SETTING = {
    "e3": _PaperFigure(m.MIN_DISTANCE, (draw.e3_minimum_distances,), wide=True),
    "e4": _PaperFigure(m.CENTROID_X, (draw.e4_low_layer, draw.e4_closest_paths)),
    "e6": _PaperFigure(m.SIMILARITY_TO_FIRST, (draw.e6_similarity,)),
    "e7": _PaperFigure(m.CENTROID_DISPLACEMENT, (draw.e7_arrows,), wide=True),
    "e8": _PaperFigure(m.CENTROID_DISPLACEMENT, (draw.e8_lengths,)),
    "e9": _PaperFigure(m.MEMORISATION_GAP, (draw.e9_memorisation,)),
}


def study_sections(conditions: Sequence[Condition], summary: StudySummary) -> list[Section]:
    """E2 to E9 as sections of the page; the reader chooses the task and model where a figure shows one."""
    parts = {"e2": [Slot("e2", (), {"": draw.e2_clusters(summary)}, m.N_CLUSTERS)]}
    parts["e5"] = [
        Slot(f"e5_{i}", (), {"": draw.e5_matrix(matrix)}, m.MIN_DISTANCE, wide=True)
        for i, matrix in enumerate(summary.matrices)
    ]
    for key, figure in _OF_ONE_SETTING.items() if conditions else ():
        parts[key] = [
            Slot(f"{key}_{i}", (_CHOICE,), {one.title: make(one) for one in conditions}, figure.measure, figure.wide)
            for i, make in enumerate(figure.makers)
        ]
    return [Section(key, parts[key]) for key in sorted(parts) if parts[key]]
