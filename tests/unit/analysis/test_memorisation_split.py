"""The subtest part of the training set is fixed, stratified, and never a whole label."""

from __future__ import annotations

import numpy as np
import pytest

from closerlook.analysis.memorisation import subtest_mask

Y = np.array(["a"] * 50 + ["b"] * 10 + ["c"] * 2 + ["d"])
IDS = [f"text-{i}" for i in range(len(Y))]


def test_a_fifth_of_each_label_is_held_out() -> None:
    mask = subtest_mask(IDS, Y.tolist())
    assert [int(mask[label == Y].sum()) for label in "abcd"] == [10, 2, 0, 0]
    half = subtest_mask(IDS, Y.tolist(), share=0.9)
    assert [int(half[label == Y].sum()) for label in "abcd"] == [45, 9, 1, 0]  # no label goes there whole


def test_the_same_examples_are_held_out_in_any_order() -> None:
    order = np.random.default_rng(0).permutation(len(Y))
    held = {IDS[i] for i in np.flatnonzero(subtest_mask(IDS, Y.tolist()))}
    shuffled = subtest_mask([IDS[i] for i in order], Y[order].tolist())
    assert {IDS[order[i]] for i in np.flatnonzero(shuffled)} == held
    other = {IDS[i] for i in np.flatnonzero(subtest_mask(IDS, Y.tolist(), seed=1))}
    assert other != held


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 80.0])
def test_share_out_of_range_is_an_error(share: float) -> None:
    with pytest.raises(ValueError, match=rf"subtest share is {share}, expected a share in \(0, 1\)"):
        subtest_mask(IDS, Y.tolist(), share=share)


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="got 63 example ids and 62 labels"):
        subtest_mask(IDS, Y[:-1].tolist())
