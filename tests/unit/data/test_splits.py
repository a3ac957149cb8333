from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closerlook.data.corpus import LabeledText, Target
from closerlook.data.data_errors import DataError
from closerlook.data.splits import build_corpus, carve, contradictions, limit_texts
from closerlook.data.task_settings import TaskSettings


def raw(text_id: str, text: str, label: str) -> LabeledText:
    return LabeledText(text_id, (Target((), label),), text=text)


def pair(text_id: str, sentence: str, label: str, first: int = 0) -> LabeledText:
    return LabeledText(text_id, (Target((first, 1), label),), words=tuple(sentence.split()))


texts = st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abc")), max_size=60).map(
    lambda drawn: tuple(raw(str(i), f"text {n}", label) for i, (n, label) in enumerate(drawn))
)


@given(texts=texts, fraction=st.floats(0, 0.99), seed=st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_carving_divides_without_loss_or_leak(texts: tuple[LabeledText, ...], fraction: float, seed: int) -> None:
    kept, carved = carve(texts, fraction, seed)
    assert sorted((*kept, *carved), key=lambda t: int(t.text_id)) == list(texts)
    assert not {t.text for t in kept} & {t.text for t in carved}
    assert bool(kept) == bool(texts)
    assert carve(texts[::-1], 0.0, seed)[1] == ()


@given(texts=texts, limit=st.integers(1, 70))
@settings(max_examples=100, deadline=None)
def test_limits_are_exact_and_keep_the_order(texts: tuple[LabeledText, ...], limit: int) -> None:
    chosen = limit_texts(texts, limit, 0)
    assert len(chosen) == min(limit, len(texts))
    assert [int(t.text_id) for t in chosen] == sorted(int(t.text_id) for t in chosen)


def test_carving_is_stratified() -> None:
    many = tuple(raw(str(i), f"text {i}", "a" if i < 90 else "b") for i in range(100))
    _, carved = carve(many, 0.2, 0)
    assert [t.targets[0].label for t in carved].count("b") == 2
    assert len(carved) == 20


def test_contradictions_of_words_look_at_positions() -> None:
    train = (
        pair("a", "x y z", "p"),
        pair("b", "x y z", "q"),
        pair("c", "x y z", "r", first=2),
        pair("d", "X y z", "q"),
        pair("e", "x  y z", "p"),
    )
    assert contradictions(train) == {("x y z", (0, 1)): ["a/0-1", "b/0-1", "e/0-1"]}
    assert contradictions(train[2:]) == {}


def test_pairs_of_texts_are_one_input() -> None:
    def both(text_id: str, first: str, second: str, label: str) -> LabeledText:
        return LabeledText(text_id, (Target((), label),), text=first, second_text=second)

    train = (both("a", "x y", "z", "p"), both("b", "x", "y z", "q"), both("c", "x  y", "z", "q"))
    assert contradictions(train) == {("x y\nz", ()): ["a", "c"]}
    assert train[0].form(0) == "x y || z"
    kept, carved = carve(tuple(both(str(i), "same", str(i), "p") for i in range(10)), 0.5, 0)
    assert (len(kept), len(carved)) == (5, 5)
    with pytest.raises(ValueError, match="a second text needs a first one"):
        LabeledText("a", (), words=("x",), second_text="y")


def test_ids_that_stand_twice_are_refused() -> None:
    train = (raw("a", "one", "p"), raw("b", "two", "q"), raw("c", "three", "q"))
    with pytest.raises(DataError, match=r"text id 'b' stands twice \(in train and test\)"):
        build_corpus(TaskSettings(name="t"), "sentence", {"train": train, "test": (raw("b", "new", "p"),)}, {})
    with pytest.raises(DataError, match="the test split has no examples"):
        build_corpus(TaskSettings(name="t"), "sentence", {"train": train, "test": ()}, {})


def test_unseen_labels_are_noted() -> None:
    train = tuple(raw(str(i), f"text {i}", "ab"[i % 2]) for i in range(4))
    corpus = build_corpus(TaskSettings(name="t"), "sentence", {"train": train, "test": (raw("x", "new", "c"),)}, {})
    assert corpus.label_names == ("a", "b")
    assert corpus.notes == ("1 test examples have labels that training has not (c).",)
