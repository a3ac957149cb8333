"""The claim about many conditions at once: does accuracy gain less where train and test diverge more?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import norm, rankdata

from closerlook.number_text import counted
from closerlook.study import paper
from closerlook.study.effects import Effect, not_measured
from closerlook.study.verdicts import Finding, Verdict, by_sign

_Z = float(norm.ppf(0.975))
_POWER = 0.8


class Point(NamedTuple):
    """A condition: how much accuracy it gains, and how alike train and test are after tuning."""

    task: str
    model: str
    gain: float
    similarity: float


def exception_diverges(rises: Sequence[Finding], falls: Sequence[Finding]) -> Finding:
    """Partial rank correlation of accuracy gain and train-test similarity, task and model held fixed.

    Pooled over tasks it would compare tasks: one where all gain much and diverge little makes the correlation. What is
    left without the means of each task and each model is what "exception" means: less than these lead to expect.

    Args:
        rises: The findings of the claim about accuracy.
        falls: Those of the claim about train-test similarity.
    """
    gains = {(one.task, one.model): one.effect.value for one in rises if one.effect.known}
    points = [
        Point(one.task, one.model, gains[one.task, one.model], one.after)
        for one in falls
        if (one.task, one.model) in gains and math.isfinite(one.after)
    ]
    effect = within_tasks_and_models(points)
    verdict, reason = by_sign(effect, null=0.0, claimed=1)
    if verdict == Verdict.UNDECIDED:
        reason = f"{reason}; {_power(effect.df)}"
    everywhere = {"model": "all models", "task": "all tasks", "tuned_on": "all tasks"}
    printed = paper_effect()
    told = f"{printed.value:+.2f} [{printed.low:+.2f}, {printed.high:+.2f}] from its table"
    return Finding(
        **everywhere,
        before=math.nan,
        after=math.nan,
        effect=effect,
        verdict=verdict,
        reason=reason,
        paper=told,
        paper_effect=printed.value,
    )


def paper_effect() -> Effect:
    """The same correlation from the paper's own table, over the conditions that print a similarity."""
    return within_tasks_and_models(
        [
            Point(task, model, row.after.accuracy - row.before.accuracy, row.after.similarity)
            for (model, task), row in paper.E1.items()
            if row.after.similarity is not None
        ]
    )


def within_tasks_and_models(points: Sequence[Point]) -> Effect:
    """Partial Spearman correlation with Fisher's interval.

    Args:
        points: One for each condition.

    Returns:
        The effect; without a value where too few conditions are left once each task and model has its mean.
    """
    n = len(points)
    tasks, models = [point.task for point in points], [point.model for point in points]
    means = np.concatenate([_indicators(tasks), _indicators(models)], axis=1)
    n_means = max(int(np.linalg.matrix_rank(means)), 1) if n else 1
    df = n - n_means - 2  # of Fisher's z
    if df < 1:
        return not_measured(
            f"{counted(n, 'condition')} with both numbers, {counted(len(set(tasks)), 'task')} and "
            f"{counted(len(set(models)), 'model')}: needs at least {n_means + 3}, with several models a task"
        )
    ranks = rankdata(np.array([(point.gain, point.similarity) for point in points], dtype=float), axis=0)
    left = ranks - means @ np.linalg.lstsq(means, ranks)[0]
    size = np.linalg.norm(left, axis=0)
    if min(size) < 1e-9 * n:
        return not_measured("task and model explain one of the two numbers fully")
    r = float(np.clip(left[:, 0] @ left[:, 1] / (size[0] * size[1]), -1 + 1e-9, 1 - 1e-9))
    half = _Z * _error(df)
    low, high = math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)
    return Effect(r, low, high, df, f"{n} conditions less the means of {n_means} tasks and models")


def _indicators(names: Sequence[str]) -> np.ndarray:
    """(n_names, n_different) 1 where a name is that of the column."""
    return (np.array(names, dtype=str)[:, None] == np.unique(np.array(names, dtype=str))).astype(float)


def _error(df: float) -> float:
    """Standard error of Fisher's z of a rank correlation (Fieller, Hartley & Pearson 1957)."""
    return math.sqrt(1.06 / df)


def _power(df: float) -> str:
    """The smallest correlation that this many conditions find four times in five."""
    least = math.tanh((_Z + float(norm.ppf(_POWER))) * _error(df))
    return f"a correlation below {least:.2f} would be missed more than one time in five"
