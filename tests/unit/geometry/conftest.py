"""Oracles with a memory: each comparison keeps its largest deviation, printed at the end with -v."""

import numpy as np
import pytest

_DEVIATIONS: dict[str, float] = {}


@pytest.fixture
def oracle():
    """Assert that a value is that of its oracle, and remember the largest deviation under a name."""

    def compare(name, got, expected, atol=1e-9, rtol=0.0):
        got, expected = np.asarray(got, dtype=float), np.asarray(expected, dtype=float)
        assert got.shape == expected.shape
        deviation = float(np.max(np.abs(got - expected), initial=0.0))
        _DEVIATIONS[name] = max(_DEVIATIONS.get(name, 0.0), deviation)
        np.testing.assert_allclose(got, expected, atol=atol, rtol=rtol, err_msg=name)

    return compare


@pytest.fixture
def rng():
    return np.random.default_rng(12345)


@pytest.fixture
def labelled(rng):
    """(X (120, 6), y (120,)): 5 labels of unlike frequency around unlike centres, off the origin."""
    y = np.repeat(list("abcde"), [60, 30, 15, 10, 5])
    centres = rng.normal(size=(5, 6)) * 2 + 3
    return centres[np.repeat(np.arange(5), [60, 30, 15, 10, 5])] + rng.normal(size=(120, 6)), y


@pytest.fixture
def rotation(rng):
    """Take a width, return a random orthogonal matrix."""
    return lambda d: np.linalg.qr(rng.normal(size=(d, d)))[0]


def pytest_terminal_summary(terminalreporter):
    if terminalreporter.verbosity > 0 and _DEVIATIONS:
        terminalreporter.section("largest deviation from each oracle")
        for name, deviation in sorted(_DEVIATIONS.items()):
            terminalreporter.write_line(f"{deviation:9.2e}  {name}")
