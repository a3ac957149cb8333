"""The report is one file that says what the numbers say, runs nothing from the data and asks no server."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from closerlook import measures as m
from closerlook.report import build_report
from closerlook.report.build import render_report
from closerlook.report.examples import examples_of
from closerlook.report.findings import label_rows, sentences, summary_rows
from closerlook.report.sections import Section, sections
from closerlook.results.rows import Place, ResultRow, to_table
from closerlook.results.run import RunResults
from closerlook.results.run_dir import load_run
from closerlook.results.tables import rows_of


def result_row(probe: str, measure: str, step: int, epoch: float, layer: int, split: str, *labels: str, **values):
    return ResultRow(Place(probe, layer, split, step), epoch, measure, *labels, **values)


class Page(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text: list[str] = []
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text.append(data)


@pytest.fixture(scope="module")
def html(results: RunResults) -> str:
    return render_report(results)


@pytest.fixture(scope="module")
def parts(results: RunResults) -> list[Section]:
    return sections(results, examples_of(results))


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_file_is_written_whole_and_of_sane_size(results, tmp_path: Path):
    path = build_report(results, tmp_path / "sub" / "report.html")
    assert path == tmp_path / "sub" / "report.html"
    assert 4e6 < path.stat().st_size < 7e6
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert [p.name for p in path.parent.iterdir()] == ["report.html"], "no temporary file stays"


def test_a_failing_build_leaves_the_old_report(results, tmp_path: Path, monkeypatch):
    small = dataclasses.replace(results, table=to_table([]))
    path = build_report(small, tmp_path / "report.html")
    before = path.read_bytes()
    monkeypatch.setattr("closerlook.report.build.sections", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build_report(small, path)
    assert path.read_bytes() == before


def test_nothing_is_loaded_from_elsewhere(page: Page):
    for tag, attributes in page.elements:
        for name in ("src", "href", "action", "data"):
            value = attributes.get(name) or ""
            assert not value or value.startswith("#"), f"<{tag} {name}={value!r}>"


def test_only_the_two_scripts_of_the_page_may_run(page: Page):
    policy = next(a["content"] for t, a in page.elements if t == "meta" and a.get("http-equiv"))
    assert policy is not None
    assert "default-src 'none'" in policy
    allowed = set(re.findall(r"'sha256-([^']+)'", policy))
    data, *code = page.scripts
    found = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in code}
    assert found == allowed
    assert len(code) == 2
    json.loads(data)


def test_text_from_data_is_text(html: str, page: Page, digits_module):
    label = next(label for label in digits_module.LABELS if "script" in label)
    assert label not in html
    assert label in page.text, "it is shown as it is, in the table of labels"
    assert "2 examples <b>were</b> left out." in page.text
    assert len(page.scripts) == 3


def test_nothing_in_the_header_can_inject(results):
    evil = "<img src=x onerror=alert(1)>\"'--></script><script>alert(2)</script>"
    fields = ("task", "model", "model_source", "model_revision", "git_commit", "level", "created")
    texts = dict.fromkeys(fields, evil) | {"notes": (evil,), "versions": {evil: evil}, "checksums": {evil: evil}}
    info = dataclasses.replace(results.info, **texts)
    small = dataclasses.replace(results, info=info, config={"a": evil}, table=to_table([]))
    page = Page(render_report(small))
    assert not [tag for tag, _ in page.elements if tag == "img"]
    assert len(page.scripts) == 3


def test_secrets_in_the_configuration_are_not_shown(results):
    config = {"logger": {"wandb": {"api_key": "sesame-1"}}, "hub_token": "sesame-2", "tokenizer": "kept"}
    html = render_report(dataclasses.replace(results, config=config, table=to_table([])))
    assert "sesame" not in html
    assert "tokenizer: kept" in html


def test_header_and_provenance(page: Page):
    text = " ".join(" ".join(page.text).split())
    for fact in ("digits with perceptron", "150 train, 150 test", "abc1234", "sha256:12", "0" * 40):
        assert fact in text


def test_summary_table_has_the_stored_numbers(results, page: Page):
    rows = summary_rows(results.table, "train")
    assert [row.layer for row in rows] == [0, 1, 2]
    stored = rows_of(results.table, m.MEAN_MIN_DISTANCE, layer=2, split="train")["value"]
    change = rows[2].changes[m.MEAN_MIN_DISTANCE]
    assert (change.before, change.after) == (stored.iloc[0], stored.iloc[-1])
    assert f"{stored.iloc[-1]:.2f}" in page.text


def test_every_slot_has_a_figure_for_the_first_choice(parts, page: Page):
    figures = json.loads(page.scripts[0])
    slots = [attributes for tag, attributes in page.elements if attributes.get("data-slot")]
    assert len(slots) == sum(len(section.slots) for section in parts) >= 12
    chosen = {"layer": "2", "split": "train"}
    for slot in slots:
        by = [name for name in (slot["data-by"] or "").split(",") if name]
        assert "|".join(chosen[name] for name in by) in figures[slot["data-slot"]], slot


def test_measures_of_unknown_probes_are_drawn(parts):
    names = {slot.name for section in parts for slot in section.slots}
    assert {"other_geometry_isotropy_score_test", "other_mlp_accuracy_test"} <= names


def test_sentences_say_what_the_numbers_say(results):
    said = sentences(results.table)
    assert 2 <= len(said) <= 4
    assert said[0].startswith("Fine-tuning moved the labels apart")
    near = rows_of(results.table, m.MEAN_MIN_DISTANCE, layer=2, split="train")["value"]
    assert f"{near.iloc[0]:.3f}" in said[0]
    assert f"{near.iloc[-1]:.2f}" in said[0]
    assert "for 5 of 5 labels" in said[0]
    assert "5 clusters for 5 labels" in said[1]
    assert "linear before, and still is" in said[1]


def made(before: float, after: float, clusters: tuple[float, float]) -> list[str]:
    rows = []
    for step, near, n in ((0, before, clusters[0]), (9, after, clusters[1])):
        where = (step, step / 9, 3, "train")
        rows += [
            result_row("direct", m.MEAN_MIN_DISTANCE, *where, value=near),
            result_row("direct", m.N_CLUSTERS, *where, value=n),
            result_row("direct", m.N_LABELS, *where, value=4.0),
        ]
    return sentences(to_table(rows))


@pytest.mark.parametrize(
    ("before", "after", "clusters", "verdicts"),
    [
        (1.0, 2.0, (9.0, 4.0), ("moved the labels apart", "not linear before, and is now")),
        (2.0, 1.0, (4.0, 9.0), ("pulled the labels together", "no longer linear")),
        (2.0, 2.01, (9.0, 8.0), ("about as far apart", "not linear before, and is not now")),
        (2.0, 3.0, (4.0, 4.0), ("moved the labels apart", "linear before, and still is")),
    ],
)
def test_the_verdict_follows_the_numbers(before, after, clusters, verdicts):
    said = made(before, after, clusters)
    assert verdicts[0] in said[0]
    assert verdicts[1] in said[1]


def test_nothing_is_claimed_from_one_snapshot_or_none(results):
    one = results.table[results.table["step"] == 0]
    assert "nothing to compare" in sentences(one)[0]
    assert sentences(to_table([])) == ["No distances have been measured yet."]


@pytest.mark.parametrize("probe", ["direct", "centroids", "linear", "similarity"])
def test_a_run_with_one_probe_only_has_a_report(results, probe):
    part = dataclasses.replace(results, table=results.table[results.table["probe"] == probe])
    page = Page(render_report(part))
    assert [a for _, a in page.elements if a.get("data-slot")]


def test_an_empty_table_has_a_report(results):
    page = Page(render_report(dataclasses.replace(results, table=to_table([]), history=results.history.iloc[:0])))
    assert "No distances have been measured yet." in page.text


def test_label_rows_name_the_nearest_label(results):
    rows = {row.label: row for row in label_rows(results.table, layer=2, split="train")}
    pairs = rows_of(results.table, m.LABEL_DISTANCE, layer=2, split="train")
    pairs = pairs[pairs["step"] == 80]
    for label, row in rows.items():
        own = pairs[(pairs["label"] == label) | (pairs["other"] == label)]
        closest = own.loc[own["value"].idxmin()]
        assert row.nearest == (closest["other"] if closest["label"] == label else closest["label"])
        assert row.min_distance.after == pytest.approx(closest["value"])


def test_missing_numbers_are_announced(results, page: Page):
    n = int(results.table["value"].isna().sum())
    assert n > 0
    assert any(f"{n:,} of {len(results.table):,} numbers" in text for text in page.text)


def test_contradictions_are_announced(results):
    rows = [result_row("direct", m.N_CONTRADICTIONS, 0, 0.0, 1, "train", value=3.0)]
    page = Page(render_report(dataclasses.replace(results, table=to_table(rows))))
    assert any("3 groups of identical vectors in train" in text for text in page.text)


@pytest.mark.slow
def test_large_runs_stay_small(results, tmp_path: Path):
    """46 labels, 13 layers, 11 snapshots, two splits: the largest grid cell of the paper's study."""
    labels = [f"label-{i:02d}" for i in range(46)]
    rng = np.random.default_rng(0)
    rows = []
    for split in ("train", "test"):
        for layer in range(13):
            for step in range(11):
                where = (step, float(step), layer, split)
                rows += [result_row("direct", m.MIN_DISTANCE, *where, label, value=rng.random()) for label in labels]
                rows += [
                    result_row("direct", m.LABEL_DISTANCE, *where, labels[i], labels[j], value=rng.random())
                    for i in range(46)
                    for j in range(i)
                ]
    large = dataclasses.replace(results, table=to_table(rows))
    assert build_report(large, tmp_path / "report.html").stat().st_size < 7e6


def test_a_run_that_still_trains_can_be_reported(digits_run: Path, tmp_path: Path):
    """Half of the cells, no history: as probe.py sees it while train.py runs."""
    copy = tmp_path / "run"
    (copy / "results").mkdir(parents=True)
    lines = (digits_run / "results" / "cells.jsonl").read_bytes().splitlines(keepends=True)
    (copy / "results" / "cells.jsonl").write_bytes(b"".join(lines[: len(lines) // 2]))
    (copy / "run.json").write_bytes((digits_run / "run.json").read_bytes())
    assert build_report(load_run(copy), copy / "report.html").exists()
