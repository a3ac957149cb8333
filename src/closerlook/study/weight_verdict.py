"""What a change of weights was: which block, what in it, and whether the vectors say the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from closerlook import measures as m
from closerlook.geometry.weight_places import KINDS
from closerlook.number_text import counted, number_text
from closerlook.results.rows import OF_WEIGHTS

STANDS_OUT = 3.0
"""A block is named where its matrices changed at least this many times as much, for their size, as any other's."""

_BEYOND_ROUNDING = 1.5
_VECTOR_ROUNDINGS = 64
"""So many roundings of the stored number type may come together over the layers of an encoder."""
_WHOLE = 0.95
_ALL = 0.999
"""With less of the squared change than this, blocks that changed were not compared (``layers=last``): none is named."""
_LOW_RANK = 0.25

Function = Literal["kept", "changed", "unknown"]
"""Whether the vectors of the stored examples are the same but for rounding."""


@dataclass(frozen=True)
class WeightVerdict:
    """What a change of weights was.

    Attributes:
        step: The moment that is compared with the first one.
        changed: Blocks whose weights changed by more than storing them in their number type makes; 0 = embeddings.
        named: The block that was edited, where one changed alone or stands out; None = no single one.
        first_moved: The first layer whose vectors are not bit for bit what they were; None = no vector moved, or none
            is stored.
        function: Whether the vectors of the stored examples are the same but for rounding.
        sentences: The same in words.
    """

    step: int
    changed: tuple[int, ...]
    named: int | None
    first_moved: int | None
    function: Function
    sentences: tuple[str, ...]


def weight_verdict(table: pd.DataFrame, step: int | None = None) -> WeightVerdict | None:
    """Name the edited block, from the weights and from what the vectors did.

    Args:
        table: Tidy results with those of ``probe=[weights]``.
        step: The moment to compare with the first one; None = the last that has weights.

    Returns:
        None where no weights were compared.
    """
    rows = table[table["probe"] == "weights"]
    weights = rows[rows["split"] == OF_WEIGHTS]
    if weights.empty:
        return None
    at = int(weights["step"].max() if step is None else step)
    rows, weights = rows[rows["step"] == at], weights[weights["step"] == at]
    blocks = weights[(weights["label"] == "") & (weights["measure"] == m.WEIGHT_CHANGE)]
    changes = _by_layer(blocks)
    if not changes:
        why = str(blocks["note"].iloc[0]) if len(blocks) else "not measured"
        return WeightVerdict(at, (), None, None, "unknown", (f"The weights were not compared: {why}.",))
    rounding = _by_layer(blocks, "control")
    real = {block: one for block, one in changes.items() if one > _BEYOND_ROUNDING * rounding.get(block, 0.0)}
    scores = {block: one for block, one in _scores(weights).items() if block in real}
    seen = _share_seen(weights)
    named = _standing_out(scores) if seen >= _ALL else None
    moved = _by_layer(rows[rows["measure"] == m.VECTOR_CHANGE])
    limits = _by_layer(rows[rows["measure"] == m.VECTOR_CHANGE], "control")
    beyond = any(one > _VECTOR_ROUNDINGS * limits[layer] for layer, one in moved.items())
    function: Function = ("changed" if beyond else "kept") if moved else "unknown"
    said = (
        _what_changed(changes, real, scores, named) if seen >= _ALL else _what_is_seen(changes, seen),
        _inside(weights, tuple(real), named),
        _what_moved(moved, named, function),
    )
    first = min((layer for layer, one in moved.items() if one > 0), default=None)
    return WeightVerdict(at, tuple(real), named, first, function, tuple(filter(None, said)))


def _by_layer(rows: pd.DataFrame, column: str = "value") -> dict[int, float]:
    """The largest known value of each layer, ascending: of several splits, the one that says more."""
    known = rows.dropna(subset="value").groupby("layer")[column].max()
    return dict(zip(known.index.astype(int).tolist(), known.fillna(0.0).tolist(), strict=True))


def _scores(weights: pd.DataFrame) -> dict[int, float]:
    """By block, how far its attention, its MLP or its embeddings went for their size, whichever went furthest.

    Not the block as a whole: in a small encoder its norms, which are near 1, outweigh all matrices. Norms and biases
    count where no matrix changed at all: biases begin near 0 and go far for their size.
    """
    parts = weights[weights["label"] != ""].pivot_table(index=["layer", "label"], columns="measure", values="value")
    parts = parts.reindex(columns=[m.WEIGHT_CHANGE, m.CHANGE_SHARE]).dropna()
    parts = parts[parts[m.WEIGHT_CHANGE] > 0]
    parts["before"] = parts[m.CHANGE_SHARE] / parts[m.WEIGHT_CHANGE] ** 2  # squared norm, in units of the change
    kinds = parts.index.get_level_values("label").str.split(".").str[0]
    sums = parts.groupby([parts.index.get_level_values("layer"), kinds])[[m.CHANGE_SHARE, "before"]].sum()
    vectors = sums.index.get_level_values(1).isin(["norms", "biases"])
    sums = sums if vectors.all() else sums[~vectors]
    sizes = ((sums[m.CHANGE_SHARE] / sums["before"]) ** 0.5).groupby(level=0).max()
    return dict(zip(sizes.index.astype(int).tolist(), sizes.tolist(), strict=True))


