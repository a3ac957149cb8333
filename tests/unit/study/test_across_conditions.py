"""Estimates over conditions: against published figures, and by how often their verdicts are right."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from closerlook.study.across_conditions import combine, holm

# The 13 trials of the BCG vaccine (Colditz et al. 1994): with tuberculosis and without, vaccinated and not.
TRIALS = np.array([
    [4, 119, 11, 128], [6, 300, 29, 274], [3, 228, 11, 209], [62, 13536, 248, 12619], [33, 5036, 47, 5761],
    [180, 1361, 372, 1079], [8, 2537, 10, 619], [505, 87886, 499, 87892], [29, 7470, 45, 7232],
    [17, 1699, 65, 1600], [186, 50448, 141, 27197], [5, 2493, 3, 2338], [27, 16886, 29, 17825],
])  # fmt: skip


def log_risk_ratios() -> tuple[np.ndarray, np.ndarray]:
    a, b, c, d = TRIALS.T
    return np.log(a / (a + b)) - np.log(c / (c + d)), np.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))


def test_one_model_is_the_published_random_effects_estimate() -> None:
    """DerSimonian-Laird as in the manual of R's metafor: -0.7141, tau2 .3088, I2 92.12 %."""
    values, errors = log_risk_ratios()
    names = [f"trial {i}" for i in range(13)]
    found = combine(values, errors, names, ["bcg"] * 13, null=0.0)
    assert found.value == pytest.approx(-0.7141, abs=5e-5)
    assert found.tau**2 == pytest.approx(0.3088, abs=5e-5)
    assert found.i_squared == pytest.approx(0.9212, abs=5e-5)
    assert (found.n_conditions, found.n_tasks, found.n_models) == (13, 13, 1)
    assert found.low < found.value < found.high < 0
    assert found.p_value < 0.01


def test_equal_errors_give_students_t_over_conditions() -> None:
    """With equal weights Hartung & Knapp's interval is Student's t of the effects."""
    values = np.array([0.1, 0.4, 0.2, 0.6])
    found = combine(values, np.full(4, 0.01), list("abcd"), ["m"] * 4, null=0.0)
    half = 3.182446305284263 * values.std(ddof=1) / 2  # t quantile of 3 degrees of freedom, from a table
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half))


def test_interval_and_p_agree() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        values, errors = rng.normal(0.3, 0.4, 6), rng.uniform(0.05, 0.4, 6)
        found = combine(values, errors, list("aabbcc"), list("mnmnmn"), null=0.0)
        assert (found.p_value < 0.05) == (found.low > 0 or found.high < 0)


def test_conditions_of_one_task_share_its_test_set() -> None:
    """Five models that agree on one task are no better known than the task's test set allows."""
    found = combine([0.1] * 5, [0.05] * 5, ["pos"] * 5, list("abcde"), null=0.0)
    assert (found.high - found.low) / 2 == pytest.approx(2.7764451051977987 * 0.05)  # t of 4 degrees of freedom


def test_holm_by_hand() -> None:
    found = holm([0.01, 0.04, math.nan, 0.03, 0.005])
    assert found[:2] == pytest.approx([0.03, 0.06])
    assert math.isnan(found[2])
    assert found[3:] == pytest.approx([0.06, 0.02])
    assert holm([]) == []


def studies(
    n_tasks: int, n_models: int, n_studies: int, *, effect: float = 0.0, between: float = 0.0
) -> tuple[float, float]:
    """Share of studies that decide anything: combined, and by the rule that every condition must agree or none.

    Each condition's own error is 1; half of its variance is the task's test set. ``between`` is the standard deviation
    of the true effects of tasks and of models.
    """
    rng = np.random.default_rng(10 * n_tasks + n_models)
    tasks = np.repeat(np.arange(n_tasks), n_models)
    models = np.tile(np.arange(n_models), n_tasks)
    combined, counted = [], []
    for _ in range(n_studies):
        of_task = rng.normal(0, math.hypot(between, math.sqrt(0.5)), n_tasks)[tasks]
        of_model = rng.normal(0, between, n_models)[models] if n_models > 1 else 0.0  # one model is not a sample
        y = effect + of_task + of_model + rng.normal(0, math.sqrt(0.5), len(tasks))
        found = combine(y, np.ones(len(y)), tasks.astype(str).tolist(), models.astype(str).tolist(), null=0.0)
        combined.append(found.p_value < 0.05)
        above, below = (y > norm.ppf(0.975)).sum(), (y < norm.ppf(0.025)).sum()
        counted.append(above == len(y) or (above == 0 and below > 0))
    return float(np.mean(combined)), float(np.mean(counted))


DESIGNS = [(2, 1), (3, 1), (5, 1), (3, 3), (5, 5), (1, 5)]


@pytest.mark.parametrize(("n_tasks", "n_models"), DESIGNS)
def test_a_global_null_is_seldom_decided(n_tasks: int, n_models: int) -> None:
    combined, counted = studies(n_tasks, n_models, 400)
    assert combined <= 0.085
    assert counted >= 0.1 or n_tasks * n_models < 9


@pytest.mark.slow
@pytest.mark.parametrize("between", [0.0, 1.0])
@pytest.mark.parametrize(("n_tasks", "n_models"), DESIGNS)
def test_false_verdicts_over_conditions_are_near_five_percent(n_tasks: int, n_models: int, between: float) -> None:
    if n_tasks == 1 and between:
        pytest.skip("one task says nothing of others")
    assert studies(n_tasks, n_models, 3000, between=between)[0] <= 0.07


def test_an_effect_in_all_conditions_is_found() -> None:
    """25 conditions with 95 % power each: together they cannot miss it, one by one they do in three of four studies."""
    combined, counted = studies(5, 5, 300, effect=3.605)
    assert combined >= 0.99
    assert counted <= 0.7
