"""Hand-made results whose claims have known verdicts, saved through the public interface."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

import numpy as np

from closerlook import measures as m
from closerlook.results.hits import encode_hits
from closerlook.results.rows import Place, ResultRow
from closerlook.results.run import CrossOrigin, RunInfo
from closerlook.results.run_dir import CROSS_FOLDER, RunDir
from closerlook.results.store import Cell, CellKey


def result_row(probe: str, measure: str, step: int, epoch: float, layer: int, split: str, *labels: str, **values):
    return ResultRow(Place(probe, layer, split, step), epoch, measure, *labels, **values)


LABELS = ("a", "b", "c", "d", "e", "f")
N_LAYERS = 4
LAST_STEP = 10


def info(task: str = "pos", model: str = "minilm_l6", seed: int = 0, n_train: int = 100) -> RunInfo:
    return RunInfo(
        task=task, level="word", model=model, model_source="x", model_revision="1", seed=seed, label_names=LABELS,
        n_layers=N_LAYERS, hidden_size=8, n_train=n_train, n_test=50, n_epochs=2, n_updates=LAST_STEP,
        created="2025-01-02T03:04:05+00:00",
    )  # fmt: skip


def save_run(folder: Path, rows: Iterable[ResultRow], run: RunInfo, tuned_on: str = "") -> Path:
    """A run directory as train.py and probe.py leave it, as far as a study reads it."""
    RunDir(folder).save_info(run)
    if tuned_on:
        RunDir(folder).save_origin(CrossOrigin(tuned_on, f"{tuned_on}/{run.model}/seed={run.seed}", "sha"))
    store = RunDir(folder).store()
    groups: dict[Place, list[ResultRow]] = {}
    for row in rows:
        groups.setdefault(row.place, []).append(row)
    for place, group in groups.items():
        store.add(Cell.of(CellKey(place, "d"), 0.1, group))
    return folder


def run_dir(root: Path, task: str = "pos", model: str = "minilm_l6", seed: int = 0, cross: str = "") -> Path:
    folder = root / task / model / f"seed-{seed}"
    return folder / CROSS_FOLDER / cross if cross else folder


def space(measure: str, before: float | None, after: float | None, *, probe: str, split: str = "train",
          layer: int = N_LAYERS, **extra: float) -> list[ResultRow]:  # fmt: skip
    """A measure of the space at both moments."""
    return [
        result_row(probe, measure, step, epoch, layer, split, value=value, **extra)  # type: ignore[arg-type]
        for step, epoch, value in ((0, 0.0, before), (LAST_STEP, 2.0, after))
    ]


def accuracy(before: float, after: float, n: int = 1000, probe: str = "linear") -> list[ResultRow]:
    return space(m.ACCURACY, before, after, probe=probe, split="test", n=n)


def hits(before: np.ndarray, after: np.ndarray, names: list[str] | None = None) -> list[ResultRow]:
    """Accuracy before and after with the examples behind it."""
    names = names or [str(i) for i in range(len(before))]
    return [
        *accuracy(float(before.mean()), float(after.mean()), len(before)),
        *notes(m.TEST_HITS, *(encode_hits(part, names) for part in (before, after)), probe="linear"),
    ]


def notes(measure: str, before: str, after: str, *, probe: str) -> list[ResultRow]:
    """What stands in a row's note, at both moments."""
    return [
        result_row(probe, measure, step, epoch, N_LAYERS, "test", note=note)
        for step, epoch, note in ((0, 0.0, before), (LAST_STEP, 2.0, after))
    ]


def clusters(before: int, after: int, contradictions: int = 0) -> list[ResultRow]:
    n = len(LABELS)
    return [
        *space(m.N_CLUSTERS, before, after, probe="direct"),
        *space(m.N_LABELS, n, n, probe="direct"),
        *space(m.N_CONTRADICTIONS, contradictions, contradictions, probe="direct"),
    ]


def minimum_distances(before: Iterable[float], after: Iterable[float]) -> list[ResultRow]:
    return [
        result_row("direct", m.MIN_DISTANCE, step, epoch, N_LAYERS, "train", label, value=value)
        for step, epoch, values in ((0, 0.0, before), (LAST_STEP, 2.0, after))
        for label, value in zip(LABELS, values, strict=True)
    ]


def distances(vector: np.ndarray, *, step: int, split: str = "train") -> list[ResultRow]:
    """Label distances in the order of the pairs of LABELS."""
    epoch = 0.0 if step == 0 else 2.0
    return [
        result_row("direct", m.LABEL_DISTANCE, step, epoch, N_LAYERS, split, a, b, value=float(value))
        for (a, b), value in zip(combinations(LABELS, 2), vector, strict=True)
    ]


def displacements(per_layer: dict[int, float], norm: float = 2.0, spread: float = 0.01) -> list[ResultRow]:
    """Each label moves by about the layer's length; the mean norm of every layer is ``norm``."""
    rows: list[ResultRow] = []
    for layer, length in per_layer.items():
        rows += space(m.MEAN_DISPLACEMENT, 0.0, length, probe="centroids", layer=layer)
        rows += space(m.RELATIVE_DISPLACEMENT, 0.0, length / norm, probe="centroids", layer=layer)
        rows += [
            result_row("centroids", m.CENTROID_DISPLACEMENT, LAST_STEP, 2.0, layer, "train", label,
                      value=length + spread * (i - 2.5))
            for i, label in enumerate(LABELS)
        ]  # fmt: skip
    return rows
