"""One self-contained HTML page of a study: the claims, the main table, and every figure of the paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import plotly.graph_objects as go

from closerlook import measures as m
from closerlook.figures.theme import name_of
from closerlook.files import write_text
from closerlook.number_text import number_text
from closerlook.report.page import render
from closerlook.report.sections import Section, Slot
from closerlook.study import figures as draw
from closerlook.study.cells import StudyCell
from closerlook.study.claims import headline
from closerlook.study.join import Study
from closerlook.study.summary import MAIN_MEASURES, CrossMatrix, StudySummary
from closerlook.study.terminal import measured, number, seed_text, where
from closerlook.study.verdicts import Claim

_CHOICE = "cell"
_WIDE = ("e3", "e7")
"""Figures that need more width than a telephone has: they scroll."""


def build_study_page(
    study: Study, cells: Sequence[StudyCell], summary: StudySummary, claims: Sequence[Claim], path: Path
) -> Path:
    """Write the page of a study: one HTML file that opens offline.

    Args:
        study: The joined runs.
        cells: Their cells.
        summary: The main table, the cross-task matrices and what is missing.
        claims: The claims.
        path: The file to write, all or nothing.

    Returns:
        ``path``.
    """
    write_text(path, render_study_page(study, cells, summary, claims))
    return path


def render_study_page(study: Study, cells: Sequence[StudyCell], summary: StudySummary, claims: Sequence[Claim]) -> str:
    """The page as HTML text; see :func:`build_study_page`."""
    shown = draw.own_cells(cells)
    tools = {"number": number_text, "signed": number, "seeds": lambda v, k: seed_text(k, v), "name_of": name_of,
             "measured": measured, "where": where}  # fmt: skip
    return render(
        "study.html.j2",
        study_sections(shown, summary),
        tools=tools,
        title=study.root.resolve().name,
        headline=headline(claims),
        claims=claims,
        summary=summary,
        measures=MAIN_MEASURES,
        accuracy=m.ACCURACY,
        clusters=m.N_CLUSTERS,
        train_test=m.TRAIN_TEST_SIMILARITY,
        runs=study.runs,
        choices=[cell.title for cell in shown],
    )


def study_sections(cells: Sequence[StudyCell], summary: StudySummary) -> list[Section]:
    """E2 to E9 as sections of the page; the reader chooses the task and model where a figure shows one."""
    per_cell: tuple[tuple[str, str, str, str, str, list[Callable[[StudyCell], go.Figure]]], ...] = (
        (
            "e3",
            "E3",
            "How far is each label from its nearest neighbour, along tuning?",
            "Minimum distance of each label at the last layer, mean over seeds; the labels that gain most and least "
            "have names.",
            "Distances are in units of the space, which tuning may stretch: see the claim about scatter.",
            [draw.e3_minimum_distances],
        ),
        (
            "e4",
            "E4",
            "Where do the three closest labels go?",
            "The three labels that are closest before tuning, in one joint PCA per layer: lowest block, then last "
            "layer. First seed: planes of two runs cannot be averaged.",
            "A plane shows part of the movement, and the two planes have nothing to do with each other.",
            [draw.e4_low_layer, draw.e4_closest_paths],
        ),
        (
            "e6",
            "E6",
            "Do labels keep their relative positions?",
            "Pearson correlation of the label distances with those before tuning, one line a layer; the band is a 95 % "
            "interval: over seeds where there are three, over labels (bootstrap) where there is one run.",
            "Few labels make a shaky correlation. It is blind to growth by one factor.",
            [draw.e6_similarity],
        ),
        (
            "e7",
            "E7",
            "In how many directions do labels move?",
            "From the first to the last snapshot, each label's centroid moved by one arrow. First seed.",
            "Lengths can be compared between panels, directions cannot.",
            [draw.e7_arrows],
        ),
        (
            "e8",
            "E8",
            "How far do labels move, at which layer?",
            "Length of the way between a centroid's first and last place, mean over seeds.",
            "Layers differ in scale: the claim about upper layers is about lengths over each layer's mean norm.",
            [draw.e8_lengths],
        ),
        (
            "e9",
            "E9",
            "What is memorised?",
            "A probe trained on four fifths of the training examples: accuracy on the last fifth, which the encoder "
            "saw in tuning, and on the test set, which nobody saw.",
            "The two sets may differ in difficulty: compare with the distance between the lines before tuning.",
            [draw.e9_memorisation],
        ),
    )
    parts = [
        Section(
            "e2", "E2", "Does the space become linear?",
            "A ring before tuning, a dot after; the bar is the number of labels: as many clusters as labels means that "
            "a linear classifier can separate them.",
            "Identical inputs with different labels cost clusters whatever the encoder does.",
            [Slot("e2", (), {"": draw.e2_clusters(summary)})],
        )
    ]  # fmt: skip
    for key, nav, heading, what, caution, makers in per_cell:
        slots = [
            Slot(f"{key}_{i}", (_CHOICE,), {cell.title: make(cell) for cell in cells}, wide=key in _WIDE)
            for i, make in enumerate(makers)
        ]
        columns = 2 if len(slots) > 1 else 1
        parts.append(Section(key, nav, heading, what, caution, slots if cells else [], columns))
    parts.insert(3, _cross_section(summary.matrices))
    return [part for part in parts if part.slots]


def _cross_section(matrices: Sequence[CrossMatrix]) -> Section:
    return Section(
        "e5", "E5", "Does tuning on one task help another?",
        "Mean change of the minimum distance of the labels of the column's task, in an encoder tuned on the row's "
        "task; how many labels went up and down; the accuracy of one and the same kind of probe before and after "
        "tuning. Blue: pushed apart, red: pulled together.",
        "A mean over labels hides that some may go up and some down: the numbers in the cells say how many.",
        [Slot(f"e5_{i}", (), {"": draw.e5_matrix(matrix)}, wide=True) for i, matrix in enumerate(matrices)],
    )  # fmt: skip
