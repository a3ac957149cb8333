"""A small planted truth: edits of a tiny encoder are named, what is not edited is left in peace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e]

QUICK = (("low rank", "none"), ("permutation", "none"), ("noise", "bfloat16"))
REST = (("noise", "none"), ("labels swapped", "none"), ("", "bfloat16"), ("", "tuned evenly"))


@pytest.fixture(scope="module")
def truth(fixture_module: Callable[[str], ModuleType]) -> ModuleType:
    return fixture_module("planted_truth")


def ask(truth: ModuleType, base: Path, work: Path, cases: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Any]:
    found = {(one.planted.edit, one.planted.background): one for one in truth.answers(base, cases, work, 0)}
    for (edit, background), answer in found.items():
        assert answer.named, (edit, background, answer.verdict)
        if edit and background == "none":
            assert answer.exact_below, edit
            assert answer.verdict.first_moved == answer.planted.block or edit == "permutation"
    return found


def test_edited_blocks_are_named(truth: ModuleType, tiny_bert: Path, tmp_path: Path) -> None:
    found = ask(truth, tiny_bert, tmp_path / "work", QUICK)
    assert found["low rank", "none"].rank_found
    assert found["permutation", "none"].verdict.function == "kept"
    assert "the function is the same" in found["permutation", "none"].verdict.sentences[-1]


@pytest.mark.slow
def test_what_is_not_edited_is_left_in_peace(truth: ModuleType, tiny_bert: Path, tmp_path: Path) -> None:
    found = ask(truth, tiny_bert, tmp_path / "work", REST)
    assert found["noise", "none"].verdict.function == "changed"
    assert found["", "bfloat16"].verdict.changed == ()
    assert "another number type" in found["", "bfloat16"].verdict.sentences[0]
