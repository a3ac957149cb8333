"""Whole entities: counted by hand, and by another way of finding them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closerlook.data.entity_tags import entity_scores, entity_type, marks_entities

# sentence, true tags, predicted tags: true entities, predicted ones, right ones (counted by hand)
BY_HAND = [
    ("B-PER I-PER O B-LOC", "B-PER I-PER O B-LOC", (2, 2, 2)),
    ("B-PER I-PER O B-LOC", "B-PER O O B-LOC", (2, 2, 1)),  # too short
    ("B-PER I-PER O B-LOC", "B-LOC I-LOC O O", (2, 1, 0)),  # another type
    ("B-PER B-PER I-PER", "B-PER I-PER I-PER", (2, 1, 0)),  # two beside each other
    ("B-PER I-PER", "I-PER I-PER", (1, 1, 1)),  # inside without a beginning begins one, as in conlleval
    ("B-PER I-LOC", "B-PER I-LOC", (2, 2, 2)),  # another type begins another one
    ("O O O", "O B-PER O", (0, 1, 0)),
    ("O O", "O O", (0, 0, 0)),
    ("S-PER B-LOC I-LOC E-LOC O", "S-PER B-LOC I-LOC E-LOC S-PER", (2, 3, 2)),  # BIOES
    ("U-PER B-LOC L-LOC", "U-PER U-LOC U-LOC", (2, 3, 1)),  # BILOU
    ("B-ART-WORK O", "B-ART-WORK O", (1, 1, 1)),
]


@pytest.mark.parametrize(("true", "predicted", "counts"), BY_HAND)
def test_counts_by_hand(true: str, predicted: str, counts: tuple[int, int, int]) -> None:
    a, b = true.split(), predicted.split()
    found = entity_scores(["s"] * len(a), a, b)
    n_true, n_predicted, n_right = counts
    assert (found.n_true, found.n_predicted) == (n_true, n_predicted)
    assert found.precision == (n_right / n_predicted if n_predicted else None)
    assert found.recall == (n_right / n_true if n_true else None)
    assert found.f1 == (2 * n_right / (n_true + n_predicted) if n_true + n_predicted else None)


def test_entities_do_not_run_over_the_end_of_a_sentence() -> None:
    found = entity_scores(["a", "a", "b", "b"], ["O", "B-X", "I-X", "O"], ["O", "B-X", "B-X", "O"])
    assert (found.n_true, found.n_predicted, found.f1) == (2, 2, 1.0)


def test_words_that_the_encoder_lost_do_not_count() -> None:
    whole = entity_scores(["a"] * 4, ["B-X", "I-X", "O", "B-Y"], ["B-X", "O", "O", "B-Y"])
    assert whole.f1 == 0.5
    without_the_second_word = entity_scores(["a"] * 3, ["B-X", "O", "B-Y"], ["B-X", "O", "B-Y"])
    assert without_the_second_word.f1 == 1.0


def spans(sentence_ids: list[str], tags: list[str]) -> set[tuple[int, int, str]]:
    """Another way: an entity is a start with all that continues it."""
    found = set()
    for i, tag in enumerate(tags):
        if tag == "O":
            continue
        before = tags[i - 1] if i and sentence_ids[i - 1] == sentence_ids[i] else "O"
        if tag[0] == "B" or before[2:] != tag[2:]:
            j = i + 1
            while j < len(tags) and sentence_ids[j] == sentence_ids[i] and tags[j] == f"I-{tag[2:]}":
                j += 1
            found.add((i, j, tag[2:]))
    return found


@given(seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_counts_by_another_way(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - no secret
    n = draw.randint(1, 30)
    ids = sorted(str(draw.randint(0, 3)) for _ in range(n))
    true, predicted = (draw.choices(["O", "B-A", "I-A", "B-B", "I-B"], k=n) for _ in range(2))
    found = entity_scores(ids, true, predicted)
    a, b = spans(ids, true), spans(ids, predicted)
    assert (found.n_true, found.n_predicted) == (len(a), len(b))
    if a or b:
        assert found.f1 == pytest.approx(2 * len(a & b) / (len(a) + len(b)))


def test_types_and_which_labels_mark_entities() -> None:
    tags = ["B-PER", "I-ORG", "S-LOC", "B_MISC", "O", "NOUN", "B-", "X-RAY"]
    assert [entity_type(tag) for tag in tags] == ["PER", "ORG", "LOC", "MISC", "O", "NOUN", "B-", "X-RAY"]
    assert marks_entities(["O", "B-PER"])
    assert not marks_entities(["O", "PER"])  # task.tags=type
    assert not marks_entities(["B-PER", "I-PER"])  # task.ignore_labels=[O]: what is predicted outside is not known
    assert not marks_entities(["NOUN", "VERB"])
