"""Ways of tuning side by side: the conditions of one model and task, and each method beside full tuning."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from closerlook import measures as m
from closerlook.geometry.correlation import correlate_rows, take_pairs
from closerlook.study.conditions import Condition, matrices
from closerlook.study.matched import Moment, accuracy_course, at_moment, common_accuracy, labels_by_step, moment_of
from closerlook.study.measured import Measured
from closerlook.study.verdicts import Finding, Verdict, by_sign

FULL, HEAD, LP_FT, LORA = "full", "head", "lp_ft", "lora"


@dataclass(frozen=True)
class Methods:
    """All ways in which one model was tuned on one task.

    Attributes:
        task: The task.
        model: The model.
        own: By method, the condition that is probed on that task.
        others: By method, the same encoders looked into with other tasks.
    """

    task: str
    model: str
    own: dict[str, Condition]
    others: dict[str, tuple[Condition, ...]]


def methods_of(conditions: Sequence[Condition]) -> list[Methods]:
    """The conditions by task and model; those that were tuned in one way only are left out.

    Where one method has several variants (other learning rates, say), each has its variant in its name: none of them
    is taken for *the* method without a word. ``select`` leaves others out.
    """
    found: dict[tuple[str, str], dict[tuple[str, str], list[Condition]]] = {}
    for one in conditions:
        ways = found.setdefault((one.tuned_on, one.info.model), {})
        ways.setdefault((one.info.method, one.variant), []).append(one)
    return [
        _methods(task, model, ways)
        for (task, model), ways in sorted(found.items())
        if len({method for method, _ in ways}) > 1
    ]


def _methods(task: str, model: str, ways: dict[tuple[str, str], list[Condition]]) -> Methods:
    n_variants = Counter(method for method, _ in ways)
    named = {
        method if n_variants[method] == 1 else f"{method} [{variant}]": group
        for (method, variant), group in ways.items()
    }
    own = {name: one for name, group in named.items() for one in group if one.own}
    others = {name: tuple(one for one in group if not one.own) for name, group in named.items()}
    return Methods(task, model, own, others)


@dataclass(frozen=True)
class Matched:
    """Several methods, seed by seed at the highest accuracy that all of them reach.

    Attributes:
        conditions: By method.
        accuracy: By seed, that accuracy.
        moments: By seed and method, when it is reached.
        reason: Why no seed has one; empty otherwise.
    """

    conditions: dict[str, Condition]
    accuracy: dict[int, float]
    moments: dict[int, dict[str, Moment]]
    reason: str = ""

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that are compared."""
        return tuple(self.moments)

    def labels(self, method: str, seed: int, measure: str, split: str = "train") -> pd.Series:
        """A measure of each label, or pair of labels, at the moment of a method and seed."""
        condition = self.conditions[method]
        by_step = labels_by_step(condition.probed[seed], measure, layer=condition.layer, split=split)
        return at_moment(by_step, self.moments[seed][method])

    def first(self, method: str, seed: int, measure: str, split: str = "train") -> pd.Series:
        """The same before tuning."""
        condition = self.conditions[method]
        return at_moment(
            labels_by_step(condition.probed[seed], measure, layer=condition.layer, split=split), Moment(0, 0, 0.0)
        )


def match(conditions: dict[str, Condition]) -> Matched:
    """Find where methods are equally accurate."""
    probe = next(iter(_shared_probes(conditions)), None)
    if probe is None:
        return Matched(conditions, {}, {}, "no probe of the accuracy that all of them have; probe with probe=linear")
    accuracy, moments = {}, {}
    for seed in sorted(set.intersection(*(set(one.probed) for one in conditions.values()))):
        courses = {n: accuracy_course(one.probed[seed], probe, one.layer) for n, one in conditions.items()}
        reached = common_accuracy(list(courses.values()))
        if math.isfinite(reached):
            accuracy[seed] = reached
            moments[seed] = {name: moment_of(course, reached) for name, course in courses.items()}
    reason = "" if moments else "no seed in which all of them reach an accuracy above that of before tuning"
    return Matched(conditions, accuracy, moments, reason)


def _shared_probes(conditions: dict[str, Condition]) -> list[str]:
    found = [one.classifiers for one in conditions.values()]
    return [name for name in found[0] if all(name in probes for probes in found)] if found else []


def last_accuracy(condition: Condition, probe: str) -> dict[int, float]:
    """By seed, the test accuracy at the last snapshot."""
    courses = {s: accuracy_course(t, probe, condition.layer) for s, t in condition.probed.items()}
    return {seed: float(course.iloc[-1]) for seed, course in courses.items() if len(course)}


def distance_vectors(matched: Matched, seed: int, method: str, splits: Sequence[str] = ("train",)) -> list[pd.Series]:
    """Label distances of a method at its moment, split by split."""
    return [matched.labels(method, seed, m.LABEL_DISTANCE, split) for split in splits]


def mean_of(values: Sequence[float]) -> float:
    """The mean of the finite ones; NaN without any."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else math.nan


def finding(one: Methods, what: str, measured: Measured, *, null: float = 0.0, task: str = "") -> Finding:
    """The finding about methods, as :func:`closerlook.study.measured.finding_of` makes it of a condition.

    Args:
        one: The methods.
        what: Which of them.
        measured: What was measured.
        null: The value that means no effect; the claim is an effect above it.
        task: The task that was probed; empty = the tuned one.
    """
    verdict, reason = by_sign(measured.effect, null=null, claimed=1)
    if measured.verdict is not None:
        verdict, reason = measured.verdict, ""
    if verdict == Verdict.SUPPORTED and measured.doubt:
        verdict, reason = Verdict.MIXED, f"{measured.doubt}; {reason}"
    return Finding(
        model=f"{one.model}: {what}",
        task=task or one.task,
        tuned_on=one.task,
        before=measured.before,
        after=measured.after,
        effect=measured.effect,
        verdict=verdict,
        reason="; ".join(filter(None, (measured.note, reason))),
    )


def stacked(vectors: Sequence[Sequence[pd.Series]]) -> np.ndarray | None:
    """(n_seeds, n_matrices, n_labels, n_labels) distances over the labels that all of them have; None without any."""
    flat = [vector for one in vectors for vector in one]
    if not flat or not all(len(vector) for vector in flat):
        return None
    _, found = matrices(flat)
    used = np.isfinite(found).any(axis=2).all(axis=0)
    found = found[:, used][:, :, used]
    return found.reshape(len(vectors), -1, *found.shape[1:])


def mean_similarity(stacked: np.ndarray, i: int, j: int) -> float:
    """Pearson r of two of the matrices, mean over seeds."""
    everyone = np.arange(stacked.shape[-1])[None]
    return mean_of([float(correlate_rows(take_pairs(f[i], everyone), take_pairs(f[j], everyone))[0]) for f in stacked])
