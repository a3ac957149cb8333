"""Claims on tables whose verdicts are known by construction."""

from __future__ import annotations

import json
import math
from itertools import combinations
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.stats import t as student_t
from scipy.stats import ttest_1samp

from closerlook import measures as m
from closerlook.geometry.confidence import newcombe_interval
from closerlook.results.hits import encode_hits
from closerlook.study.claims import claims_of, headline
from closerlook.study.conditions import conditions_of
from closerlook.study.exception_claim import Point, within_tasks_and_models
from closerlook.study.join import load_study
from closerlook.study.verdicts import Claim, Verdict

N_PAIRS = 15


def claim(root: Path, key: str) -> Claim:
    claims = {found.key: found for found in claims_of(conditions_of(load_study(root)))}
    return claims[key]


@pytest.mark.parametrize(
    ("before", "after", "n", "verdict"),
    [
        (0.70, 0.90, 1000, Verdict.SUPPORTED),
        (0.90, 0.70, 1000, Verdict.NOT_SUPPORTED),
        (0.80, 0.81, 1000, Verdict.UNDECIDED),
        (0.80, 0.81, 100_000, Verdict.SUPPORTED),
    ],
)
def test_without_hits_one_seed_is_judged_as_if_the_test_sets_were_different(
    tables: ModuleType, tmp_path: Path, before: float, after: float, n: int, verdict: Verdict
) -> None:
    tables.save_run(tables.run_dir(tmp_path), tables.accuracy(before, after, n), tables.info())
    found = claim(tmp_path, "accuracy")
    assert found.verdict == verdict
    (condition,) = found.findings
    assert condition.effect.value == pytest.approx(after - before)
    assert f"{n} test examples, not paired, 1 seed" in condition.reason
    assert (condition.effect.low, condition.effect.high) == pytest.approx(
        newcombe_interval(round(after * n), n, round(before * n), n)
    )
    assert condition.paper == ""


def test_one_seed_is_judged_by_the_examples_that_change_sides(tables: ModuleType, tmp_path: Path) -> None:
    """40 examples are won and 20 lost of 300: McNemar says p = .010, two independent samples p = .11."""
    before = np.repeat([0, 1, 1, 0], [40, 20, 140, 100])
    after = np.repeat([1, 0, 1, 0], [40, 20, 140, 100])
    tables.save_run(tables.run_dir(tmp_path), tables.hits(before, after), tables.info())
    found = claim(tmp_path, "accuracy")
    (condition,) = found.findings
    # Bonett & Price 2012, by hand: (f12 + 1) / (n + 2) and (f21 + 1) / (n + 2)
    won, lost = 41 / 302, 21 / 302
    half = student_t.ppf(0.975, 301) * math.sqrt((won + lost - (won - lost) ** 2) / 301)
    assert (condition.effect.low, condition.effect.high) == pytest.approx((won - lost - half, won - lost + half))
    assert condition.effect.value == pytest.approx(20 / 300)
    assert found.verdict == Verdict.SUPPORTED
    assert "300 test examples, paired, 1 seed" in condition.reason
    assert newcombe_interval(180, 300, 160, 300).low < 0


def test_two_seeds_are_both_in_the_interval(tables: ModuleType, tmp_path: Path) -> None:
    """The second seed turns the mean around: the interval must go with it, not stay that of the first."""
    before = np.repeat([0, 1], [200, 200])
    for seed, lost in ((0, 40), (1, 160)):
        after = before.copy()
        after[-lost:] = 0
        after[:60] = 1
        tables.save_run(tables.run_dir(tmp_path, seed=seed), tables.hits(before, after), tables.info(seed=seed))
    (condition,) = claim(tmp_path, "accuracy").findings
    effect = condition.effect
    assert effect.value == pytest.approx(((60 - 40) + (60 - 160)) / 2 / 400)
    assert effect.low < effect.value < effect.high
    assert (effect.low + effect.high) / 2 == pytest.approx(effect.value, abs=0.002)
    assert condition.effect.basis == "2 seeds x 400 test examples, paired"


