"""Hits as text: what goes in comes out, and what is not hits is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from closerlook import measures as m
from closerlook.results.hits import decode_hits, encode_hits
from closerlook.results.rows import Place, ResultRow
from closerlook.results.run import RunInfo
from closerlook.results.run_dir import RunDir
from closerlook.results.store import Cell, CellKey
from closerlook.results.tables import space_measures

INFO = RunInfo(
    task="pos", level="word", model="m", model_source="x", model_revision="1", seed=0, label_names=("a", "b"),
    n_layers=1, hidden_size=8, n_train=4, n_test=2, n_epochs=1, n_updates=1, created="2025-01-02T03:04:05+00:00",
)  # fmt: skip


@pytest.mark.parametrize("n_fits", [1, 5, 255])
def test_hits_survive_being_text(n_fits: int) -> None:
    shares = np.random.default_rng(0).integers(n_fits + 1, size=457) / n_fits
    text = encode_hits(shares, [str(i) for i in range(457)], n_fits=n_fits)
    np.testing.assert_allclose(decode_hits(text).shares, shares, atol=1e-12)
    assert text.isascii()
    assert "\n" not in text


def test_a_thousand_hits_are_a_few_hundred_characters() -> None:
    right = np.random.default_rng(0).random(1000) < 0.9
    assert len(encode_hits(right, [str(i) for i in range(1000)])) < 300


def test_only_the_same_examples_in_the_same_order_have_the_same_digest() -> None:
    digests = {
        decode_hits(encode_hits(np.array([1, 0]), names)).examples
        for names in (["a", "b"], ["b", "a"], ["ab", ""], ["a", "c"])
    }
    assert len(digests) == 4


def test_no_examples_at_all() -> None:
    assert decode_hits(encode_hits(np.empty(0), [])).shares.shape == (0,)


def test_what_is_no_share_of_the_fits_is_named() -> None:
    with pytest.raises(ValueError, match="got 2 hits and 1 example ids"):
        encode_hits(np.array([1, 0]), ["a"])
    with pytest.raises(ValueError, match="not k/2, expected the share of 1 to 255 fits"):
        encode_hits(np.array([0.2]), ["a"], n_fits=2)


@pytest.mark.parametrize("text", ["", "not converged", "1 00000000 ???", "0 00000000 c-jp^00000"])
def test_text_that_is_not_hits_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="expected hits as encode_hits writes them"):
        decode_hits(text)


def test_hits_are_no_numbers_that_are_missing(tmp_path: Path) -> None:
    """They are stored and found again, but no table of numbers, report or dashboard takes them for an undefined one."""
    place = Place("linear", 1, "test", 0)
    text = encode_hits(np.array([1, 0]), ["a", "b"])
    run = RunDir(tmp_path)
    run.save_info(INFO)
    rows = [ResultRow(place, 0.0, m.ACCURACY, value=0.5), ResultRow(place, 0.0, m.TEST_HITS, note=text)]
    run.store().add(Cell.of(CellKey(place, "d"), 0.1, rows))
    assert run.store().table()["note"].tolist() == ["", text]
    shown = run.load().table
    assert shown["measure"].tolist() == [m.ACCURACY]
    assert space_measures(run.store().table()) == [("linear", m.ACCURACY)]
