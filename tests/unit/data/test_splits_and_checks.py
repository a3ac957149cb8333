from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closerlook.data.checks import contradictions, shared_inputs
from closerlook.data.corpus import Corpus, LabeledText, Target
from closerlook.data.data_errors import DataError
from closerlook.data.splits import build_corpus, carve, limit_texts


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
        pair("a", "x y z", "p"), pair("b", "x y z", "q"), pair("c", "x y z", "r", first=2), pair("d", "X y z", "q"),
        pair("e", "x y z", "p"),
    )  # fmt: skip
    corpus = Corpus("t", "pair", {"train": train, "test": (pair("f", "x y z", "p"),)}, ("p", "q", "r"))
    (found,) = contradictions(corpus)
    assert found.example_ids == ("a/0-1", "b/0-1", "e/0-1")
    assert (found.text, found.words, found.labels) == ("x y z", (0, 1), ("p", "q", "p"))
    (folded,) = contradictions(corpus, casefold=True)
    assert len(folded.labels) == 4
    assert contradictions(corpus, "test") == ()
    assert shared_inputs(corpus) == ("x y z",)


def test_ids_that_stand_twice_are_refused() -> None:
    train = (raw("a", "one", "p"), raw("b", "two", "q"), raw("c", "three", "q"))
    with pytest.raises(DataError, match=r"text id 'b' stands twice \(in train and test\)"):
        build_corpus("t", "sentence", {"train": train, "test": (raw("b", "new", "p"),)})
    with pytest.raises(DataError, match="the test split has no examples"):
        build_corpus("t", "sentence", {"train": train, "test": ()})


def test_unseen_labels_are_told() -> None:
    train = tuple(raw(str(i), f"text {i}", "ab"[i % 2]) for i in range(4))
    corpus = build_corpus("t", "sentence", {"train": train, "test": (raw("x", "new", "c"),)})
    assert corpus.label_names == ("a", "b")
    assert corpus.notes == ("1 test examples have labels that training has not (c).",)
