"""The figures that the paper prints: Zhou & Srikumar, ACL 2022 (2022.acl-long.75, arXiv 2106.14282).

Tables only: numbers that would have to be read off a figure are not here. Accuracies are shares, not percent.
"""

from __future__ import annotations

from dataclasses import dataclass

SOURCE = "Zhou & Srikumar 2022 (arXiv 2106.14282)"
MODELS = ("bert_tiny", "bert_mini", "bert_small", "bert_medium", "bert_base")
TASKS = ("pos", "dep", "ps_fxn", "ps_role", "trec50")
N_TRAIN = {"pos": 16854, "dep": 16054, "ps_fxn": 4282, "ps_role": 4282, "trec50": 5452}
"""Training examples of each task; a run with another number is not in the paper's setting."""

RELATED: dict[frozenset[str], bool] = {
    frozenset({"ps_role", "ps_fxn"}): True,
    frozenset({"pos", "ps_fxn"}): False,
}
"""Which two tasks the paper calls related (True) and unrelated (False); of other pairs it says nothing."""


@dataclass(frozen=True)
class Moment:
    """One side of a row of the main table (E1).

    Attributes:
        accuracy: Mean probe accuracy over 5 initialisations, in [0, 1].
        std: Its standard deviation.
        clusters: Number of clusters; None where the table gives none.
        similarity: Train-test similarity; None where the table prints "-" or nothing.
    """

    accuracy: float
    std: float
    clusters: int
    similarity: float | None


@dataclass(frozen=True)
class PrintedRow:
    """A row of the main table: the original and the tuned encoder, last layer."""

    before: Moment
    after: Moment


@dataclass(frozen=True)
class PrintedCross:
    """A row of the cross-task table (E5): BERT-base, probed on PS-fxn.

    Attributes:
        n_up: Labels whose minimum distance grew.
        n_down: Labels whose minimum distance shrank.
        mean_change: Mean change of the minimum distance.
        accuracy: Probe accuracy after tuning.
    """

    n_up: int
    n_down: int
    mean_change: float
    accuracy: float


# accuracy, std, clusters, similarity (None: "-"), before and after, in the order of TASKS; percent as printed
_TABLE: dict[str, tuple[tuple[float | None, ...], ...]] = {
    "bert_tiny": (
        (90.76, 0.24, 3936, None, 91.67, 0.29, 20, None),
        (86.74, 0.22, 653, None, 89.04, 0.20, 46, 0.88),
        (74.14, 1.42, 402, None, 74.40, 0.68, 40, 0.72),
        (58.38, 0.78, 46, 0.76, 60.31, 0.29, 46, 0.70),
        (68.12, 0.82, 399, None, 84.04, 0.93, 51, None),
    ),
    "bert_mini": (
        (93.81, 0.10, 2429, None, 94.91, 0.03, 17, 0.70),
        (91.82, 0.09, 46, 0.93, 93.55, 0.07, 46, 0.86),
        (82.45, 1.07, 40, 0.77, 84.25, 0.39, 40, 0.53),
        (68.05, 1.08, 46, 0.81, 71.90, 1.06, 46, 0.59),
        (74.12, 1.25, 127, None, 88.36, 0.50, 52, None),
    ),
    "bert_small": (
        (94.26, 0.13, 17, 0.96, 95.43, 0.06, 17, 0.72),
        (92.93, 0.14, 46, 0.93, 94.48, 0.14, 46, 0.78),
        (86.26, 0.54, 40, 0.82, 85.08, 0.35, 40, 0.44),
        (74.22, 1.03, 46, 0.84, 74.57, 0.61, 46, 0.54),
        (81.32, 0.61, 113, None, 89.60, 0.22, 51, None),
    ),
    "bert_medium": (
        (94.40, 0.08, 17, 0.97, 95.56, 0.05, 17, 0.67),
        (92.54, 0.14, 46, 0.94, 94.76, 0.20, 46, 0.79),
        (86.56, 0.41, 40, 0.80, 88.45, 0.45, 40, 0.59),
        (76.28, 1.00, 46, 0.83, 78.86, 0.58, 46, 0.58),
        (80.68, 1.16, 110, None, 89.80, 0.33, 52, None),
    ),
    "bert_base": (
        (93.39, 0.31, 17, 0.97, 95.68, 0.02, 17, 0.70),
        (89.39, 0.08, 46, 0.92, 94.76, 0.05, 46, 0.76),
        (87.75, 0.41, 40, 0.84, 89.58, 0.67, 40, 0.57),
        (74.49, 0.84, 46, 0.82, 81.14, 0.26, 46, 0.52),
        (85.24, 0.85, 162, None, 90.36, 0.32, 51, None),
    ),
}


def _moment(accuracy: float | None, std: float | None, clusters: float | None, similarity: float | None) -> Moment:
    if accuracy is None or std is None or clusters is None:
        raise ValueError("the table prints accuracy, deviation and clusters in every row")
    return Moment(round(accuracy / 100, 6), round(std / 100, 6), int(clusters), similarity)


E1: dict[tuple[str, str], PrintedRow] = {
    (model, task): PrintedRow(_moment(*row[:4]), _moment(*row[4:]))
    for model, rows in _TABLE.items()
    for task, row in zip(TASKS, rows, strict=True)
}
"""The main table by (model, task)."""

E5: dict[str, PrintedCross] = {
    "ps_fxn": PrintedCross(40, 0, 5.29, 0.8958),
    "ps_role": PrintedCross(27, 13, 1.02, 0.8853),
    "pos": PrintedCross(0, 40, -1.68, 0.8324),
}
"""The cross-task table by the task that BERT-base was tuned on; all are probed on PS-fxn, 87.75 % before tuning."""

E5_MODEL, E5_TASK, E5_UNTUNED = "bert_base", "ps_fxn", 0.8775
