"""Layers of one encoder across, layers of another upward: how alike each two are."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from closerlook import measures as m
from closerlook.figures.theme import NAMES_AXIS, SCALE, colour_bar, new_figure, nothing_to_draw
from closerlook.results.tables import rows_of


def layer_matrix(table: pd.DataFrame, *, split: str, step: int, names: tuple[str, str]) -> go.Figure:
    """The similarity of the layers of a snapshot to those of the first one.

    Args:
        table: Tidy results.
        split: Which examples.
        step: The snapshot.
        names: What the first snapshot and this one are called.
    """
    title = f"{m.MEASURES[m.LAYER_CKA].title}, {split}"
    rows = rows_of(table, m.LAYER_CKA, split=split)
    rows = rows[rows["step"] == step]
    if rows["value"].notna().sum() == 0:
        return nothing_to_draw(title, "no similarity of layers")
    rows = rows.assign(first=rows["other"].str.removeprefix("layer ").astype(int))
    grid = rows.pivot_table(index="layer", columns="first", values="value", dropna=False)
    n = max(grid.shape)
    figure = new_figure(f"{title}: {names[1]} beside {names[0]}", height=170 + 30 * max(len(grid), 5))
    figure.add_heatmap(
        x=[str(layer) for layer in grid.columns],
        y=[str(layer) for layer in grid.index],
        z=grid.to_numpy(),
        zmin=0,
        zmax=1,
        texttemplate="%{z:.2f}" if n <= 13 else None,
        textfont={"size": 11},
        colorscale=SCALE,
        colorbar=colour_bar("CKA"),
        xgap=1,
        ygap=1,
        hovertemplate="layer %{y} beside layer %{x}: %{z:.3f}<extra></extra>",
    )
    figure.update_xaxes(NAMES_AXIS, title_text=f"layer of {names[0]}", tickangle=0)
    figure.update_yaxes(NAMES_AXIS, title_text=f"layer of {names[1]}")
    figure.update_layout(meta={"max_width": 240 + 60 * max(grid.shape[1], 6)})
    return figure
