"""The claim about many conditions at once: does accuracy gain less where train and test diverge more?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import norm, rankdata

from closerlook.study import paper
from closerlook.study.conditions import Condition
from closerlook.study.distance_claims import train_test_falls
from closerlook.study.effects import Effect, not_measured
from closerlook.study.probe_claims import accuracy_rises
from closerlook.study.verdicts import Finding, Verdict, by_sign

_Z = float(norm.ppf(0.975))
_POWER = 0.8


def exception_diverges(conditions: Sequence[Condition]) -> Finding:
    """Partial rank correlation of accuracy gain and train-test similarity, task and model held fixed.

    Pooled over tasks it would compare tasks: one where all gain much and diverge little makes the correlation. What is
    left without the means of each task and each model is what "exception" means: less than these lead to expect.
    """
    points = []
    for condition in conditions:
        rises, falls = accuracy_rises(condition), train_test_falls(condition)
        if rises and falls and rises.effect.known and math.isfinite(falls.after):
            points.append((condition.task, condition.model, rises.effect.value, falls.after))
    effect = within_tasks_and_models(points)
    verdict, reason = by_sign(effect, null=0.0, claimed=1)
    if verdict == Verdict.UNDECIDED:
        reason = f"{reason}; {_power(effect.df)}"
    everywhere = {"model": "all models", "task": "all tasks", "tuned_on": "all tasks"}
    printed = paper_effect()
    told = f"{printed.value:+.2f} [{printed.low:+.2f}, {printed.high:+.2f}] from its table"
    return Finding(**everywhere, before=math.nan, after=math.nan, effect=effect, verdict=verdict, reason=reason,
                   paper=told, paper_effect=printed.value)  # fmt: skip


def paper_effect() -> Effect:
    """The same correlation from the paper's own table, over the conditions that print a similarity."""
    return within_tasks_and_models(
        [
            (task, model, row.after.accuracy - row.before.accuracy, row.after.similarity)
            for (model, task), row in paper.E1.items()
            if row.after.similarity is not None
        ]
    )


def within_tasks_and_models(points: Sequence[tuple[str, str, float, float]]) -> Effect:
    """Partial Spearman correlation with Fisher's interval.

    Args:
        points: (task, model, accuracy gain, similarity after tuning) of each condition.

    Returns:
        The effect; without a value where too few conditions are left once each task and model has its mean.
    """
    n = len(points)
    tasks, models = ([point[i] for point in points] for i in (0, 1))
    means = np.array([[*(t == name for name in set(tasks)), *(k == name for name in set(models))]
                      for t, k in zip(tasks, models, strict=True)], dtype=float).reshape(n, -1)  # fmt: skip
    n_means = int(np.linalg.matrix_rank(means)) if n else 1
    df = n - n_means - 2  # of Fisher's z
    if df < 1:
        return not_measured(
            f"{n} conditions with both numbers, {len(set(tasks))} tasks and {len(set(models))} models: needs at least "
            f"{n_means + 3}, with several models a task"
        )
    ranks = rankdata(np.array([point[2:] for point in points], dtype=float), axis=0)
    left = ranks - means @ np.linalg.lstsq(means, ranks)[0]
    size = np.linalg.norm(left, axis=0)
    if min(size) < 1e-9 * n:
        return not_measured("task and model explain one of the two numbers fully")
    r = float(np.clip(left[:, 0] @ left[:, 1] / (size[0] * size[1]), -1 + 1e-9, 1 - 1e-9))
    half = _Z * _error(df)
    low, high = math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)
    return Effect(r, low, high, df, f"{n} conditions less the means of {n_means} tasks and models")


def _error(df: float) -> float:
    """Standard error of Fisher's z of a rank correlation (Fieller, Hartley & Pearson 1957)."""
    return math.sqrt(1.06 / df)


def _power(df: float) -> str:
    """The smallest correlation that this many conditions find four times in five."""
    least = math.tanh((_Z + float(norm.ppf(_POWER))) * _error(df))
    return f"a correlation below {least:.2f} would be missed more than one time in five"
