"""What changed in the weights, as the terminal shows it."""

from __future__ import annotations

import math

import pandas as pd
from rich import box
from rich.markup import escape
from rich.table import Table

from closerlook import measures as m
from closerlook.cli.console import Console
from closerlook.number_text import number_text
from closerlook.results.rows import OF_WEIGHTS
from closerlook.study.weight_verdict import kind_shares, weight_verdict

_SHORT = {"attention": "attn", "norms": "norm", "embeddings": "emb", "biases": "bias"}


def print_weights(console: Console, table: pd.DataFrame, title: str) -> None:
    """The verdict on the weights and a line a block; nothing where none were compared.

    Args:
        console: Where to.
        table: Tidy results.
        title: The run's name.
    """
    verdict = weight_verdict(table)
    if verdict is None:
        return
    if verdict.changed:
        console.print(
            weight_table(table, verdict.step, escape(f"{title}: change of the weights at step {verdict.step}"))
        )
    for sentence in verdict.sentences:
        console.print(f"  {escape(sentence)}")


def weight_table(table: pd.DataFrame, step: int, title: str) -> Table:
    """A line a block: how far it went, where in it, how many leading directions are new, and what the vectors did."""
    rows = table[(table["probe"] == "weights") & (table["step"] == step)]
    shares = kind_shares(table, step)
    style = {"title_justify": "left", "caption_justify": "left", "box": box.SIMPLE_HEAD, "padding": (0, 1)}
    caption = (
        "change: of the block's weights, for their size. Then shares of the squared\n"
        "change of the whole encoder. new: intruder dimensions (in brackets those that\n"
        "noise of the same size makes). vectors: change of layer L's, for their length."
    )
    grid = Table(title=title, caption=caption, pad_edge=False, collapse_padding=True, **style)  # type: ignore[arg-type]
    for name in ("block", "change", "all", *(_SHORT.get(kind, kind) for kind in shares.columns), "new", "vectors"):
        grid.add_column(name, justify="right", no_wrap=True)
    for block in sorted(rows.loc[rows["split"] == OF_WEIGHTS, "layer"].unique()):
        here = rows[rows["layer"] == block]
        kinds = [_percent(shares[kind].get(block, math.nan)) for kind in shares.columns]
        change, share = (_of_block(here, measure) for measure in (m.WEIGHT_CHANGE, m.CHANGE_SHARE))
        vectors = number_text(m.VECTOR_CHANGE, here.loc[here["measure"] == m.VECTOR_CHANGE, "value"].max())
        size = number_text(m.WEIGHT_CHANGE, change)
        grid.add_row(str(block), size, _percent(share), *kinds, _intruders(here), vectors)
    return grid


def _of_block(rows: pd.DataFrame, measure: str) -> float:
    found = rows.loc[(rows["measure"] == measure) & (rows["label"] == ""), "value"]
    return float(found.iloc[0]) if len(found) else math.nan


def _intruders(rows: pd.DataFrame) -> str:
    found = rows[rows["measure"] == m.INTRUDERS].dropna(subset="value")
    return f"{found['value'].sum():.0f} ({found['control'].sum():.0f})" if len(found) else "-"


def _percent(share: float) -> str:
    if math.isnan(share):
        return "-"
    return f"{share:.1%}" if share >= 0.0005 or share == 0 else "<0.1%"