def test_hits_on_different_examples_are_not_paired(tables: ModuleType, tmp_path: Path) -> None:
    before, after = np.repeat([0, 1], [50, 50]), np.repeat([0, 1], [20, 80])
    for seed in (0, 1):
        rows = tables.hits(before, after, names=[f"{seed}-{i}" for i in range(100)])
        tables.save_run(tables.run_dir(tmp_path, seed=seed), rows, tables.info(seed=seed))
    (condition,) = claim(tmp_path, "accuracy").findings
    assert "100 test examples, not paired" in condition.effect.basis


def test_paper_stands_beside_its_own_setting_only(tables: ModuleType, tmp_path: Path) -> None:
    rows = tables.accuracy(0.8775, 0.8958)
    tables.save_run(tables.run_dir(tmp_path, "ps_fxn", "bert_base"), rows, tables.info("ps_fxn", "bert_base", 0, 4282))
    tables.save_run(tables.run_dir(tmp_path, "ps_role", "bert_base"), rows, tables.info("ps_role", "bert_base", 0, 64))
    conditions = {condition.task: condition for condition in claim(tmp_path, "accuracy").findings}
    assert conditions["ps_fxn"].paper == "0.8775 → 0.8958"
    assert conditions["ps_fxn"].paper_effect == pytest.approx(0.0183)
    assert conditions["ps_role"].paper == ""  # a part of the data is not the paper's setting


@pytest.mark.parametrize(
    ("before", "after", "contradictions", "verdict", "reason"),
    [
        (60, 6, 0, Verdict.SUPPORTED, "linear"),
        (6, 6, 0, Verdict.SUPPORTED, "linear, as it was before tuning"),
        (60, 8, 1, Verdict.SUPPORTED, "linear apart from 1 contradiction"),
        (60, 9, 1, Verdict.MIXED, "nearly: 3 clusters beyond one per label are left"),
        (60, 40, 0, Verdict.NOT_SUPPORTED, "34 clusters beyond one per label are left"),
        (6, 7, 0, Verdict.NOT_SUPPORTED, "1 clusters beyond one per label are left"),
    ],
)
def test_linear_means_one_cluster_a_label_apart_from_contradictions(
    tables: ModuleType, tmp_path: Path, before: int, after: int, contradictions: int, verdict: Verdict, reason: str
) -> None:
    tables.save_run(tables.run_dir(tmp_path), tables.clusters(before, after, contradictions), tables.info())
    found = claim(tmp_path, "linear")
    assert (found.verdict, found.findings[0].reason) == (verdict, reason)
    assert (found.findings[0].before, found.findings[0].after) == (before, after)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ((1, 2, 3, 1, 2, 3), Verdict.SUPPORTED),
        ((-1, -2, -3, -1, -2, -3), Verdict.NOT_SUPPORTED),
        ((-1, 2, -3, 1, -2, 3), Verdict.UNDECIDED),
    ],
)
def test_minimum_distances_are_judged_over_labels(
    tables: ModuleType, tmp_path: Path, change: tuple[float, ...], verdict: Verdict
) -> None:
    before = np.full(6, 5.0)
    tables.save_run(tables.run_dir(tmp_path), tables.minimum_distances(before, before + change), tables.info())
    found = claim(tmp_path, "apart")
    assert found.verdict == verdict
    (condition,) = found.findings
    assert condition.effect.value == pytest.approx(np.mean(change))
    up = sum(value > 0 for value in change)
    assert condition.reason.startswith(f"up for {up}, down for {6 - up} labels")
    low, high = ttest_1samp(change, 0).confidence_interval()
    assert (condition.effect.low, condition.effect.high) == pytest.approx((low, high))
    assert condition.effect.basis.startswith("6 labels, 1 seed")


