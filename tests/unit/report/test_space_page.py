"""space.html: what it packs is what was stored, it stays small, and nothing of the data can run in it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from closerlook.report.film_data import frame_of, packed, read_film
from closerlook.report.space_page import build_space_page
from closerlook.results.run_dir import RunDir
from closerlook.results.store import ResultStore

BLOCK = re.compile(r'<script type="[^"]*" id="([^"]*)">(.*?)</script>', re.DOTALL)


@pytest.fixture(scope="module")
def html(film_run: RunDir, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = build_space_page(film_run, tmp_path_factory.mktemp("page") / "space.html")
    assert path is not None
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def blocks(html: str) -> dict[str, str]:
    return dict(BLOCK.findall(html))


@pytest.fixture(scope="module")
def meta(blocks: dict[str, str]) -> dict[str, Any]:
    return json.loads(blocks["meta"])


def unpacked(block: str) -> bytes:
    return gzip.decompress(base64.b64decode(block))


def test_coordinates_come_back_to_an_eight_thousandth_of_the_picture():
    rng = np.random.default_rng(0)
    xy = np.cumsum(rng.normal(size=(7, 50, 2)), axis=0)
    data = np.frombuffer(unpacked(packed(xy)), dtype=np.uint8).reshape(2, -1).T.reshape(-1)
    whole = np.cumsum(data.view("<i2").reshape(xy.shape), axis=0, dtype=np.int16)
    frame = frame_of(xy)
    back = whole * frame["unit"] + [frame["x"], frame["y"]]
    assert np.abs(back - xy).max() <= frame["unit"] / 2 * 1.01
    assert frame["unit"] <= np.ptp(xy, axis=(0, 1)).max() / 8000
    assert packed(xy) == packed(xy), "the same bytes each time"
    assert frame_of(np.ones((2, 3, 2)))["unit"] > 0


def test_the_page_says_what_was_measured(meta: dict[str, Any], film_run: RunDir):
    assert [one["step"] for one in meta["snapshots"]] == [0, 10, 20]
    assert [tuple(split.values()) for split in meta["splits"]] == [("train", 120, 120), ("test", 60, 60)]
    assert (meta["head"], meta["answers"], meta["hits"], meta["witnesses"]) == (1, True, True, False)
    table = film_run.store().table()
    rows = table[(table["measure"] == "joint_plane_neighbours") & (table["layer"] == 1) & (table["split"] == "test")]
    shown = meta["shown"]["1"]["joint"]["test"]["neighbours"]
    assert [row[0] for row in shown] == pytest.approx(rows["value"].tolist(), abs=1e-4)
    assert {row[4] for row in shown} == {40}


def test_answers_and_hits_are_those_of_the_examples(blocks, film_run: RunDir, film_module):
    size = 3 * 180
    data = np.frombuffer(unpacked(blocks["told-1"]), dtype=np.uint8)
    predicted = data[8 + 2 * size : 8 + 4 * size].view("<u2").reshape(3, 180)
    assert (predicted[0] == 65535).all(), "no head before tuning"
    gold = np.searchsorted(sorted(film_module.LABELS), np.concatenate([film_module.gold(s) for s in ("train", "test")]))
    assert (predicted[2] != gold).sum() == film_module.N_WRONG
    hits = data[8 + 4 * size :].reshape(-1, 3, 180)[4]
    assert (hits[:2] == 255).all()
    assert (hits[2, 120:] == 0).sum() == film_module.N_WRONG


def test_texts_are_text_with_the_word_marked_where_javascript_counts_it(blocks):
    found = json.loads(unpacked(blocks["texts"]))
    context, start, end = found["where"][3]
    units = found["contexts"][context].encode("utf-16-le")
    assert units[2 * start : 2 * end].decode("utf-16-le") == "word3"
    assert "\x1b" not in "".join(found["contexts"])


def test_nothing_from_the_data_can_run_or_leave(html: str, blocks, meta, film_module):
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'\"" in unescape(html)
    assert len(blocks) == len(re.findall("<script type", html)) == 2 + 3 * 2
    assert meta["labels"][0] == film_module.LABELS[0], "as text, in JSON that cannot end its element"
    assert "alert('label')</script>" not in html
    assert "\u202e" not in html
    assert "<b>tiny</b>" not in html
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", scripts[0])
    assert re.findall(r'(?:href|src)="([^"]*)"', html) == ["report.html"]
    assert not re.search(r"\bfetch\(|XMLHttpRequest|WebSocket|https?://", scripts[0])


def test_without_pictures_or_snapshots_there_is_no_page(tmp_path: Path, film_run: RunDir):
    assert build_space_page(RunDir(tmp_path), tmp_path / "space.html") is None
    assert read_film(ResultStore(tmp_path)) is None
    assert not (tmp_path / "space.html").exists()
