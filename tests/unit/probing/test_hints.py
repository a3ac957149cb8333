"""Hints from one fit to the next: they save steps, and no hint, however wrong, changes an answer."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closerlook.probing import DirectProbe, Hints, _active_set
from closerlook.probing.hints import Support


@cache
def made_film():
    """Snapshots of one space whose labels drift apart: overlapping at first, linear at the end."""
    rng = np.random.default_rng(4)
    y = np.repeat(["a", "b", "c"], 40)
    shift = (rng.normal(size=(3, 8)) * 2.2)[np.repeat([0, 1, 2], 40)]
    noise, drift = rng.normal(size=(120, 8)), rng.normal(size=(120, 8))
    return [noise + 0.02 * t * drift + t / 5 * shift for t in range(6)], y


@pytest.fixture
def film():
    return made_film()


def assert_same(one: DirectProbe, other: DirectProbe) -> None:
    assert one.labels_.tolist() == other.labels_.tolist()
    assert len(one.refusals_) == len(other.refusals_)
    assert one.label_distances_ == pytest.approx(other.label_distances_, rel=2e-6, abs=0.0)


def test_snapshots_with_hints_are_those_without(film):
    snapshots, y = film
    hints, linear = None, []
    for X in snapshots:
        alone, helped = DirectProbe().fit(X, y), DirectProbe().fit(X, y, hints)
        assert_same(alone, helped)
        assert all(helped.certificates_.verify(pair) for pair in helped.certificates_)
        linear.append(helped.is_linear_)
        hints = helped.hints_
    assert linear[0] != linear[-1]  # the film must show both kinds of space
    assert helped.solve_counts_.hints_used > 0


def test_hints_save_most_steps(monkeypatch):
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(6), 60)
    X = rng.normal(size=(360, 40)) + 1.5 * rng.normal(size=(6, 40))[y]
    first = DirectProbe().fit(X, y)
    steps, solver = [], _active_set.nearest_points
    monkeypatch.setattr(_active_set, "nearest_points", lambda *a: (steps.append((found := solver(*a))[6]), found)[1])
    moved = X + 1e-3 * rng.normal(size=X.shape)
    DirectProbe().fit(moved, y)
    cold = sum(steps)
    steps.clear()
    helped = DirectProbe().fit(moved, y, first.hints_)
    assert helped.solve_counts_.hints_used == 15
    assert sum(steps) <= 2 * 15  # one to look, one to mend
    assert sum(steps) < cold / 3


rows = st.lists(st.integers(-3, 130), max_size=12)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(rows, st.integers(0, 2**12), st.floats(-1, 2), st.booleans()), max_size=8), st.integers(0, 5))
def test_hostile_hints_change_nothing(made, at):
    snapshots, y = made_film()
    X = snapshots[at]
    hostile = []
    for members, sides, weight, stretched in made:
        first = np.array([bool(sides >> t & 1) for t in range(len(members))], dtype=np.bool_)
        weights = np.full(len(members), weight)
        hostile.append(Support(np.array(members, dtype=np.int64), first, weights, stretched))
    # Sound in form and wrong in substance: the farthest examples of two labels.
    far = [int(np.argmax(X[y == name] @ np.ones(8))) + 40 * k for k, name in enumerate("ab")]
    hostile.append(Support(np.array(far), np.array([True, False]), np.array([7.0, 0.1]), stretched=True))
    helped = DirectProbe().fit(X, y, Hints(tuple(hostile), tuple(hostile)))
    assert_same(DirectProbe().fit(X, y), helped)
    assert helped.solve_counts_.hints_used > 0


def test_hints_of_other_examples_are_rejected(film):
    snapshots, y = film
    hints = DirectProbe().fit(snapshots[-1], y).hints_
    X, few = snapshots[-1][::3], y[::3]
    helped = DirectProbe().fit(X, few, hints)
    assert_same(DirectProbe().fit(X, few), helped)
    assert helped.solve_counts_.hints_rejected > 0
