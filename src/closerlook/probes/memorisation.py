"""Memorisation (E9): a probe trained on part of the training set, measured on the rest of it and on the test set.

The encoder was tuned on all of the training set. Its *subtest* part was seen by the encoder and not by the probe, the
test set by neither: that the probe does better on subtest is what tuning memorised (Zhou & Srikumar 2022, E9).
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from closerlook import measures as m
from closerlook.geometry.intervals import newcombe_interval, wilson_interval
from closerlook.probes.space_probe import TRAIN_TEST, Scope, digest
from closerlook.probing.classifier_probe import standardise
from closerlook.probing.classifier_result import check_probe_data
from closerlook.representations.reader import SnapshotReader
from closerlook.results.rows import ResultRow
from closerlook.results.store import CellKey

CLASSIFIERS = ("linear", "mlp")

_VERSION = 2


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
class MemorisationAnalysis:
    """Accuracy on seen and on unseen examples of one probe; one cell per snapshot and layer.

    Attributes:
        subtest_share: Share of the training examples held out from the probe.
        split_seed: Which ones.
        classifier: ``linear``, logistic regression on standardised vectors; or ``mlp``, the paper's perceptron on raw
            ones, mean over its initialisations.
        C: Inverse L2 weight of the linear probe.
        hidden: Units of the perceptron's two layers.
        alpha: Its L2 weight.
        n_seeds: Its initialisations.
        max_iter: L-BFGS iterations, or epochs of the perceptron.

    Raises:
        ValueError: ``classifier`` is neither.
    """

    subtest_share: float = 0.2
    split_seed: int = 0
    classifier: str = "linear"
    C: float = 1.0
    hidden: tuple[int, int] = (128, 128)
    alpha: float = 1e-4
    n_seeds: int = 5
    max_iter: int = 1000
    name: str = "memorisation"

    def __post_init__(self) -> None:
        if self.classifier not in CLASSIFIERS:
            raise ValueError(f"memorisation.classifier: got {self.classifier}, expected {' or '.join(CLASSIFIERS)}")

    def cells(self, reader: SnapshotReader, scope: Scope) -> list[CellKey]:
        """One cell per snapshot and layer; none unless train and test are both looked at."""
        if not {"train", "test"} <= set(scope.splits):
            return []
        return [
            CellKey(
                self.name, layer, TRAIN_TEST, step,
                digest(self, _VERSION, *(reader.checksum(step, split, layer) for split in ("train", "test"))),
            )
            for layer in scope.layers
            for step in scope.steps
        ]  # fmt: skip

    def compute(self, reader: SnapshotReader, cell: CellKey, scope: Scope) -> list[ResultRow]:
        """Accuracy on subtest and on test, and their difference with its interval."""
        step = int(cell.step or 0)
        train = reader.examples("train")
        y, y_test = reader.labels("train"), reader.labels("test")
        held = subtest_mask(train["example_id"].astype(str).tolist(), y.tolist(),
                            share=self.subtest_share, seed=self.split_seed)  # fmt: skip
        if not held.any():
            note = f"no label has enough examples to hold out a share of {self.subtest_share}"
            return [
                ResultRow(self.name, m.MEMORISATION_GAP, step, reader.epoch(step), cell.layer, TRAIN_TEST, note=note)
            ]
        X, X_test = (np.asarray(reader.vectors(step, split, cell.layer)) for split in ("train", "test"))
        both, y_both = np.concatenate([X[held], X_test]), np.concatenate([y[held], y_test])
        right, note = self._right(X[~held], y[~held], both, y_both)
        n_seen = int(held.sum())
        n_right = float(right[:n_seen].sum()), float(right[n_seen:].sum())
        return _rows(self.name, (step, reader.epoch(step), cell.layer), n_right, (n_seen, len(y_test)), note)

    def _right(self, X: np.ndarray, y: np.ndarray, X_both: np.ndarray, y_both: np.ndarray) -> tuple[np.ndarray, str]:
        """(n,) share of the fits that answer right on each example of both parts, and how they were made.

        The probes of `closerlook.probing` score one set a fit; this needs two sets of one fit.
        """
        if self.classifier == "mlp":
            return self._right_of_perceptrons(X, y, X_both, y_both)
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        train, both = standardise(X.astype(np.float32), X_both.astype(np.float32))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            answers = LogisticRegression(C=self.C, max_iter=self.max_iter).fit(train, y).predict(both)
        failed = any(issubclass(w.category, ConvergenceWarning) for w in caught)
        note = f"; not converged after {self.max_iter} iterations" if failed else ""
        return (answers == y_both).astype(float), f"linear probe{note}"

    def _right_of_perceptrons(
        self, X: np.ndarray, y: np.ndarray, X_both: np.ndarray, y_both: np.ndarray
    ) -> tuple[np.ndarray, str]:
        from closerlook.probing.mlp_settings import Cell, MLPTraining
        from closerlook.probing.mlp_training import train_cells

        data = check_probe_data(X, y, X_both, y_both)
        hidden = self.hidden[0], self.hidden[1]
        cells = [Cell(hidden, self.alpha, seed) for seed in range(self.n_seeds)]
        training = MLPTraining(max_iter=self.max_iter)
        fits = train_cells(data.X_train, data.y_train, data.X_test, cells, training)
        if diverged := [fit.cell.seed for fit in fits if fit.status == "diverged"]:
            raise RuntimeError(
                f"the perceptron's training loss is not finite from seeds {diverged}, expected a number: "
                "use probe.memorisation.classifier=linear"
            )
        n_open = sum(fit.status != "converged" for fit in fits)
        note = f"; {n_open} not converged after {self.max_iter} epochs" if n_open else ""
        right = np.mean([fit.predicted == data.y_test for fit in fits], axis=0)
        return right, f"perceptron {hidden}, alpha {self.alpha:g}, mean of {self.n_seeds} initialisations{note}"


def _rows(
    probe: str, where: tuple[int, float, int], right: tuple[float, float], n: tuple[int, int], note: str
) -> list[ResultRow]:
    """Rows from the numbers of right answers; as means over fits they need not be whole, which the intervals allow."""
    seen, unseen = right[0] / n[0], right[1] / n[1]
    low, high = newcombe_interval(right[0], n[0], right[1], n[1])
    (a, b), (c, d) = wilson_interval(right[0], n[0]), wilson_interval(right[1], n[1])
    return [
        ResultRow(probe, m.SUBTEST_ACCURACY, *where, "train", value=seen, low=a, high=b, n=n[0], note=note),
        ResultRow(probe, m.UNSEEN_ACCURACY, *where, "test", value=unseen, low=c, high=d, n=n[1], note=note),
        ResultRow(probe, m.MEMORISATION_GAP, *where, TRAIN_TEST, value=seen - unseen, low=low, high=high, n=n[0],
                  control=0.0, note=note),
    ]  # fmt: skip
