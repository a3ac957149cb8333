"""Hits as text: what goes in comes out, and what is not hits is named."""

from __future__ import annotations

import numpy as np
import pytest

from closerlook.results.hits import decode_hits, encode_hits


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
