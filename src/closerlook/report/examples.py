"""Single examples in the report of a run: who holds labels apart, whose label to look at again, who moved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from closerlook import measures as m
from closerlook.representations.reader import stored_examples
from closerlook.results.example_tables import (
    Examples,
    distance_text,
    labels_with_nearest,
    nearest_pair,
    partner_of,
    same_pair,
)
from closerlook.results.example_texts import Piece, marked, shortened
from closerlook.results.movement import FORGOTTEN, LEARNED, NEVER
from closerlook.results.run import RunResults
from closerlook.results.run_dir import RunDir

_N_FLIPPED = 40
_TEXT_LENGTH = 180
_N_TEXTS = 3
_N_SUSPECTS = 40
_N_MOVED = 12
_MOST_ROWS = 1200
"""Rows of witness tables in a page; lower layers are left out beyond, and the page says so."""

_LISTS = (
    ("Moved most", "", "own_displacement", False),
    ("Learned last", LEARNED, "learned_at", False),
    ("Forgotten", FORGOTTEN, "forgotten_at", False),
    ("Never learned", NEVER, "confidence", True),
)


@dataclass(frozen=True)
class Weighted:
    """An example with its weight among the witnesses, now and before tuning (0 = it was none)."""

    weight: float
    before: float
    pieces: list[Piece]


@dataclass(frozen=True)
class LabelWitnesses:
    """Who holds a label apart from its nearest one at the last snapshot.

    Attributes:
        label: The label.
        nearest: Its nearest label.
        before: Distance of the two at the first snapshot, as text.
        now: At the last one.
        own: Its heaviest witnesses.
        others: Those of the nearest label.
        n_own: How many there are of its own.
        n_others: How many of the nearest label.
        apart: Why it has more than one cluster, in a sentence; empty where it has not.
    """

    label: str
    nearest: str
    before: str
    now: str
    own: list[Weighted]
    others: list[Weighted]
    n_own: int
    n_others: int
    apart: str


@dataclass(frozen=True)
class ExampleSections:
    """What the page shows of single examples; empty parts are not shown.

    Attributes:
        witnesses: By ``layer|split``, a row a label.
        left_out: Layers that have no table here for want of room.
        suspects: By split, rows of the most doubted examples: columns and ``pieces``.
        moved: By ``layer|split``, lists of (title, rows).
        read_by: By ``layer|split``, who read right or wrong.
        flipped: By split, the predictions that changed most from the first to the last head.
        n_flipped: By split, how many changed, and of how many.
    """

    witnesses: dict[str, list[LabelWitnesses]]
    left_out: list[int]
    suspects: dict[str, list[dict[str, Any]]]
    moved: dict[str, list[tuple[str, list[dict[str, Any]]]]]
    read_by: dict[str, str]
    flipped: dict[str, list[dict[str, Any]]]
    n_flipped: dict[str, str]


def examples_of(results: RunResults) -> Examples:
    """The single examples of a run, with their texts as they are stored."""
    return Examples(results.by_example, stored_examples(RunDir(Path(results.run_dir)).snapshots))


def example_sections(examples: Examples) -> ExampleSections:
    """All that is known of single examples, for the page."""
    witnesses, left_out = _witnesses(examples)
    suspects = {split: list(_suspects(examples, split)) for split in examples.texts}
    tables = {
        f"{layer}|{split}": examples.moved(layer=layer, split=split) for layer, split in examples.movement_places()
    }
    known = {choice: table for choice, table in tables.items() if table is not None}
    flipped = {split: found for split in examples.texts if (found := examples.flipped(split)) is not None}
    return ExampleSections(
        witnesses,
        left_out,
        {split: rows for split, rows in suspects.items() if rows},
        {choice: list(_lists(table)) for choice, table in known.items()},
        {choice: str(table["read_by"].iloc[0]) for choice, table in known.items()},
        {
            split: [_columns(row) | {"pieces": _pieces(row)} for _, row in found.head(_N_FLIPPED).iterrows()]
            for split, found in flipped.items()
        },
        {split: _counts(found) for split, found in flipped.items()},
    )


def _witnesses(examples: Examples) -> tuple[dict[str, list[LabelWitnesses]], list[int]]:
    places = examples.places(m.WITNESSES)
    found: dict[str, list[LabelWitnesses]] = {}
    n, left_out = 0, set()
    keys = {(int(layer), str(split)) for layer, split in zip(places["layer"], places["split"], strict=True)}
    for layer, split in sorted(keys, key=lambda key: (-key[0], key[1] != "train")):
        if n > _MOST_ROWS:
            left_out.add(layer)
            continue
        at = places[(places["layer"] == layer) & (places["split"] == split)]["step"]
        before, now = (examples.witnesses(layer=layer, split=split, step=int(s)) for s in (at.min(), at.max()))
        apart = examples.apart(layer=layer, split=split, step=int(at.max()))
        found[f"{layer}|{split}"] = list(_labels(before, now, apart))
        n += len(found[f"{layer}|{split}"])
    return found, sorted(left_out)


def _labels(before: pd.DataFrame, now: pd.DataFrame, apart: pd.DataFrame) -> Iterator[LabelWitnesses]:
    for label in labels_with_nearest(now):
        pair = nearest_pair(now, label)
        old = same_pair(before, pair)
        own = pair["label"] == label
        first = pair["pair_label"].iloc[0] == label
        counts = pair[["n_first", "n_other"] if first else ["n_other", "n_first"]].iloc[0]
        yield LabelWitnesses(
            label,
            partner_of(pair, label),
            distance_text(old),
            distance_text(pair),
            _heaviest(pair[own], old),
            _heaviest(pair[~own], old),
            int(counts.iloc[0]),
            int(counts.iloc[1]),
            _why_apart(apart, label),
        )


def _heaviest(side: pd.DataFrame, old: pd.DataFrame) -> list[Weighted]:
    before = dict(zip(old["row"], old["weight"], strict=True)) if len(old) else {}
    return [
        Weighted(float(row["weight"]), float(before.get(row["row"], 0.0)), _pieces(row))
        for _, row in side.head(_N_TEXTS).iterrows()
    ]


def _why_apart(apart: pd.DataFrame, label: str) -> str:
    rows = apart[apart["label"] == label] if len(apart) else apart
    if rows.empty:
        return ""
    one = rows.iloc[0]
    others = f"; {len(rows) - 1} more" if len(rows) > 1 else ""
    return (
        f"{one['size']} of its examples ({_cut(one['members'])}) are a cluster of their own: joined with the rest they "
        f"would meet {one['other']}: {_cut(one['in_the_way'])}{others}"
    )


def _cut(text: str, length: int = 120) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _pieces(row: pd.Series) -> list[Piece]:
    return shortened(marked(row["example_id"], row["text_id"], row["form"], row["context"]), _TEXT_LENGTH)


def _counts(flipped: pd.DataFrame) -> str:
    first, last = flipped.attrs["steps"]
    return f"{len(flipped):,} of {flipped.attrs['n']:,} from step {first} to {last}"


def _suspects(examples: Examples, split: str) -> Iterator[dict[str, Any]]:
    table = examples.suspects(split)
    if table is None:
        return
    for _, row in table[table["log_odds"] < 0].head(_N_SUSPECTS).iterrows():
        against = "" if np.isnan(row["against"]) else f"{row['against']:.0f}"
        cluster = "" if np.isnan(row["extra"]) else f"{row['extra']:.0f}" if row["extra"] else "main"
        yield _columns(row) | {"pieces": _pieces(row), "against": against, "cluster": cluster}


def _lists(table: pd.DataFrame) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for title, fate, by, ascending in _LISTS:
        if by not in table:
            continue
        rows = table[table["fate"] == fate] if fate else table
        chosen = rows.sort_values(by, ascending=ascending).head(_N_MOVED)
        moment = by if fate in (LEARNED, FORGOTTEN) else ""
        if len(chosen):
            shown = f"{title} ({len(rows):,})" if fate else title
            moments = chosen[moment] if moment else [None] * len(chosen)
            told = (
                _columns(row) | {"pieces": _pieces(row), "moment": at}
                for (_, row), at in zip(chosen.iterrows(), moments, strict=True)
            )
            yield shown, list(told)


def _columns(row: pd.Series) -> dict[str, Any]:
    return {str(name): value for name, value in row.items()}