def test_a_label_without_a_distance_is_left_out_not_counted_as_zero(tables: ModuleType, tmp_path: Path) -> None:
    after = [6.0, 7.0, 6.0, 7.0, 6.0, None]
    tables.save_run(tables.run_dir(tmp_path), tables.minimum_distances([5.0] * 6, after), tables.info())
    (condition,) = claim(tmp_path, "apart").findings
    assert condition.effect.value == pytest.approx(1.4)
    assert condition.effect.basis.startswith("5 labels")


def test_cross_tasks_are_judged_by_their_relation(tables: ModuleType, tmp_path: Path) -> None:
    up = tables.minimum_distances([5.0] * 6, [6.0, 7.0, 6.0, 7.0, 6.0, 7.0])
    down = tables.minimum_distances([5.0] * 6, [4.0, 3.0, 4.0, 3.0, 4.0, 3.0])
    for tuned_on, rows in (("ps_role", up), ("pos", down), ("trec50", down)):
        tables.save_run(tables.run_dir(tmp_path, tuned_on), [], tables.info(tuned_on))
        folder = tables.run_dir(tmp_path, tuned_on, cross="ps_fxn")
        tables.save_run(folder, rows, tables.info("ps_fxn"), tuned_on=tuned_on)
    related, unrelated = claim(tmp_path, "related"), claim(tmp_path, "unrelated")
    assert related.verdict == unrelated.verdict == Verdict.SUPPORTED
    assert [condition.tuned_on for condition in (*related.findings, *unrelated.findings)] == ["ps_role", "pos"]
    assert claim(tmp_path, "apart").verdict == Verdict.NOT_TESTABLE  # a cross-task space is not the tuned task's own
    assert unrelated.findings[0].effect.value == pytest.approx(-1.5)


