"""Control tasks by word type."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from closerlook.probing.classifier_probe import LinearSettings, linear_probe
from closerlook.probing.control_task import TypedExamples, control_labels, selectivity

FIXED = LinearSettings(C=1.0)


def words(n: int, n_types: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Types, a noun/verb/other label that each *token* has, and the tokens' generator draws."""
    rng = np.random.default_rng(seed)
    types = np.array([f"w{i}" for i in range(n_types)])[rng.integers(n_types, size=n)]
    return types, np.array(["noun", "other", "verb"])[rng.choice(3, size=n, p=[0.6, 0.3, 0.1])], rng.normal(size=n)


def test_a_type_has_one_label_everywhere_whatever_the_order() -> None:
    types, y, _ = words(500, 60)
    first, second = (TypedExamples([], y[part], types[part].tolist()) for part in (slice(400), slice(400, None)))
    train, test = control_labels(first, second, 0)
    seen: dict[str, set[str]] = {}
    for word, label in zip(types, np.concatenate([train, test]), strict=True):
        seen.setdefault(word, set()).add(label)
    assert {len(labels) for labels in seen.values()} == {1}
    turned, _ = control_labels(TypedExamples([], y[:400][::-1], first.types[::-1]), second, 0)
    np.testing.assert_array_equal(turned[::-1], train)
    assert not np.array_equal(train, control_labels(first, second, 1)[0])


def test_labels_are_drawn_from_the_training_frequencies() -> None:
    types = [f"w{i}" for i in range(20_000)]
    y = np.repeat(["a", "b"], [15_000, 5_000])
    share = Counter(control_labels(TypedExamples([], y, types), TypedExamples([], [], []), 0)[0].tolist())["a"] / 20_000
    assert share == pytest.approx(0.75, abs=4 * np.sqrt(0.75 * 0.25 / 20_000))


def test_vectors_that_name_the_word_are_unselective() -> None:
    """One-hot word identity solves any control task; a vector that holds the label alone solves none."""
    types, _, _ = words(900, 15)
    y = np.array(["noun", "verb"])[np.random.default_rng(2).integers(2, size=900)]
    identity = np.eye(15)[[int(t[1:]) for t in types]]
    label_only = (y == "noun").astype(float)[:, None]
    cut = 600
    parts = slice(cut), slice(cut, None)
    by_word, by_label = (
        selectivity(*(TypedExamples(X[part], y[part], types[part].tolist()) for part in parts), settings=FIXED)
        for X in (identity, label_only)
    )
    assert by_word.control_accuracies == (1.0, 1.0, 1.0)
    assert by_word.selectivity < -0.3
    assert by_label.task_accuracy == 1.0
    assert by_label.selectivity > 0.2
    assert by_label.seen_type_share == 1.0


def test_it_is_the_linear_probe_with_the_settings_given() -> None:
    types, y, draws = words(300, 40)
    X = np.column_stack([draws, y == "noun", y == "verb"]).astype(float)
    train, test = (TypedExamples(X[p], y[p], types[p].tolist()) for p in (slice(200), slice(200, None)))
    settings = LinearSettings(C=1e-3)
    result = selectivity(train, test, n_controls=1, settings=settings)
    assert result.task_accuracy == linear_probe(X[:200], y[:200], X[200:], y[200:], settings).accuracy
    control = control_labels(train, test, 0)
    assert result.control_accuracy == linear_probe(X[:200], control[0], X[200:], control[1], settings).accuracy
    assert result.selectivity == result.task_accuracy - result.control_accuracy


def test_types_new_in_the_test_set_are_reported() -> None:
    types, y, draws = words(100, 10)
    train = TypedExamples(draws[:85, None], y[:85], types[:85].tolist())
    test = TypedExamples(draws[85:, None], y[85:], ["unheard"] * 10 + types[90:95].tolist())
    assert selectivity(train, test, n_controls=1, settings=FIXED).seen_type_share == pytest.approx(1 / 3)


def test_bad_lengths_are_named() -> None:
    types, y, draws = words(20, 5)
    good, short = (TypedExamples(draws[:, None], y, names) for names in (types.tolist(), types[:3].tolist()))
    with pytest.raises(ValueError, match="got 3 word types and 20 labels"):
        control_labels(short, good, 0)
    with pytest.raises(ValueError, match="got 3 test word types and 20 test labels"):
        selectivity(good, short)
    with pytest.raises(ValueError, match="got n_controls=0"):
        selectivity(good, good, n_controls=0)
