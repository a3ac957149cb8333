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

from closerlook.analysis.space_probe import TRAIN_TEST, Scope, digest
from closerlook.geometry.intervals import newcombe_interval, wilson_interval
from closerlook.probing.classifier_probe import standardise
from closerlook.representations.reader import SnapshotReader
from closerlook.results.rows import ResultRow
from closerlook.results.store import CellKey

SUBTEST_ACCURACY = "subtest_accuracy"
UNSEEN_ACCURACY = "unseen_accuracy"
MEMORISATION_GAP = "memorisation_gap"

_VERSION = 1


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
    """Accuracy on seen and on unseen examples of a linear probe; one cell per snapshot and layer.

    The probe is logistic regression; the paper's is its perceptron.

    Attributes:
        subtest_share: Share of the training examples held out from the probe.
        split_seed: Which ones.
        C: Inverse L2 weight.
        max_iter: L-BFGS iterations.
    """

    subtest_share: float = 0.2
    split_seed: int = 0
    C: float = 1.0
    max_iter: int = 1000
    name: str = "memorisation"

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
            return [ResultRow(self.name, MEMORISATION_GAP, step, reader.epoch(step), cell.layer, TRAIN_TEST, note=note)]
        X, X_test = (np.asarray(reader.vectors(step, split, cell.layer)) for split in ("train", "test"))
        seen, unseen, note = self._answers(X[~held], y[~held], X[held], X_test)
        right = int((seen == y[held]).sum()), int((unseen == y_test).sum())
        return _rows(self.name, (step, reader.epoch(step), cell.layer), right, (len(seen), len(unseen)), note)

    def _answers(
        self, X: np.ndarray, y: np.ndarray, X_seen: np.ndarray, X_unseen: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, str]:
        """What one probe answers on both parts. `linear_probe` scores one set a fit; this needs two sets of one fit."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        train, both = standardise(X.astype(np.float32), np.concatenate([X_seen, X_unseen]).astype(np.float32))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            answers = LogisticRegression(C=self.C, max_iter=self.max_iter).fit(train, y).predict(both)
        failed = any(issubclass(w.category, ConvergenceWarning) for w in caught)
        note = f"not converged after {self.max_iter} iterations" if failed else ""
        return answers[: len(X_seen)], answers[len(X_seen) :], note


def _rows(
    probe: str, where: tuple[int, float, int], right: tuple[int, int], n: tuple[int, int], note: str
) -> list[ResultRow]:
    seen, unseen = right[0] / n[0], right[1] / n[1]
    low, high = newcombe_interval(right[0], n[0], right[1], n[1])
    (a, b), (c, d) = wilson_interval(right[0], n[0]), wilson_interval(right[1], n[1])
    return [
        ResultRow(probe, SUBTEST_ACCURACY, *where, "train", value=seen, low=a, high=b, n=n[0], note=note),
        ResultRow(probe, UNSEEN_ACCURACY, *where, "test", value=unseen, low=c, high=d, n=n[1], note=note),
        ResultRow(probe, MEMORISATION_GAP, *where, TRAIN_TEST, value=seen - unseen, low=low, high=high, n=n[0],
                  control=0.0, note=note),
    ]  # fmt: skip
