"""Claims about ways of tuning that compare more than a pair of spaces: other tasks, weights, seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from closerlook import measures as m
from closerlook.geometry.correlation import correlate_rows, take_pairs
from closerlook.results.hits import decode_hits
from closerlook.results.tables import rows_of
from closerlook.study.conditions import Condition, last_step
from closerlook.study.crossed import paired_examples
from closerlook.study.distance_claims import jackknifed
from closerlook.study.effects import not_measured, over_units
from closerlook.study.exception_claim import Point, within_tasks_and_models
from closerlook.study.matched import accuracy_course
from closerlook.study.measured import Measured
from closerlook.study.method_pairs import (
    FULL,
    HEAD,
    Methods,
    distance_vectors,
    finding,
    last_accuracy,
    match,
    mean_of,
    mean_similarity,
    stacked,
)
from closerlook.study.method_statements import SAME_ACCURACY
from closerlook.study.verdicts import Finding, Verdict, by_sign


def forgetting(one: Methods, name: str) -> list[Finding]:
    """Accuracy on each other task, after tuning by a method and by full tuning."""
    full = {condition.task: condition for condition in one.others.get(FULL, ())}
    return [
        finding(one, f"{name} beside full", _lost(one, name, full[other.task], other), task=other.task)
        for other in one.others.get(name, ())
        if other.task in full
    ]


def _lost(one: Methods, name: str, full: Condition, other: Condition) -> Measured:
    probe = next((p for p in full.classifiers if p in other.classifiers), None)
    seeds = sorted(set(full.probed) & set(other.probed))
    if probe is None or not seeds:
        return Measured(not_measured("no accuracy on the other task"))
    hits = [[_hits(condition, seed, probe) for seed in seeds] for condition in (full, other)]
    if any(values is None for side in hits for values in side):
        return Measured(not_measured("no hits of single examples, which pairs need"))
    a, b = (np.array(side) for side in hits)
    effect = over_units(
        [paired_examples(b - a)], float((b - a).mean()), (b - a).mean(axis=1).tolist(), f"{a.shape[1]} examples, paired"
    )
    verdict, note = _control_accuracy(one, name)
    return Measured(effect, float(a.mean()), float(b.mean()), note=note, verdict=verdict)


def _hits(condition: Condition, seed: int, probe: str) -> np.ndarray | None:
    table = condition.probed[seed]
    rows = rows_of(table, m.TEST_HITS, probe=probe, layer=condition.layer)
    rows = rows[rows["step"] == last_step(table)]
    return decode_hits(rows["note"].iloc[-1]).shares if len(rows) else None


def _control_accuracy(one: Methods, name: str) -> tuple[Verdict | None, str]:
    """Whether both are equally accurate on the tuned task at their last snapshots."""
    shared = [p for p in one.own[FULL].classifiers if p in one.own[name].classifiers]
    if not shared:
        return Verdict.UNDECIDED, "the accuracies on the tuned task are not known"
    full, other = (mean_of(list(last_accuracy(one.own[method], shared[0]).values())) for method in (FULL, name))
    said = f"accuracy on {one.task} {full:.3f} by full tuning, {other:.3f} by {name}"
    return (None, said) if abs(full - other) <= SAME_ACCURACY else (Verdict.UNDECIDED, f"not equally accurate: {said}")


def intruders(methods: Sequence[Methods]) -> Finding | None:
    """Over runs: intruder dimensions, and how far accuracy on other tasks fell."""
    points = []
    for one in methods:
        for name, others in one.others.items():
            for other in others:
                points += [
                    Point(f"{other.task} < {one.task}", one.model, lost, n_intruders)
                    for seed in other.probed
                    if math.isfinite(n_intruders := _n_intruders(one.own.get(name), seed))
                    and math.isfinite(lost := _fall(other, seed))
                ]
    if not methods:
        return None
    effect = within_tasks_and_models(points) if points else not_measured(
        "intruder dimensions and accuracy on other tasks are not both measured"
    )  # fmt: skip
    verdict, reason = by_sign(effect, null=0.0, claimed=1)
    return Finding(
        model="all models and methods",
        task="all tasks",
        tuned_on="all tasks",
        before=math.nan,
        after=math.nan,
        effect=effect,
        verdict=verdict,
        reason=reason,
    )


def _n_intruders(condition: Condition | None, seed: int) -> float:
    """Intruder dimensions of all matrices at the last step; NaN where they are not measured."""
    if condition is None or seed not in condition.probed:
        return math.nan
    table = condition.probed[seed]
    rows = table[(table["measure"] == m.INTRUDERS) & (table["step"] == last_step(table))]
    return float(rows["value"].sum()) if rows["value"].notna().any() else math.nan


def _fall(condition: Condition, seed: int) -> float:
    """How far accuracy fell on a task that the encoder was not tuned on."""
    probe = condition.classifier
    if probe is None:
        return math.nan
    course = accuracy_course(condition.probed[seed], probe, condition.layer)
    return float(course.iloc[0] - course.iloc[-1]) if len(course) > 1 else math.nan


def seeds_closer(one: Methods) -> Finding | None:
    """Similarity between seeds of a method less that between methods of a seed."""
    compared = {name: condition for name, condition in one.own.items() if name != HEAD}
    if len(compared) < 2:
        return None
    matched = match(compared)
    if matched.reason or len(matched.seeds) < 2:
        reason = matched.reason or "it needs two seeds of each method"
        return finding(one, "seeds and methods", Measured(not_measured(reason)))
    runs = [(method, seed) for method in compared for seed in matched.seeds]
    found = stacked([[vector for method, seed in runs for vector in distance_vectors(matched, seed, method)]])
    if found is None:
        return finding(one, "seeds and methods", Measured(not_measured("label distances are not measured")))
    of_seeds, of_methods = (
        [(i, j) for j in range(len(runs)) for i in range(j) if (runs[i][k] == runs[j][k]) and runs[i] != runs[j]]
        for k in (0, 1)
    )

    def closer(distances: np.ndarray, orders: np.ndarray) -> np.ndarray:
        pairs = [take_pairs(matrix, orders) for matrix in distances]
        within, between = (
            np.mean([correlate_rows(pairs[i], pairs[j]) for i, j in kind], axis=0) for kind in (of_seeds, of_methods)
        )
        return np.asarray(within - between)

    sides = (mean_of([mean_similarity(found, i, j) for i, j in kind]) for kind in (of_methods, of_seeds))
    accuracy = mean_of(list(matched.accuracy.values()))
    note = f"{len(compared)} methods, {len(matched.seeds)} seeds, at accuracy {accuracy:.3f}"
    before, after = sides
    effect = jackknifed(found, closer, fisher=False)
    if effect.has_interval:
        effect = replace(effect, basis=f"{found.shape[-1]} labels; other seeds and methods would differ")
    return finding(one, "seeds and methods", Measured(effect, before, after, note=note))
