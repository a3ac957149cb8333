"""Online code length."""

from __future__ import annotations

import numpy as np
import pytest

from closerlook.probing.online_code import PAPER_FRACTIONS, code_bits, online_code_length


def blobs(n: int = 400, labels: int = 4, distance: float = 3.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(labels, size=n)
    return distance * rng.normal(size=(labels, 8))[y] + rng.normal(size=(n, 8)), y


def test_vectors_that_say_more_give_a_shorter_code() -> None:
    y = blobs()[1]
    clear, faint = (online_code_length(blobs(distance=d)[0], y, C=(1.0,)) for d in (4.0, 0.5))
    noise = online_code_length(np.random.default_rng(5).normal(size=(400, 8)), y)
    assert clear.bits < 0.5 * faint.bits < faint.bits < noise.bits
    assert clear.uniform_bits == 400 * 2
    assert clear.compression == pytest.approx(800 / clear.bits)
    assert 0.85 < noise.compression < 1.02  # nothing to gain, and nothing paid beyond learning that
    assert clear.n_not_converged == 0


def test_bits_of_a_block_by_hand() -> None:
    log_p = np.log([[0.75, 0.25], [0.5, 0.5], [0.5, 0.5]])
    # 6 examples seen of labels 1 and 3, two labels (0, 2) never: 1/8 each, the rest 6/8 of the probe's.
    bits = code_bits(log_p, np.array([1, 1, 3, 3, 1, 1]), np.array([1, 3, 0]), n_labels=4)
    assert bits == pytest.approx(-np.log2(0.75 * 6 / 8) - np.log2(0.5 * 6 / 8) + 3)


@pytest.mark.parametrize("seen", [[2], [0, 3, 3], [0, 1, 2, 3]])
def test_the_code_is_a_probability_over_all_labels(seen: list[int]) -> None:
    known = np.unique(seen)
    log_p = np.log(np.full((1, len(known)), 1 / len(known)))
    total = sum(2 ** -code_bits(log_p, np.array(seen), np.array([label]), n_labels=4) for label in range(4))
    assert total == pytest.approx(1)


def test_blocks_add_up_and_the_first_one_is_uniform() -> None:
    X, y = blobs(labels=5)
    result = online_code_length(X, y, n_shuffles=3)
    assert result.block_ends == tuple(sorted({max(1, round(f * 400)) for f in PAPER_FRACTIONS}))
    assert result.block_bits.shape == (3, len(result.block_ends))
    np.testing.assert_allclose(result.block_bits.sum(axis=1), result.shuffle_bits)
    np.testing.assert_allclose(result.block_bits[:, 0], result.block_ends[0] * np.log2(5))
    assert result.bits == pytest.approx(np.mean(result.shuffle_bits))
    assert result.bits_std == pytest.approx(np.std(result.shuffle_bits, ddof=1))
    assert result.bits_per_example == pytest.approx(result.bits / 400)


def test_one_block_is_the_uniform_code() -> None:
    X, y = blobs()
    result = online_code_length(X, y, fractions=(1.0,), n_shuffles=1)
    assert result.bits == result.uniform_bits == 800
    assert np.isnan(result.bits_std)


def test_certain_labels_cost_almost_nothing_and_never_infinity() -> None:
    X = np.repeat([[-1e4], [1e4]], 50, axis=0)
    flipped = np.repeat([0, 1], 50)
    flipped[7] = 1  # one label against overwhelming evidence
    result = online_code_length(X, flipped, C=(1e6,), n_shuffles=2)
    assert np.isfinite(result.block_bits).all()
    assert online_code_length(X, np.repeat([0, 1], 50), C=(1e6,), n_shuffles=2).bits < 12


def test_the_penalty_of_a_block_is_chosen_by_the_blocks_before_it() -> None:
    X, y = blobs(distance=2.0)
    weak, strong = (online_code_length(X, y, C=(C,), n_shuffles=2).block_bits for C in (10.0, 1e-3))
    both = online_code_length(X, y, C=(10.0, 1e-3), n_shuffles=2).block_bits
    for i in range(1, both.shape[1]):
        for row in range(2):
            past = (strong[row, 1:i].sum(), weak[row, 1:i].sum())
            expected = (strong, weak)[int(past[1] < past[0])][row, i]
            assert both[row, i] == expected
    assert both.sum() < max(weak.sum(), strong.sum())


def test_repeats_units_and_inputs() -> None:
    X, y = blobs()
    X.setflags(write=False)
    a, b = online_code_length(X, y, n_shuffles=2), online_code_length(X, y, n_shuffles=2)
    np.testing.assert_array_equal(a.block_bits, b.block_bits)
    scaled = online_code_length(X * 1000, np.array(list("wxyz"))[y], n_shuffles=2)
    assert scaled.bits == pytest.approx(a.bits, rel=1e-3)


def test_fits_cut_short_are_counted() -> None:
    X, y = blobs()
    assert online_code_length(X, y, n_shuffles=1, max_iter=1, C=(10.0,)).n_not_converged > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": np.zeros(400, dtype=int)}, "y has one label, 0, expected at least two"),
        ({"X": np.full((400, 2), np.inf)}, "X has 400 rows with NaN or infinity"),
        ({"y": [1, 2]}, r"y has shape \(2,\), expected \(400,\)"),
        ({"fractions": (0.5, 0.1, 1.0)}, r"got fractions \[0.5, 0.1, 1.0\], expected increasing"),
        ({"fractions": ()}, r"got fractions \[\]"),
        ({"fractions": (0.1, 0.5)}, "the last one 1"),
        ({"n_shuffles": 0}, r"got n_shuffles=0, C=\(0.01, 0.1\)"),
        ({"C": (1.0, 0)}, r"C=\(1.0, 0\), .*expected numbers above 0"),
        ({"C": ()}, r"C=\(\), .*expected numbers above 0"),
    ],
)
def test_bad_input_is_named(changes: dict[str, object], message: str) -> None:
    X, y = blobs()
    with pytest.raises(ValueError, match=message):
        online_code_length(**({"X": X, "y": y} | changes))  # type: ignore[arg-type]