def test_train_test_similarity_falls_over_the_same_labels(tables: ModuleType, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    train = rng.uniform(1, 5, N_PAIRS)
    noisy = rng.permutation(train)
    rows = [
        *tables.distances(train, step=0), *tables.distances(2 * train + 1, step=0, split="test"),
        *tables.distances(train, step=tables.LAST_STEP),
        *tables.distances(noisy, step=tables.LAST_STEP, split="test"),
    ]  # fmt: skip
    fallen = float(np.corrcoef(train, noisy)[0, 1])
    rows += tables.space("train_test_similarity", 1.0, fallen, probe="similarity", split="train-test")
    tables.save_run(tables.run_dir(tmp_path), rows, tables.info())
    (condition,) = claim(tmp_path, "train_test").findings
    assert condition.effect.value == pytest.approx(fallen - 1)
    # the jackknife by hand: leave a label out, correlate what is left
    pairs = list(combinations(range(6), 2))
    without = []
    for label in range(6):
        kept = [i for i, pair in enumerate(pairs) if label not in pair]
        without.append(np.corrcoef(train[kept], noisy[kept])[0, 1] - 1)
    values = 6 * (fallen - 1) - 5 * np.array(without)
    half = student_t.ppf(0.975, 5) * values.std(ddof=1) / math.sqrt(6)
    assert (condition.effect.low, condition.effect.high) == pytest.approx((values.mean() - half, values.mean() + half))
    assert condition.verdict == (Verdict.SUPPORTED if values.mean() + half < 0 else Verdict.UNDECIDED)
    assert condition.effect.basis.startswith("6 labels, 1 seed")


def test_few_labels_have_a_correlation_but_no_interval(tables: ModuleType, tmp_path: Path) -> None:
    """Without one of four labels three pairs are left: nothing to judge a correlation by."""
    before = np.array([1.0, 2, 3, 4, 5, 6])
    names = list(combinations(tables.LABELS[:4], 2))
    rows = [
        tables.result_row("direct", m.LABEL_DISTANCE, step, step / 5, tables.N_LAYERS, "train", a, b, value=value)
        for step in (0, tables.LAST_STEP)
        for (a, b), value in zip(names, before, strict=True)
    ]
    tables.save_run(tables.run_dir(tmp_path), rows, tables.info())
    found = claim(tmp_path, "order_kept")
    assert found.verdict == Verdict.UNDECIDED
    assert found.findings[0].effect.value == pytest.approx(1.0)
    assert found.findings[0].reason == "no interval: 4 labels, it needs 5"


def test_interval_of_a_correlation_of_few_labels_stays_a_correlation(tables: ModuleType, tmp_path: Path) -> None:
    """On r itself, the interval of five labels runs past 1 in 19 of 20 studies; on Fisher's z it cannot."""
    rng = np.random.default_rng(3)
    names = list(combinations(tables.LABELS[:5], 2))
    before = rng.uniform(1, 5, len(names))
    values = {0: before, tables.LAST_STEP: before + rng.normal(size=len(names))}
    rows = [
        tables.result_row("direct", m.LABEL_DISTANCE, step, step / 5, tables.N_LAYERS, "train", a, b, value=value)
        for step, found in values.items()
        for (a, b), value in zip(names, found, strict=True)
    ]
    tables.save_run(tables.run_dir(tmp_path), rows, tables.info())
    (condition,) = claim(tmp_path, "order_kept").findings
    assert -1 < condition.effect.low < condition.effect.value < condition.effect.high < 1


@pytest.mark.parametrize(("n_tasks", "n_models"), [(3, 3), (5, 5)])
def test_exception_is_seldom_found_where_there_is_none(n_tasks: int, n_models: int) -> None:
    """Tasks and models differ twice as much as what is left, and what is left has nothing to do with each other."""
    rng = np.random.default_rng(n_tasks)
    found = []
    for _ in range(400):
        task, model = 2 * rng.normal(size=(n_tasks, 1, 2)), 2 * rng.normal(size=(1, n_models, 2))
        numbers = task + model + rng.normal(size=(n_tasks, n_models, 2))
        points = [Point(f"t{t}", f"m{j}", *numbers[t, j]) for t in range(n_tasks) for j in range(n_models)]
        found.append(within_tasks_and_models(points))
    known = [effect for effect in found if effect.known]
    assert len(known) > 380
    assert np.mean([not effect.low <= 0 <= effect.high for effect in known]) <= 0.083  # 5 % and three standard errors


def test_labels_that_share_their_minimum_distance_are_one_unit(tables: ModuleType, tmp_path: Path) -> None:
    """a-b, c-d and e-f are each other's nearest before and after: three independent changes, not six."""
    near = {frozenset(pair) for pair in ("ab", "cd", "ef")}
    grown = {"a": 1.0, "c": 2.0, "e": 3.0}
    rows = []
    for step in (0, tables.LAST_STEP):
        vector = np.array([
            1 + (step > 0) * grown[min(pair)] if frozenset(pair) in near else 20.0
            for pair in combinations(tables.LABELS, 2)
        ])  # fmt: skip
        rows += tables.distances(vector, step=step)
    rows += tables.minimum_distances([1.0] * 6, [2.0, 2.0, 3.0, 3.0, 4.0, 4.0])
    tables.save_run(tables.run_dir(tmp_path), rows, tables.info())
    (condition,) = claim(tmp_path, "apart").findings
    assert condition.effect.basis.startswith("6 labels (3 independent)")
    expected = ttest_1samp([1.0, 2.0, 3.0], 0).confidence_interval()
    assert (condition.effect.low, condition.effect.high) == pytest.approx((expected.low, expected.high))
    assert condition.verdict == Verdict.UNDECIDED  # six values taken for independent: [1.1, 2.9]


@pytest.mark.parametrize(
    ("before", "after", "ceiling", "verdict"),
    [
        ((0.9, 0.85, 0.95), (0.5, 0.4, 0.6), 0.8, Verdict.SUPPORTED),
        ((0.9, 0.85, 0.95), (0.5, 0.4, 0.6), 0.45, Verdict.MIXED),  # two halves of the train set differ as much
        ((0.5, 0.4, 0.6), (0.9, 0.85, 0.95), 0.8, Verdict.NOT_SUPPORTED),
        ((0.6, 0.4, 0.8), (0.5, 0.3, 0.7), 0.8, Verdict.UNDECIDED),
    ],
)
def test_size_matched_similarity_combines_both_intervals(
    tables: ModuleType,
    tmp_path: Path,
    before: tuple[float, ...],
    after: tuple[float, ...],
    ceiling: float,
    verdict: Verdict,
) -> None:
    rows = [
        *tables.space("split_half_ceiling", 0.9, ceiling, probe="train_test", split="train-test"),
        *tables.space("train_test_gap", 0.0, ceiling - after[0], probe="train_test", split="train-test"),
    ]
    for (value, low, high), moment in ((before, 0), (after, 1)):
        pair = (value, None) if moment == 0 else (None, value)
        found = tables.space(
            "train_test_similarity_matched", *pair, probe="train_test", split="train-test", low=low, high=high
        )
        rows.append(found[moment])
    tables.save_run(tables.run_dir(tmp_path), rows, tables.info())
    (condition,) = claim(tmp_path, "train_test_matched").findings
    # Zou & Donner 2008, by hand
    low = after[0] - before[0] - math.hypot(after[0] - after[1], before[2] - before[0])
    high = after[0] - before[0] + math.hypot(after[2] - after[0], before[0] - before[1])
    assert (condition.effect.low, condition.effect.high) == pytest.approx((low, high))
    assert condition.verdict == verdict
    assert f"two halves of the train set: 0.90 → {ceiling:.2f}" in condition.reason


@pytest.mark.parametrize(
    ("lengths", "verdict", "value"),
    [
        ({0: 9.0, 1: 1.0, 2: 1.0, 3: 3.0, 4: 5.0}, Verdict.SUPPORTED, 1.5),  # embeddings are no block
        ({1: 5.0, 2: 3.0, 3: 1.0, 4: 1.0}, Verdict.NOT_SUPPORTED, -1.5),
    ],
)
def test_layers_are_compared_over_their_norm(
    tables: ModuleType, tmp_path: Path, lengths: dict[int, float], verdict: Verdict, value: float
) -> None:
    tables.save_run(tables.run_dir(tmp_path), tables.displacements(lengths, norm=2.0), tables.info())
    found = claim(tmp_path, "upper_layers")
    assert found.verdict == verdict
    assert found.findings[0].effect.value == pytest.approx(value)


def test_last_layer_alone_cannot_tell_which_layers_move(tables: ModuleType, tmp_path: Path) -> None:
    tables.save_run(tables.run_dir(tmp_path), tables.displacements({4: 5.0}), tables.info())
    assert claim(tmp_path, "upper_layers").verdict == Verdict.NOT_TESTABLE


def test_order_is_judged_by_rank_not_by_proportion(tables: ModuleType, tmp_path: Path) -> None:
    before = np.random.default_rng(1).uniform(1, 5, N_PAIRS)
    for task, after in (("pos", np.exp(before)), ("dep", np.sort(before)[np.argsort(np.argsort(-before))])):
        rows = [*tables.distances(before, step=0), *tables.distances(after, step=tables.LAST_STEP)]
        tables.save_run(tables.run_dir(tmp_path, task), rows, tables.info(task))
    conditions = {condition.task: condition for condition in claim(tmp_path, "order_kept").findings}
    assert conditions["pos"].effect.value == pytest.approx(1.0)
    assert conditions["pos"].verdict == Verdict.SUPPORTED
    assert conditions["dep"].effect.value == pytest.approx(-1.0)
    assert conditions["dep"].verdict == Verdict.NOT_SUPPORTED


def test_memorisation_is_what_tuning_added(tables: ModuleType, tmp_path: Path) -> None:
    rows = []
    for value, low, high, moment in ((0.02, 0.0, 0.04, 0), (0.22, 0.2, 0.24, 1)):
        pair = (value, None) if moment == 0 else (None, value)
        rows.append(tables.space("memorisation_gap", *pair, probe="memorisation", split="train-test",
                                 low=low, high=high, n=500)[moment])  # fmt: skip
    tables.save_run(tables.run_dir(tmp_path), rows, tables.info())
    found = claim(tmp_path, "memorisation")
    assert found.verdict == Verdict.SUPPORTED
    assert found.findings[0].effect.value == pytest.approx(0.20)
    assert "two sets of examples, not paired" in found.findings[0].effect.basis


def test_memorisation_is_paired_where_the_hits_are_stored(tables: ModuleType, tmp_path: Path) -> None:
    """Of 100 seen examples 30 are won, of 50 unseen ones 5 are won and 5 lost: two paired samples, added up."""
    sets = {
        m.SUBTEST_HITS: (np.repeat([0, 1], [40, 60]), np.repeat([0, 1], [10, 90])),
        m.UNSEEN_HITS: (np.repeat([0, 0, 1, 1], [15, 5, 5, 25]), np.repeat([0, 1, 0, 1], [15, 5, 5, 25])),
    }
    rows = tables.space("memorisation_gap", 0.0, 0.3, probe="memorisation", split="train-test", low=0.0, high=0.3)
    for name, parts in sets.items():
        texts = (encode_hits(part, [str(i) for i in range(len(part))]) for part in parts)
        rows += tables.notes(name, *texts, probe="memorisation")
    tables.save_run(tables.run_dir(tmp_path), rows, tables.info())
    (condition,) = claim(tmp_path, "memorisation").findings
    seen, unseen = (np.r_[after - before, 1, -1] for before, after in sets.values())
    errors = [part.var(ddof=1) / len(part) for part in (seen, unseen)]
    df = sum(errors) ** 2 / sum(e**2 / (len(part) - 1) for e, part in zip(errors, (seen, unseen), strict=True))  # Welch
    half = student_t.ppf(0.975, df) * math.sqrt(sum(errors))
    centre = seen.mean() - unseen.mean()
    assert (condition.effect.low, condition.effect.high) == pytest.approx((centre - half, centre + half))
    assert condition.effect.value == pytest.approx(0.3)
    assert "100 seen + 50 unseen examples" in condition.effect.basis


def test_growth_over_scatter_is_judged_against_one(tables: ModuleType, tmp_path: Path) -> None:
    rows = tables.space("distance_growth_over_scatter", None, 0.8, probe="growth", low=0.7, high=0.9)
    tables.save_run(tables.run_dir(tmp_path), rows, tables.info())
    assert claim(tmp_path, "apart_beyond_scatter").verdict == Verdict.NOT_SUPPORTED


def save_exception(tables: ModuleType, root: Path, task: str, model: str, gain: float, alike: float) -> None:
    rows = [*tables.accuracy(0.5, 0.5 + gain),
            *tables.space("train_test_similarity", 0.9, alike, probe="similarity", split="train-test")]  # fmt: skip
    tables.save_run(tables.run_dir(root, task, model), rows, tables.info(task, model))


def test_tasks_that_differ_make_no_exception(tables: ModuleType, tmp_path: Path) -> None:
    """Over five tasks gain and similarity go together; with one model each, that says nothing of exceptions."""
    for i in range(5):
        save_exception(tables, tmp_path, f"task{i}", "minilm_l6", 0.02 * i, 0.4 + 0.1 * i)
    found = claim(tmp_path, "exception")
    assert found.verdict == Verdict.NOT_TESTABLE
    assert "5 conditions with both numbers, 5 tasks and 1 model: needs at least 8, with several models" in found.reason


@pytest.mark.parametrize(("sign", "verdict"), [(1, Verdict.SUPPORTED), (-1, Verdict.NOT_SUPPORTED)])
def test_exception_is_what_task_and_model_do_not_explain(
    tables: ModuleType, tmp_path: Path, sign: int, verdict: Verdict
) -> None:
    """A large effect of task and model in both numbers, and the exceptions go the other way or not."""
    odd = np.random.default_rng(0).normal(size=(6, 5))
    for i in range(6):
        for j in range(5):
            gain, alike = 0.02 * i + 0.01 * j + 0.02 * odd[i, j], 0.5 - 0.03 * i - 0.02 * j + sign * 0.02 * odd[i, j]
            save_exception(tables, tmp_path, f"task{i}", f"model{j}", gain, alike)
    found = claim(tmp_path, "exception")
    assert found.verdict == verdict
    assert "30 conditions less the means of 10 tasks and models" in found.findings[0].reason


def test_exception_without_one_says_what_it_could_have_found(tables: ModuleType, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for i in range(3):
        for j in range(4):
            save_exception(tables, tmp_path, f"task{i}", f"model{j}", *rng.uniform(0.1, 0.4, 2))
    found = claim(tmp_path, "exception")
    assert found.verdict == Verdict.UNDECIDED
    assert "a correlation below 0.89 would be missed more than one time in five" in found.findings[0].reason


def test_conditions_that_disagree_make_a_claim_mixed(tables: ModuleType, tmp_path: Path) -> None:
    for task, after in (("pos", 0.9), ("dep", 0.5)):
        tables.save_run(tables.run_dir(tmp_path, task), tables.accuracy(0.7, after), tables.info(task))
    found = claim(tmp_path, "accuracy")
    assert found.verdict == Verdict.MIXED
    assert found.reason.startswith("1 of 2 conditions support it, 1 speak against it; mean ")
    assert found.reason.endswith("over 2 tasks, I² 100%; p = 1 (Holm)")
    assert found.combined is not None
    assert found.combined.i_squared > 0.9


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("nothing", "not probed yet"),
        ("first", "no snapshot after the first one is probed yet"),
        ("other", "not measured"),
    ],
)
def test_not_testable_says_why(tables: ModuleType, tmp_path: Path, rows: str, reason: str) -> None:
    content = {
        "nothing": [],
        "first": [row for row in tables.accuracy(0.5, 0.6) if row.place.step == 0],
        "other": tables.clusters(6, 6),
    }[rows]
    tables.save_run(tables.run_dir(tmp_path), content, tables.info())
    found = claim(tmp_path, "accuracy")
    assert found.verdict == Verdict.NOT_TESTABLE
    assert found.findings[0].reason == reason
    assert "probe the runs with probe=linear" in found.reason
    assert math.isnan(found.findings[0].effect.value)


