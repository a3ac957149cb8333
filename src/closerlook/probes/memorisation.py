"""Memorisation (E9): a probe trained on part of the training set, measured on the rest of it and on the test set.

The encoder was tuned on all of the training set. Its *subtest* part was seen by the encoder and not by the probe, the
test set by neither: that the probe does better on subtest is what tuning memorised (Zhou & Srikumar 2022, E9).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from closerlook import measures as m
from closerlook.geometry.confidence import newcombe_interval, wilson_interval
from closerlook.probes.classifier import TrainTestData, example_ids, hits_row, read_train_test
from closerlook.probes.space_probe import TRAIN_TEST, Finding, Scope, TrainTestProbe, Where, where
from closerlook.probing.classifier_probe import LinearSettings, linear_probe
from closerlook.probing.classifier_result import check_probe_data
from closerlook.representations.reader import SnapshotReader
from closerlook.results.rows import ResultRow
from closerlook.results.store import CellKey

CLASSIFIERS = ("linear", "mlp")


def subtest_mask(example_ids: Sequence[str], y: Sequence[str], *, share: float = 0.2, seed: int = 0) -> np.ndarray:
    """Which training examples are the subtest part: the same ones whatever the order, at every snapshot and run.

    Args:
        example_ids: (n_examples,) ids, stable over runs.
        y: (n_examples,) labels.
        share: Share of each label that goes to subtest, rounded, in (0, 1). No label goes there whole.
        seed: Another seed takes other examples.

    Returns:
        (n_examples,) booleans, True for subtest.

    Raises:
        ValueError: ``share`` is out of range, or the lengths differ.
    """
    if not 0 < share < 1:
        raise ValueError(f"subtest share is {share}, expected a share in (0, 1), e.g. 0.2 as in the paper")
    if len(example_ids) != len(y):
        raise ValueError(f"got {len(example_ids)} example ids and {len(y)} labels, expected one label an example")
    order = np.array([hashlib.sha256(f"{seed}\0{name}".encode()).hexdigest() for name in example_ids])
    labels, mask = np.asarray(y), np.zeros(len(y), dtype=bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        rows = rows[np.argsort(order[rows], kind="stable")]
        mask[rows[: min(round(share * len(rows)), len(rows) - 1)]] = True
    return mask


@dataclass(frozen=True)
class MemorisationAnalysis(TrainTestProbe):
    """Accuracy on seen and on unseen examples of one probe; one cell per snapshot and layer.

    Attributes:
        subtest_share: Share of the training examples held out from the probe.
        split_seed: Which ones.
        classifier: ``linear`` (logistic regression) or ``mlp`` (the paper's perceptron, one setting).
        C: Inverse L2 weight of the linear probe; None = chosen by cross-validation on its training part.
        hidden: Units of the perceptron's two layers.
        alpha: L2 weight of the perceptron.
        n_seeds: Initialisations of the perceptron; accuracies are means over them.
        max_iter: Most iterations of a fit.
    """

    subtest_share: float = 0.2
    split_seed: int = 0
    classifier: str = "linear"
    C: float | None = None
    hidden: tuple[int, int] = (128, 128)
    alpha: float = 1e-4
    n_seeds: int = 5
    max_iter: int = 1000
    name: str = "memorisation"
    version: ClassVar[int] = 3
    split: ClassVar[str] = TRAIN_TEST

    def __post_init__(self) -> None:
        if self.classifier not in CLASSIFIERS:
            raise ValueError(f"memorisation.classifier: got {self.classifier}, expected {' or '.join(CLASSIFIERS)}")

    def compute(self, reader: SnapshotReader, key: CellKey, scope: Scope) -> Sequence[Finding]:
        """Accuracy on subtest and on test, and their difference with its interval."""
        data, at = read_train_test(reader, key), where(reader, key)
        ids, test_ids = example_ids(reader, "train"), example_ids(reader, "test")
        held = subtest_mask(ids, data.y.tolist(), share=self.subtest_share, seed=self.split_seed)
        if not held.any():
            note = f"no label has enough examples to hold out a share of {self.subtest_share}"
            return [ResultRow(*at, m.MEMORISATION_GAP, note=note)]
        both = np.concatenate([data.X[held], data.X_test])
        y_both = np.concatenate([data.y[held], data.y_test])
        fit = self._fit_perceptrons if self.classifier == "mlp" else self._fit_linear
        right, note = fit(TrainTestData(data.X[~held], data.y[~held], both, y_both))
        seen, unseen = right[: held.sum()], right[held.sum() :]
        seen_ids = [name for name, is_held in zip(ids, held.tolist(), strict=True) if is_held]
        n_fits = self.n_seeds if self.classifier == "mlp" else 1
        return [
            *_rows(at, seen, unseen, note),
            hits_row(at.of("train"), m.SUBTEST_HITS, seen, seen_ids, n_fits=n_fits),
            hits_row(at.of("test"), m.UNSEEN_HITS, unseen, test_ids, n_fits=n_fits),
        ]

    def _fit_linear(self, data: TrainTestData) -> tuple[np.ndarray, str]:
        """(n_test,) 1 where the answer is right, and how it was made: two sets of one fit are scored."""
        found = linear_probe(*data, LinearSettings(C=self.C, max_iter=self.max_iter))
        return found.correct.astype(float), f"linear probe, {found.setting}"

    def _fit_perceptrons(self, data: TrainTestData) -> tuple[np.ndarray, str]:
        """(n_test,) share of the fits that answer right, and how they were made."""
        from closerlook.probing.mlp_settings import Cell, MLPTraining
        from closerlook.probing.mlp_training import train_cells  # with torch, which takes seconds to load

        checked = check_probe_data(*data)
        hidden = self.hidden[0], self.hidden[1]
        cells = [Cell(hidden, self.alpha, seed) for seed in range(self.n_seeds)]
        training = MLPTraining(max_iter=self.max_iter)
        fits = train_cells(checked.X_train, checked.y_train, checked.X_test, cells, training)
        if diverged := [fit.cell.seed for fit in fits if fit.status == "diverged"]:
            raise RuntimeError(
                f"the perceptron's training loss is not finite from seeds {diverged}, expected a number: "
                "use probe.memorisation.classifier=linear"
            )
        n_open = sum(fit.status != "converged" for fit in fits)
        note = f"; {n_open} not converged after {self.max_iter} epochs" if n_open else ""
        right = np.mean([fit.predicted == checked.y_test for fit in fits], axis=0)
        return right, f"perceptron {hidden}, alpha {self.alpha:g}, mean of {self.n_seeds} initialisations{note}"


def _rows(at: Where, seen: np.ndarray, unseen: np.ndarray, note: str) -> list[ResultRow]:
    """Rows from the share of fits that are right on each example; intervals take sums that are not whole."""
    n, n_unseen = len(seen), len(unseen)
    a, b = float(seen.sum()), float(unseen.sum())
    of_seen, of_unseen, of_gap = (
        wilson_interval(a, n),
        wilson_interval(b, n_unseen),
        newcombe_interval(a, n, b, n_unseen),
    )
    gap = a / n - b / n_unseen
    return [
        ResultRow(*at.of("train"), m.SUBTEST_ACCURACY, value=a / n, low=of_seen.low, high=of_seen.high, n=n, note=note),
        ResultRow(
            *at.of("test"),
            m.UNSEEN_ACCURACY,
            value=b / n_unseen,
            low=of_unseen.low,
            high=of_unseen.high,
            n=n_unseen,
            note=note,
        ),
        ResultRow(*at, m.MEMORISATION_GAP, value=gap, low=of_gap.low, high=of_gap.high, n=n, control=0.0, note=note),
    ]
