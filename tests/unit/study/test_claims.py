"""Claims on tables whose verdicts are known by construction."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from closerlook.study.cells import cells_of
from closerlook.study.claims import claims_of, headline
from closerlook.study.join import load_study
from closerlook.study.verdicts import Claim, Verdict

N_PAIRS = 15


def claim(root: Path, key: str) -> Claim:
    claims = {found.key: found for found in claims_of(cells_of(load_study(root)))}
    return claims[key]


@pytest.mark.parametrize(
    ("before", "after", "n", "verdict"),
    [
        (0.70, 0.90, 1000, Verdict.SUPPORTED),
        (0.90, 0.70, 1000, Verdict.NOT_SUPPORTED),
        (0.80, 0.81, 1000, Verdict.MIXED),
        (0.80, 0.81, 100_000, Verdict.SUPPORTED),
    ],
)
def test_one_seed_is_judged_by_the_test_examples(
    tables: ModuleType, tmp_path: Path, before: float, after: float, n: int, verdict: Verdict
) -> None:
    tables.save_run(tables.run_dir(tmp_path), tables.accuracy(before, after, n), tables.info())
    found = claim(tmp_path, "accuracy")
    assert found.verdict == verdict
    (cell,) = found.cells
    assert cell.effect.value == pytest.approx(after - before)
    assert f"Newcombe over {n} test examples, 1 seed" in cell.reason
    assert cell.paper == ""


def test_three_seeds_are_judged_by_students_t(tables: ModuleType, tmp_path: Path) -> None:
    gains = (0.10, 0.12, 0.17)
    for seed, gain in enumerate(gains):
        rows = tables.accuracy(0.5, 0.5 + gain, n=20)  # 20 test examples alone could not decide
        tables.save_run(tables.run_dir(tmp_path, seed=seed), rows, tables.info(seed=seed))
    (cell,) = claim(tmp_path, "accuracy").cells
    half = 4.302652729911275 * np.std(gains, ddof=1) / math.sqrt(3)  # t quantile of 2 degrees of freedom, from a table
    assert (cell.effect.low, cell.effect.high) == pytest.approx((0.13 - half, 0.13 + half))
    assert cell.effect.basis == "Student's t over 3 seeds"
    assert cell.verdict == Verdict.SUPPORTED


def test_paper_stands_beside_its_own_setting_only(tables: ModuleType, tmp_path: Path) -> None:
    rows = tables.accuracy(0.8775, 0.8958)
    tables.save_run(tables.run_dir(tmp_path, "ps_fxn", "bert_base"), rows, tables.info("ps_fxn", "bert_base", 0, 4282))
    tables.save_run(tables.run_dir(tmp_path, "ps_role", "bert_base"), rows, tables.info("ps_role", "bert_base", 0, 64))
    cells = {cell.task: cell for cell in claim(tmp_path, "accuracy").cells}
    assert cells["ps_fxn"].paper == "0.8775 → 0.8958"
    assert cells["ps_fxn"].paper_effect == pytest.approx(0.0183)
    assert cells["ps_role"].paper == ""  # a part of the data is not the paper's setting


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
    assert (found.verdict, found.cells[0].reason) == (verdict, reason)
    assert (found.cells[0].before, found.cells[0].after) == (before, after)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ((1, 2, 3, 1, 2, 3), Verdict.SUPPORTED),
        ((-1, -2, -3, -1, -2, -3), Verdict.NOT_SUPPORTED),
        ((-1, 2, -3, 1, -2, 3), Verdict.MIXED),
    ],
)
def test_minimum_distances_are_judged_over_labels(
    tables: ModuleType, tmp_path: Path, change: tuple[float, ...], verdict: Verdict
) -> None:
    before = np.full(6, 5.0)
    tables.save_run(tables.run_dir(tmp_path), tables.minimum_distances(before, before + change), tables.info())
    found = claim(tmp_path, "apart")
    assert found.verdict == verdict
    (cell,) = found.cells
    assert cell.effect.value == pytest.approx(np.mean(change))
    up = sum(value > 0 for value in change)
    assert cell.reason.startswith(f"up for {up}, down for {6 - up} labels") or "undecided" in cell.reason
    assert "over 6 labels" in cell.effect.basis


def test_a_label_without_a_distance_is_left_out_not_counted_as_zero(tables: ModuleType, tmp_path: Path) -> None:
    after = [6.0, 7.0, 6.0, 7.0, 6.0, None]
    tables.save_run(tables.run_dir(tmp_path), tables.minimum_distances([5.0] * 6, after), tables.info())
    (cell,) = claim(tmp_path, "apart").cells
    assert cell.effect.value == pytest.approx(1.4)
    assert "over 5 labels" in cell.effect.basis


def test_cross_tasks_are_judged_by_their_relation(tables: ModuleType, tmp_path: Path) -> None:
    up = tables.minimum_distances([5.0] * 6, [6.0, 7.0, 6.0, 7.0, 6.0, 7.0])
    down = tables.minimum_distances([5.0] * 6, [4.0, 3.0, 4.0, 3.0, 4.0, 3.0])
    for tuned_on, rows in (("ps_role", up), ("pos", down), ("trec50", down)):
        tables.save_run(tables.run_dir(tmp_path, tuned_on), [], tables.info(tuned_on))
        folder = tables.run_dir(tmp_path, tuned_on, cross="ps_fxn")
        tables.save_run(folder, rows, tables.info("ps_fxn"), tuned_on=tuned_on)
    related, unrelated = claim(tmp_path, "related"), claim(tmp_path, "unrelated")
    assert related.verdict == unrelated.verdict == Verdict.SUPPORTED
    assert [cell.tuned_on for cell in (*related.cells, *unrelated.cells)] == ["ps_role", "pos"]
    assert claim(tmp_path, "apart").verdict == Verdict.NOT_TESTABLE  # a cross-task space is not the tuned task's own
    assert unrelated.cells[0].effect.value == pytest.approx(-1.5)


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
    (cell,) = claim(tmp_path, "train_test").cells
    assert cell.effect.value == pytest.approx(fallen - 1)
    assert cell.effect.low <= cell.effect.value <= cell.effect.high < 0  # it was 1 in every draw of labels
    assert cell.verdict == Verdict.SUPPORTED
    assert "bootstrap over 6 labels of one run" in cell.effect.basis


@pytest.mark.parametrize(
    ("before", "after", "ceiling", "verdict"),
    [
        ((0.9, 0.85, 0.95), (0.5, 0.4, 0.6), 0.8, Verdict.SUPPORTED),
        ((0.9, 0.85, 0.95), (0.5, 0.4, 0.6), 0.45, Verdict.MIXED),  # two halves of the train set differ as much
        ((0.5, 0.4, 0.6), (0.9, 0.85, 0.95), 0.8, Verdict.NOT_SUPPORTED),
        ((0.6, 0.4, 0.8), (0.5, 0.3, 0.7), 0.8, Verdict.MIXED),
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
    (cell,) = claim(tmp_path, "train_test_matched").cells
    # Zou & Donner 2008, by hand
    low = after[0] - before[0] - math.hypot(after[0] - after[1], before[2] - before[0])
    high = after[0] - before[0] + math.hypot(after[2] - after[0], before[0] - before[1])
    assert (cell.effect.low, cell.effect.high) == pytest.approx((low, high))
    assert cell.verdict == verdict
    assert f"two halves of the train set: 0.90 → {ceiling:.2f}" in cell.reason


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
    assert found.cells[0].effect.value == pytest.approx(value)


def test_last_layer_alone_cannot_tell_which_layers_move(tables: ModuleType, tmp_path: Path) -> None:
    tables.save_run(tables.run_dir(tmp_path), tables.displacements({4: 5.0}), tables.info())
    assert claim(tmp_path, "upper_layers").verdict == Verdict.NOT_TESTABLE


def test_order_is_judged_by_rank_not_by_proportion(tables: ModuleType, tmp_path: Path) -> None:
    before = np.random.default_rng(1).uniform(1, 5, N_PAIRS)
    for task, after in (("pos", np.exp(before)), ("dep", np.sort(before)[np.argsort(np.argsort(-before))])):
        rows = [*tables.distances(before, step=0), *tables.distances(after, step=tables.LAST_STEP)]
        tables.save_run(tables.run_dir(tmp_path, task), rows, tables.info(task))
    cells = {cell.task: cell for cell in claim(tmp_path, "order_kept").cells}
    assert cells["pos"].effect.value == pytest.approx(1.0)
    assert cells["pos"].verdict == Verdict.SUPPORTED
    assert cells["dep"].effect.value == pytest.approx(-1.0)
    assert cells["dep"].verdict == Verdict.NOT_SUPPORTED


def test_memorisation_is_what_tuning_added(tables: ModuleType, tmp_path: Path) -> None:
    rows = []
    for value, low, high, moment in ((0.02, 0.0, 0.04, 0), (0.22, 0.2, 0.24, 1)):
        pair = (value, None) if moment == 0 else (None, value)
        rows.append(tables.space("memorisation_gap", *pair, probe="memorisation", split="train-test",
                                 low=low, high=high, n=500)[moment])  # fmt: skip
    tables.save_run(tables.run_dir(tmp_path), rows, tables.info())
    found = claim(tmp_path, "memorisation")
    assert found.verdict == Verdict.SUPPORTED
    assert found.cells[0].effect.value == pytest.approx(0.20)
    assert "500 seen examples" in found.cells[0].effect.basis


def test_growth_over_scatter_is_judged_against_one(tables: ModuleType, tmp_path: Path) -> None:
    rows = tables.space("distance_growth_over_scatter", None, 0.8, probe="growth", low=0.7, high=0.9)
    tables.save_run(tables.run_dir(tmp_path), rows, tables.info())
    assert claim(tmp_path, "apart_beyond_scatter").verdict == Verdict.NOT_SUPPORTED


def test_exception_needs_five_cells(tables: ModuleType, tmp_path: Path) -> None:
    def add(i: int) -> None:
        gain, alike = 0.02 * i, 0.4 + 0.1 * i
        rows = [*tables.accuracy(0.5, 0.5 + gain),
                *tables.space("train_test_similarity", 0.9, alike, probe="similarity", split="train-test")]  # fmt: skip
        tables.save_run(tables.run_dir(tmp_path, f"task{i}"), rows, tables.info(f"task{i}"))

    for i in range(4):
        add(i)
    found = claim(tmp_path, "exception")
    assert found.verdict == Verdict.NOT_TESTABLE
    assert "4 cells with both numbers, at least 5 needed" in found.reason
    add(4)
    found = claim(tmp_path, "exception")
    assert found.verdict == Verdict.SUPPORTED
    assert found.cells[0].effect.value == pytest.approx(1.0)


def test_cells_that_disagree_make_a_claim_mixed(tables: ModuleType, tmp_path: Path) -> None:
    for task, after in (("pos", 0.9), ("dep", 0.5)):
        tables.save_run(tables.run_dir(tmp_path, task), tables.accuracy(0.7, after), tables.info(task))
    found = claim(tmp_path, "accuracy")
    assert found.verdict == Verdict.MIXED
    assert found.reason == "1 of 2 cells support it, 1 speak against it"


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
    assert found.cells[0].reason == reason
    assert "probe the runs with probe=linear" in found.reason
    assert math.isnan(found.cells[0].effect.value)


def test_the_better_classifier_is_read_when_every_seed_has_it(tables: ModuleType, tmp_path: Path) -> None:
    linear, mlp = tables.accuracy(0.5, 0.6), tables.accuracy(0.7, 0.9, probe="mlp")
    tables.save_run(tables.run_dir(tmp_path, seed=0), [*linear, *mlp], tables.info(seed=0))
    assert claim(tmp_path, "accuracy").cells[0].before == pytest.approx(0.7)
    tables.save_run(tables.run_dir(tmp_path, seed=1), linear, tables.info(seed=1))
    assert claim(tmp_path, "accuracy").cells[0].before == pytest.approx(0.5)


def test_claims_become_json_without_nan(tables: ModuleType, tmp_path: Path) -> None:
    tables.save_run(tables.run_dir(tmp_path), tables.accuracy(0.7, 0.9), tables.info())
    claims = claims_of(cells_of(load_study(tmp_path)))
    content = json.loads(json.dumps([found.to_dict() for found in claims], allow_nan=False))
    assert content[0]["verdict"] == "supported"
    assert content[0]["cells"][0]["paper_effect"] is None
    assert content[0]["cells"][0]["effect"]["per_seed"] == [pytest.approx(0.2)]
    assert len({found["key"] for found in content}) == len(content) == 12
    assert headline(claims) == "12 claims: 1 supported, 11 not testable."
