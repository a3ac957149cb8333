"""What the tuned heads of two snapshots say of the same examples: do they agree, and which examples flipped?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import log_softmax

from closerlook import measures as m
from closerlook.geometry.confidence import mean_interval
from closerlook.probes.space_probe import Finding, Scope, SpaceProbe, Where, where
from closerlook.representations.reader import SnapshotReader
from closerlook.results.packed import examples_digest, pack
from closerlook.results.rows import Place, ResultRow
from closerlook.results.store import CellKey


@dataclass(frozen=True)
class OutputComparison(SpaceProbe):
    """Agreement and KL of a snapshot's head with the first one's, and its accuracy; snapshots without a head have none.

    The first is the first snapshot of the scope that has a head.
    """

    name: str = "outputs"
    version: ClassVar[int] = 1

    def cells(self, reader: SnapshotReader, scope: Scope) -> list[CellKey]:
        """One cell per snapshot with a head, and split, at its last layer."""
        found = []
        for split in scope.splits:
            steps = [step for step in scope.steps if reader.outputs_digest(step, split)]
            for step in steps:
                layer = reader.manifests[step].layers[-1]
                digests = (reader.outputs_digest(one, split) for one in (steps[0], step))
                if layer in scope.layers:
                    found.append(CellKey(Place(self.name, layer, split, step), self.digest(*digests)))
        return found

    def compute(self, reader: SnapshotReader, key: CellKey, scope: Scope) -> Sequence[Finding]:
        """Accuracy, and for a later head agreement, KL and the predictions of both."""
        at, split, step = where(reader, key), key.place.split, key.place.step or 0
        first = next(one for one in scope.steps if reader.outputs_digest(one, split))
        now = reader.outputs(step, split)
        if now is None:
            return []
        found: list[Finding] = [_accuracy(at, *now, reader.labels(split))]
        before = reader.outputs(first, split)
        if step != first and before is not None:
            found += _compared(at, first, before, now, examples_digest(reader.examples(split)["example_id"].tolist()))
        return found


def _accuracy(at: Where, classes: np.ndarray, scores: np.ndarray, labels: np.ndarray) -> ResultRow:
    unknown = sorted(set(labels) - set(classes))
    if unknown:
        note = f"the head's classes are {', '.join(classes[:4])}, ...; it does not know the label {unknown[0]}"
        return ResultRow(*at, m.HEAD_ACCURACY, note=note)
    right = (classes[scores.argmax(axis=1)] == labels).astype(float)
    commonest = np.unique(labels, return_counts=True)[1].max() / len(labels)
    return _mean(at, m.HEAD_ACCURACY, right, float(commonest))


def _mean(at: Where, measure: str, values: np.ndarray, control: float | None) -> ResultRow:
    low, high, _ = mean_interval(values)
    numbers = (None if np.isnan(value) else float(value) for value in (values.mean(), low, high))
    value, low_end, high_end = numbers
    return ResultRow(*at, measure, value=value, low=low_end, high=high_end, n=len(values), control=control)


def _compared(
    at: Where, first: int, before: tuple[np.ndarray, np.ndarray], now: tuple[np.ndarray, np.ndarray], examples: str
) -> list[Finding]:
    classes = np.array(sorted(before[0]))
    if sorted(now[0]) != classes.tolist():
        note = f"the heads have other classes: {', '.join(classes[:3])}, ... and {', '.join(sorted(now[0])[:3])}, ..."
        return [ResultRow(*at, measure, note=note) for measure in (m.PREDICTION_AGREEMENT, m.PREDICTION_KL)]
    p, q = (log_softmax(scores.astype(np.float64)[:, np.argsort(names)], axis=1) for names, scores in (before, now))
    kl = np.maximum((np.exp(p) * (p - q)).sum(axis=1), 0.0)
    old, new = p.argmax(axis=1), q.argmax(axis=1)
    shares = (np.bincount(one, minlength=len(classes)) / len(one) for one in (old, new))
    by_chance = float(np.prod(list(shares), axis=0).sum())
    arrays: dict[str, np.ndarray] = {"before": old.astype(np.uint16), "after": new.astype(np.uint16)}
    arrays["kl"] = kl.astype(np.float16)
    arrays["classes"] = np.frombuffer(json.dumps(classes.tolist()).encode(), dtype=np.uint8)
    arrays["first"] = np.array([first], dtype=np.int32)
    return [
        _mean(at, m.PREDICTION_AGREEMENT, (old == new).astype(float), by_chance),
        _mean(at, m.PREDICTION_KL, kl, None),
        ResultRow(*at, m.PREDICTIONS, n=len(old), note=pack(arrays, examples)),
    ]
