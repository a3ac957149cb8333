"""The verdict on weights: on tables of which the answer is known."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from closerlook import measures as m
from closerlook.results.rows import OF_WEIGHTS, Place, ResultRow, to_table
from closerlook.study.weight_verdict import WeightVerdict, kind_shares, weight_verdict


def table(
    changes: dict[str, list[float]], vectors: list[float] | None = None, rounding: float = 0.0, rank: float = 8
) -> pd.DataFrame:
    """Blocks whose parts all have norm 1, and what the vectors of each layer did."""
    total = sum(one**2 for values in changes.values() for one in values)
    rows = []
    for block in range(len(next(iter(changes.values())))):
        at = (Place("weights", block, OF_WEIGHTS, 5), 1.0)
        whole = math.sqrt(sum(values[block] ** 2 for values in changes.values()) / len(changes))
        rows.append(ResultRow(*at, m.WEIGHT_CHANGE, value=whole, control=rounding))
        for label, values in changes.items():
            rows.append(ResultRow(*at, m.WEIGHT_CHANGE, label, value=values[block], control=rounding))
            share = values[block] ** 2 / total if total else None
            rows.append(ResultRow(*at, m.CHANGE_SHARE, label, value=share))
            if "." in label:
                rows.append(ResultRow(*at, m.CHANGE_RANK, label, value=rank if values[block] else 0, n=8))
    for layer, one in enumerate(vectors or []):
        place = Place("weights", layer, "train", 5)
        rows.append(ResultRow(place, 1.0, m.VECTOR_CHANGE, value=one, control=1e-7))
    return to_table(rows)


def verdict(*args: object, **options: object) -> WeightVerdict:
    found = weight_verdict(table(*args, **options))  # type: ignore[arg-type]
    assert found is not None
    return found


def test_one_block_alone() -> None:
    found = verdict({"attention.query": [0, 0.1, 0], "mlp.up": [0, 0, 0]}, [0, 0.2, 0.1], rank=2)
    assert (found.changed, found.named, found.first_moved, found.function) == ((1,), 1, 1, "changed")
    assert "block 1 changed alone" in found.sentences[0]
    assert found.sentences[1] == "All of it is in attention.query, in 2 directions of 8."
    assert "Below layer 1 all vectors are bit for bit what they were" in found.sentences[2]


def test_a_block_stands_out_by_its_matrices_not_by_its_norms() -> None:
    even = {"attention.query": [0.01, 0.011, 0.012], "mlp.up": [0.01, 0.01, 0.01], "norms": [0, 0, 0.5]}
    assert verdict(even).named is None
    assert verdict(even | {"mlp.up": [0.01, 0.09, 0.01]}).named == 1
    assert verdict({"biases": [0, 0.01, 0.2], "mlp.up": [0, 0, 0]}).named == 2


def test_nothing_changed_or_only_the_number_type() -> None:
    found = verdict({"mlp.up": [0, 0, 0]}, [0, 0, 0])
    assert (found.changed, found.named, found.first_moved, found.function) == ((), None, None, "kept")
    assert found.sentences[0] == "No weight changed."
    found = verdict({"mlp.up": [0.002, 0.002, 0.002]}, rounding=0.002)
    assert (found.changed, found.function) == ((), "unknown")
    assert "another number type" in found.sentences[0]


def test_weights_change_and_the_function_stays() -> None:
    found = verdict({"mlp.up": [0, 1.4, 0]}, [0, 1e-6, 2e-6])
    assert (found.named, found.function) == (1, "kept")
    assert "the function is the same" in found.sentences[-1]


def test_vectors_that_move_below_the_edit_are_said() -> None:
    assert "something else changed too" in verdict({"mlp.up": [0, 0, 0.1]}, [0, 0.2, 0.3]).sentences[-1]


def test_without_weights_there_is_no_verdict() -> None:
    assert weight_verdict(to_table([])) is None
    row = ResultRow(Place("weights", 0, OF_WEIGHTS, 1), 0.0, m.WEIGHT_CHANGE, note="x has another shape")
    found = weight_verdict(to_table([row]))
    assert found is not None
    assert found.sentences == ("The weights were not compared: x has another shape.",)


def test_shares_by_kind() -> None:
    shares = kind_shares(table({"attention.query": [0, 0.3], "attention.key": [0, 0.4], "norms": [0, 0]}), 5)
    assert list(shares.columns) == ["attention", "norms"]
    assert shares.loc[1, "attention"] == pytest.approx(1)


def test_no_block_is_named_where_others_that_changed_were_not_compared() -> None:
    """``layers=last``: the last block is all that is in the table, with a quarter of the change."""
    whole = table({"mlp.up": [0.1, 0.1, 0.1, 0.1]}, [0.1, 0.1, 0.1, 0.1])
    found = weight_verdict(whole[whole["layer"] == 3])
    assert found is not None
    assert found.named is None
    assert found.sentences[0].startswith("Only block 3 was compared, with 25% of the squared change of the encoder")