def _share_seen(weights: pd.DataFrame) -> float:
    """Share of the squared change of the whole encoder that the compared blocks have; 1 where nothing changed."""
    shares = weights.loc[(weights["label"] != "") & (weights["measure"] == m.CHANGE_SHARE), "value"].dropna()
    return float(shares.sum()) if len(shares) else 1.0


def _what_is_seen(changes: dict[int, float], seen: float) -> str:
    which = block_name(next(iter(changes))) if len(changes) == 1 else counted(len(changes), "block")
    return (
        f"Only {which} was compared, with {seen:.0%} of the squared change of the encoder: probe layers=all to learn "
        "which block changed."
    )


def _standing_out(scores: dict[int, float]) -> int | None:
    ordered = sorted(scores, key=lambda block: -scores[block])
    if len(ordered) < 2:
        return ordered[0] if ordered else None
    return ordered[0] if scores[ordered[0]] >= STANDS_OUT * scores[ordered[1]] else None


def block_name(block: int) -> str:
    """A block in words; the first one is made of the embeddings."""
    return "the embeddings" if block == 0 else f"block {block}"


def _what_changed(
    changes: dict[int, float], real: dict[int, float], scores: dict[int, float], named: int | None
) -> str:
    def size(block: int) -> str:
        return number_text(m.WEIGHT_CHANGE, real[block])

    if not real:
        rounded = "" if not any(changes.values()) else " by more than storing it in another number type makes"
        return f"No weight changed{rounded}."
    if named is None:
        least, most = min(real, key=lambda one: real[one]), max(real, key=lambda one: real[one])
        which = "All" if len(real) == len(changes) else f"{len(real)} of"
        return (
            f"{which} {counted(len(changes), 'block')} changed (embeddings count as one), none far more than the "
            f"others: {block_name(most)} most, by {size(most)} of its size, {block_name(least)} least ({size(least)})."
        )
    if len(real) == 1:
        return f"The weights of {block_name(named)} changed alone, by {size(named)} of their size."
    following = max((one for one in scores if one != named), key=lambda one: scores[one])
    return (
        f"The weights of {block_name(named)} stand out: its matrices changed {scores[named] / scores[following]:.1f} "
        f"times as much for their size as those of {block_name(following)}, the next."
    )


def _inside(weights: pd.DataFrame, real: tuple[int, ...], named: int | None) -> str:
    """What changed in the named block, or in all of them, and in how many directions."""
    where = weights["layer"].isin(real) if named is None else weights["layer"] == named
    parts = weights[where & (weights["label"] != "")]
    shares = parts[parts["measure"] == m.CHANGE_SHARE].groupby("label")["value"].sum().sort_values(ascending=False)
    if not real or shares.sum() == 0:
        return ""
    shares = shares / shares.sum()
    ranks = parts[parts["measure"] == m.CHANGE_RANK].dropna(subset="value")
    ranks = ranks[ranks["value"] > 0]  # of the matrices that changed
    if named is not None and shares.iloc[0] >= _WHOLE:
        here = ranks[ranks["label"] == shares.index[0]]
        rank = f", in {counted(here['value'].max(), 'direction')} of {here['n'].max():.0f}" if len(here) else ""
        return f"{'All' if shares.iloc[0] == 1 else 'Nearly all'} of it is in {shares.index[0]}{rank}."
    by_kind = shares.groupby(shares.index.str.split(".").str[0]).sum()
    kinds = ", ".join(f"{kind} {by_kind[kind]:.0%}" for kind in KINDS if by_kind.get(kind, 0) >= 0.005)
    low = ""
    if len(ranks) and (ranks["value"] <= _LOW_RANK * ranks["n"]).all():
        low = f" No matrix changed in more than {counted(ranks['value'].max(), 'direction')}: an update of low rank."
    return f"Of the squared change: {kinds}.{low}"


def _what_moved(moved: dict[int, float], named: int | None, function: Function) -> str:
    if function == "unknown":
        return ""
    size = {layer: number_text(m.VECTOR_CHANGE, one) for layer, one in moved.items()}
    most = max(moved, key=lambda layer: moved[layer])
    first = min((layer for layer, one in moved.items() if one > 0), default=None)
    if first is None:
        return "The vectors of all stored examples are bit for bit what they were, at all layers."
    if function == "kept":
        return (
            f"The vectors of the stored examples are what they were but for rounding (at most {size[most]} of their "
            "length): the weights are others, the function is the same. Neurons in another order do that."
        )
    below = "" if first == min(moved) else f"below layer {first} all vectors are bit for bit what they were. "
    said = f"{below}Layer {first} moved by {size[first]} of the vectors' length"
    said += f", layer {most} most, by {size[most]}." if most != first else ", and most."
    if named is not None and first < named:
        said += f" That is below {block_name(named)}: something else changed too (the tokenizer, a setting)."
    return said[:1].upper() + said[1:]


def kind_shares(table: pd.DataFrame, step: int) -> pd.DataFrame:
    """Shares of the squared change of the whole encoder: rows are blocks, columns are kinds that any of them has."""
    rows = table[(table["probe"] == "weights") & (table["measure"] == m.CHANGE_SHARE) & (table["label"] != "")]
    rows = rows[rows["step"] == step]
    kinds = rows["label"].str.split(".").str[0]
    shares = rows.assign(kind=kinds).pivot_table(index="layer", columns="kind", values="value", aggfunc="sum")
    return shares.reindex(columns=[kind for kind in KINDS if kind in shares.columns]).astype(np.float64)
