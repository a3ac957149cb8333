"""Claims about ways of tuning, on tables whose verdicts are known by construction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from closerlook import measures as m
from closerlook.results.hits import encode_hits
from closerlook.study.claims import claims_of
from closerlook.study.conditions import conditions_of
from closerlook.study.join import load_study
from closerlook.study.matched import Moment, common_accuracy, moment_of
from closerlook.study.method_pairs import methods_of
from closerlook.study.method_statements import METHOD_STATEMENTS
from closerlook.study.verdicts import METHODS, PAPER, Claim, Verdict

STEPS = (0, 10, 20, 30)
LABELS = ("a", "b", "c", "d", "e", "f", "g")
PAIRS = list(combinations(LABELS, 2))


def course(*values: float) -> pd.Series:
    return pd.Series(values, index=STEPS[: len(values)], dtype=float)


def test_runs_meet_at_the_highest_accuracy_that_all_reach() -> None:
    full, lora = course(0.5, 0.7, 0.9, 0.85), course(0.5, 0.6, 0.7, 0.8)
    assert common_accuracy([full, lora]) == 0.8
    assert moment_of(full, 0.8) == Moment(10, 20, pytest.approx(0.5))
    assert moment_of(lora, 0.8) == Moment(20, 30, 1.0)
    assert moment_of(full, 0.8).step == pytest.approx(15)
    assert math.isnan(common_accuracy([full, course(0.5, 0.5, 0.4)]))  # never above that of before
    assert math.isnan(common_accuracy([full, course().astype(float)]))


def values(tables: ModuleType, probe: str, measure: str, by_step: dict[int, Any], *names: Any, split: str = "train",
           layer: int = 4) -> list[Any]:  # fmt: skip
    """Rows of a measure: a number a step, or one for each of ``names``."""
    rows = []
    for step, value in by_step.items():
        where = (probe, measure, step, step / 10, layer, split)
        if not names:
            rows.append(tables.result_row(*where, value=float(value), n=1000))
        for name, one in zip(names, np.broadcast_to(value, len(names)), strict=True):
            rows.append(tables.result_row(*where, *([name] if isinstance(name, str) else name), value=float(one)))
    return rows


def save(
    tables: ModuleType, root: Path, method: str, accuracy: Sequence[float], rows: Sequence[Any], seed: int = 0,
    task: str = "pos", cross: str = "",
) -> None:  # fmt: skip
    folder = root / task / "tiny" / f"seed-{seed}__method-{method}"
    info = replace(tables.info(cross or task, "tiny", seed), method=method, variant=f"method-{method}")
    courses = values(tables, "linear", m.ACCURACY, dict(zip(STEPS, accuracy, strict=False)), split="test")
    if cross:
        tables.save_run(folder, [], replace(info, task=task))
        tables.save_run(folder / "cross" / cross, [*courses, *rows], info, tuned_on=task)
    else:
        tables.save_run(folder, [*courses, *rows], info)


def claims(root: Path) -> dict[str, Claim]:
    return {one.key: one for one in claims_of(conditions_of(load_study(root)))}


FULL, SLOW = (0.5, 0.7, 0.9, 0.95), (0.5, 0.6, 0.7, 0.8)


def minimum(tables: ModuleType, growth: Sequence[float], width: Sequence[float] = (1, 1, 1, 1)) -> list[Any]:
    start = np.linspace(1, 2, len(LABELS))
    wobble = np.array([0.98, 1.0, 1.02, 0.99, 1.01, 1.0, 1.0])
    grown = {step: start * (1 + (g - 1) * (wobble if step else 1)) for step, g in zip(STEPS, growth, strict=True)}
    wide = {step: start * w for step, w in zip(STEPS, width, strict=True)}
    return [
        *values(tables, "direct", m.MIN_DISTANCE, grown, *LABELS),
        *values(tables, "direct", m.INSIDE_MEAN, wide, *LABELS),
    ]


@pytest.mark.parametrize(
    ("growth", "width", "verdict"),
    [
        ((1, 1.5, 2, 3), (1, 1, 1, 1), Verdict.SUPPORTED),  # as full tuning had grown when it was as accurate
        ((1, 1.2, 1.4, 2), (1, 1, 1, 1), Verdict.NOT_SUPPORTED),  # half as far
        ((1, 1.5, 2, 3), (1, 1.5, 2, 3), Verdict.MIXED),  # everything grew
    ],
)
def test_lora_is_compared_where_it_is_as_accurate(
    tables: ModuleType, tmp_path: Path, growth: Sequence[float], width: Sequence[float], verdict: Verdict
) -> None:
    for seed in (0, 1):
        save(tables, tmp_path, "full", FULL, minimum(tables, (1, 2, 4, 9)), seed)  # x3 at .8, x9 at its end
        save(tables, tmp_path, "lora-r8", SLOW, minimum(tables, growth, width), seed)
    found = claims(tmp_path)["lora_apart"]
    (finding,) = found.findings
    assert (finding.model, finding.verdict, found.verdict) == ("tiny: lora-r8 beside full", verdict, verdict)
    assert finding.effect.value == pytest.approx((growth[-1] - 1) / 2, rel=1e-6)
    assert "at accuracy 0.800" in finding.reason
    assert "2 seeds x 7 labels" in finding.reason


def distances(tables: ModuleType, *by_step: np.ndarray, split: str = "train") -> list[Any]:
    return values(tables, "direct", m.LABEL_DISTANCE, dict(zip(STEPS, by_step, strict=True)), *PAIRS, split=split)


def noisy(base: np.ndarray, size: float, seed: int) -> np.ndarray:
    return base + size * np.random.default_rng(seed).normal(size=len(base))


def test_places_of_labels_train_and_test_seeds_and_methods(tables: ModuleType, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first = rng.uniform(1, 5, len(PAIRS))
    ends = {"full": noisy(6 - first, 0.2, 7), "lp_ft": rng.uniform(1, 5, len(PAIRS))}
    for seed in (0, 1):
        for method, order, drift in (("full", 0.0, 8.0), ("lora-r8", 0.9, 2.0), ("lp_ft", 0.1, 0.1)):
            goal = ends.get(method, ends["full"])
            end = noisy(order * first + (1 - order) * goal, 0.05, seed + 10 * len(method))
            course = [(1 - t) * first + t * end for t in (0, 0.4, 0.7, 1)]
            test = [noisy(one, drift * t, 3) for t, one in zip((0, 0.4, 0.7, 1), course, strict=True)]
            rows = [*distances(tables, *course), *distances(tables, *test, split="test")]
            save(tables, tmp_path, method, SLOW, rows, seed)
    found = claims(tmp_path)
    assert found["lora_order"].verdict == Verdict.SUPPORTED
    assert found["lora_order"].findings[0].after > 0.9 > found["lora_order"].findings[0].before
    assert found["lp_ft_drift"].verdict == Verdict.SUPPORTED
    assert found["seeds_closer"].verdict == Verdict.SUPPORTED
    assert "3 methods, 2 seeds" in found["seeds_closer"].findings[0].reason


def hits(tables: ModuleType, before: np.ndarray, after: np.ndarray) -> list[Any]:
    names = [str(i) for i in range(len(before))]
    return [
        tables.result_row("linear", m.TEST_HITS, step, step / 10, 4, "test", note=encode_hits(part, names))
        for step, part in ((0, before), (30, after))
    ]


@pytest.mark.parametrize(
    ("own", "verdict"), [((0.5, 0.7, 0.8, 0.9), Verdict.SUPPORTED), ((0.5, 0.6, 0.7, 0.8), Verdict.UNDECIDED)]
)
def test_forgetting_is_compared_only_between_equally_accurate_ends(
    tables: ModuleType, tmp_path: Path, own: Sequence[float], verdict: Verdict
) -> None:
    before = np.ones(200)
    for method, n_lost, course in (("full", 60, (0.5, 0.7, 0.9, 0.9)), ("lora-r8", 20, own)):
        after = before.copy()
        after[:n_lost] = 0
        save(tables, tmp_path, method, (1.0, 1.0, 1.0, float(after.mean())), hits(tables, before, after), cross="trec6")
        save(tables, tmp_path, method, course, [])
    (finding,) = claims(tmp_path)["lora_forgets_less"].findings
    assert (finding.task, finding.tuned_on, finding.verdict) == ("trec6", "pos", verdict)
    assert (finding.before, finding.after, finding.effect.value) == pytest.approx((0.7, 0.9, 0.2))
    assert ("not equally accurate" in finding.reason) == (verdict == Verdict.UNDECIDED)


def test_intruders_are_undecided_until_they_are_measured_then_compared_over_runs(
    tables: ModuleType, tmp_path: Path
) -> None:
    losses = {("full", seed): 0.02 * seed for seed in range(4)} | {("lora-r8", s): 0.01 + 0.02 * s for s in range(4)}
    for (method, seed), lost in losses.items():
        weights = values(tables, "weights", "intruder_dimensions", {30: 100 * lost}, "attention.query", split="weights")
        save(tables, tmp_path / "told", method, (0.9, 0.9, 0.9, 0.9 - lost), [], seed, cross="trec6")
        save(tables, tmp_path / "told", method, FULL, weights, seed)
        if seed == 0:
            save(tables, tmp_path / "bare", method, (0.9, 0.9, 0.9, 0.9 - lost), [], seed, cross="trec6")
            save(tables, tmp_path / "bare", method, FULL, [], seed)
    bare, told = (claims(tmp_path / name)["intruders"] for name in ("bare", "told"))
    assert bare.verdict == Verdict.NOT_TESTABLE
    assert "intruder dimensions and accuracy on other tasks are not both measured" in bare.reason
    assert told.verdict == Verdict.SUPPORTED


@pytest.mark.parametrize(("moved", "verdict"), [(1e-12, Verdict.SUPPORTED), (1e-4, Verdict.NOT_SUPPORTED)])
def test_a_frozen_space_must_not_move_beyond_rounding(
    tables: ModuleType, tmp_path: Path, moved: float, verdict: Verdict
) -> None:
    save(tables, tmp_path, "full", FULL, [])
    still = values(tables, "direct", m.MIN_DISTANCE, {0: 1.0, 10: 1.0, 20: 1.0 + moved}, *LABELS)
    save(tables, tmp_path, "head", (0.5, 0.5, 0.5), still)
    found = claims(tmp_path)["head_still"]
    assert found.verdict == verdict
    assert found.findings[0].reason.endswith(f"{7 if moved > 1e-6 else 0} of 16 numbers differ")


def test_two_kinds_of_full_tuning_are_never_taken_for_one(tables: ModuleType, tmp_path: Path) -> None:
    rows = minimum(tables, (1, 2, 4, 9))
    for rate in ("1e-4", "1e-3"):
        folder = tmp_path / "pos" / "tiny" / f"seed-0__learning_rate-{rate}"
        info = replace(tables.info("pos", "tiny"), variant=f"learning_rate-{rate}")
        courses = values(tables, "linear", m.ACCURACY, dict(zip(STEPS, FULL, strict=True)), split="test")
        tables.save_run(folder, [*courses, *rows], info)
    save(tables, tmp_path, "lora-r8", SLOW, rows)
    conditions = conditions_of(load_study(tmp_path))
    (found,) = methods_of(conditions)
    assert set(found.own) == {"full [learning_rate-1e-4]", "full [learning_rate-1e-3]", "lora-r8"}
    claims = {one.key: one for one in claims_of(conditions)}
    assert claims["lora_apart"].verdict == Verdict.NOT_TESTABLE


def test_claims_of_methods_stand_beside_the_papers_where_there_are_several(tables: ModuleType, tmp_path: Path) -> None:
    save(tables, tmp_path, "full", FULL, [])
    assert {one.family for one in claims(tmp_path).values()} == {PAPER}
    save(tables, tmp_path, "bitfit", SLOW, [])
    of_methods = [one for one in claims(tmp_path).values() if one.family == METHODS]
    assert [one.key for one in of_methods] == [one.key for one in METHOD_STATEMENTS]
    assert {one.verdict for one in of_methods} == {Verdict.NOT_TESTABLE}
    assert all("experiment=methods" in one.reason for one in of_methods)
