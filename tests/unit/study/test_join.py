"""Runs joined over models, tasks and seeds, also while a sweep is running."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from closerlook import measures as m
from closerlook.results.rows import COLUMNS
from closerlook.results.run import RunError
from closerlook.study import paper
from closerlook.study.conditions import conditions_of
from closerlook.study.join import KEYS, find_runs, load_study
from closerlook.study.main_table import summarise
from closerlook.study.seeds import closest_labels, first_seed, mean_over_seeds


def test_a_line_that_cannot_be_read_is_named_with_the_command_that_mends_it(tables: ModuleType, tmp_path: Path) -> None:
    folder = tables.save_run(tmp_path / "cut", tables.accuracy(0.5, 0.75), tables.info())
    cells = folder / "results" / "cells.jsonl"
    cells.write_bytes(cells.read_bytes()[:-20])
    study = load_study(tmp_path)
    assert study.table.value.tolist() == [0.5]
    assert study.problems == (
        f"cut: 1 cut or damaged line(s) of cells.jsonl left out; to compute them again: probe.py run_dir={folder}",
    )


def test_runs_are_found_at_any_depth_and_joined(tables: ModuleType, tmp_path: Path) -> None:
    for task in ("pos", "dep"):
        for seed in (0, 1):
            rows = tables.accuracy(0.5, 0.6 + 0.1 * seed)
            tables.save_run(tables.run_dir(tmp_path, task, seed=seed), rows, tables.info(task, seed=seed))
    crossed = tables.run_dir(tmp_path, "pos", cross="dep")
    tables.save_run(crossed, tables.accuracy(0.4, 0.3), tables.info("dep"), tuned_on="pos")
    study = load_study(tmp_path)
    assert len(study.runs) == len(list(find_runs(tmp_path))) == 5
    assert tuple(study.table.columns) == (*KEYS, *COLUMNS)
    after = study.table[(study.table.step == 10) & (study.table.tuned_on == study.table.task)]
    assert after.groupby(["task", "seed"]).value.first().tolist() == pytest.approx([0.6, 0.7, 0.6, 0.7])
    conditions = conditions_of(study)
    assert [(one.task, one.tuned_on, sorted(one.runs)) for one in conditions] == [
        ("dep", "dep", [0, 1]), ("dep", "pos", [0]), ("pos", "pos", [0, 1]),
    ]  # fmt: skip


def test_a_directory_without_runs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no runs below .*: expected folders with a run.json.*runs=runs"):
        load_study(tmp_path)


def test_variants_are_never_joined(tables: ModuleType, tmp_path: Path) -> None:
    for name, value in (("seed-0", 0.6), ("seed-0__finetuning.epochs-1", 0.7)):
        tables.save_run(tmp_path / "pos" / "minilm_l6" / name, tables.accuracy(0.5, value), tables.info())
    conditions = conditions_of(load_study(tmp_path))
    assert [one.model for one in conditions] == ["minilm_l6", "minilm_l6 [finetuning.epochs-1]"]


def test_what_is_missing_is_told(tables: ModuleType, tmp_path: Path) -> None:
    done = tables.save_run(tables.run_dir(tmp_path, "pos"), tables.accuracy(0.5, 0.6), tables.info("pos"))
    tables.save_run(tables.run_dir(tmp_path, "dep", "bert_tiny"), [], tables.info("dep", "bert_tiny"))
    (done / "state.json").write_text(json.dumps({"status": "running"}))
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "run.json").write_text('{"task": "pos"')
    study = load_study(tmp_path)
    summary = summarise(study, conditions_of(study))
    assert [(row.task, row.model, row.status) for row in summary.rows] == [
        ("dep", "bert_tiny", "0 of 1 seeds probed"), ("dep", "minilm_l6", "no run"),
        ("pos", "bert_tiny", "no run"), ("pos", "minilm_l6", "1 not finished"),
    ]  # fmt: skip
    told = " ".join(summary.missing)
    for part in ("broken", "No run yet: dep, minilm_l6; pos, bert_tiny.", "Not probed yet: dep/bert_tiny/seed-0",
                 "Not finished, so the last snapshot is not the end: pos/minilm_l6/seed-0"):  # fmt: skip
        assert part in told
    before, after = summary.rows[1].before_after[m.ACCURACY]
    assert before.n == after.n == 0
    assert np.isnan(before.mean)


def test_mean_over_seeds_keeps_gaps_and_counts(tables: ModuleType, tmp_path: Path) -> None:
    values = ([1.0, 2.0, None], [3.0, 4.0, None], [5.0, None, None])
    for seed, three in enumerate(values):
        rows = tables.minimum_distances([1.0] * 6, [*three, 1.0, 1.0, 1.0])
        tables.save_run(tables.run_dir(tmp_path, seed=seed), rows, tables.info(seed=seed))
    (condition,) = conditions_of(load_study(tmp_path))
    table = mean_over_seeds(condition, m.MIN_DISTANCE)
    assert tuple(table.columns) == COLUMNS
    last = table[table.step == 10].set_index("label")
    assert last.loc[["a", "b"], "value"].tolist() == [3.0, 3.0]
    assert np.isnan(last.loc["c", "value"])
    assert last.loc[["a", "b", "c"], "n"].tolist() == [3, 2, 0]
    half = 4.302652729911275 * 2 / np.sqrt(3)  # deviation of 1, 3, 5 is 2
    assert (last.loc["a", "low"], last.loc["a", "high"]) == pytest.approx((3 - half, 3 + half))
    assert np.isnan(last.loc["b", "low"])
    assert len(first_seed(condition)) == 12


def test_closest_labels_before_tuning(tables: ModuleType, tmp_path: Path) -> None:
    # a-f are 0, 1, 10, 11.5, 30, 50 on a line: a and b are closest, and c is nearer to both than the others
    points = np.array([0, 1, 10, 11.5, 30, 50])
    gaps = np.array([abs(x - y) for i, x in enumerate(points) for y in points[i + 1 :]])
    tables.save_run(tables.run_dir(tmp_path), tables.distances(gaps, step=0), tables.info())
    (condition,) = conditions_of(load_study(tmp_path))
    assert closest_labels(first_seed(condition), layer=4) == ["a", "b", "c"]
    assert closest_labels(first_seed(condition), layer=1) == []


def test_paper_tables_are_the_printed_ones() -> None:
    assert len(paper.E1) == 25
    rises = [key for key, cell in paper.E1.items() if cell.after.accuracy > cell.before.accuracy]
    assert set(paper.E1) - set(rises) == {("bert_small", "ps_fxn")}
    both = [cell for cell in paper.E1.values() if cell.before.similarity and cell.after.similarity]
    assert len(both) == 16
    assert all(cell.after.similarity < cell.before.similarity for cell in both)
    n_labels = {"pos": 17, "dep": 46, "ps_fxn": 40, "ps_role": 46, "trec50": 50}
    assert sum(cell.after.clusters == n_labels[task] for (_, task), cell in paper.E1.items()) == 19
    assert paper.E1["bert_base", "ps_fxn"].before.accuracy == paper.E5_UNTUNED
    assert paper.E1["bert_base", "ps_fxn"].after.accuracy == paper.E5["ps_fxn"].accuracy
    assert all(row.n_up + row.n_down == 40 for row in paper.E5.values())


def test_a_linked_run_is_joined_and_other_links_are_not_followed(tables: ModuleType, tmp_path: Path) -> None:
    elsewhere = tables.save_run(tmp_path / "elsewhere", tables.accuracy(0.5, 0.75), tables.info())
    root = tmp_path / "runs"
    tables.save_run(root / "seed-1", tables.accuracy(0.5, 0.75), tables.info(seed=1))
    (root / "seed-0").symlink_to(elsewhere)
    (root / "round").symlink_to(root)
    assert [folder.name for folder in find_runs(root)] == ["seed-0", "seed-1"]