def test_the_better_classifier_is_read_when_every_seed_has_it(tables: ModuleType, tmp_path: Path) -> None:
    linear, mlp = tables.accuracy(0.5, 0.6), tables.accuracy(0.7, 0.9, probe="mlp")
    tables.save_run(tables.run_dir(tmp_path, seed=0), [*linear, *mlp], tables.info(seed=0))
    assert claim(tmp_path, "accuracy").findings[0].before == pytest.approx(0.7)
    tables.save_run(tables.run_dir(tmp_path, seed=1), linear, tables.info(seed=1))
    assert claim(tmp_path, "accuracy").findings[0].before == pytest.approx(0.5)


def test_claims_become_json_without_nan(tables: ModuleType, tmp_path: Path) -> None:
    tables.save_run(tables.run_dir(tmp_path), tables.accuracy(0.7, 0.9), tables.info())
    claims = claims_of(conditions_of(load_study(tmp_path)))
    content = json.loads(json.dumps([found.to_dict() for found in claims], allow_nan=False))
    assert content[0]["verdict"] == "supported"
    assert content[0]["findings"][0]["paper_effect"] is None
    assert content[0]["findings"][0]["effect"]["per_seed"] == [pytest.approx(0.2)]
    assert len({found["key"] for found in content}) == len(content) == 12
    assert headline(claims) == "12 claims: 1 supported, 11 not testable."
