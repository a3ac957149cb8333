"""How far the labels' centroids went, and in how many directions: arrows from the origin, a panel a layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from closerlook import measures as m
from closerlook.figures.paths import Path2D, read_paths
from closerlook.figures.theme import CONTEXT, PALETTE, joined, nothing_to_draw, safe, short, style
from closerlook.results.tables import layers_of


def displacement_arrows(
    table: pd.DataFrame, *, layers: Sequence[int] | None = None, split: str = "train", highlight: int = 3
) -> go.Figure:
    """How far and where each label's centroid went, as arrows from the origin, one panel a layer (E7).

    Args:
        table: Tidy results.
        layers: The layers to draw; None takes at most six, evenly spread, with the first and the last.
        split: The split.
        highlight: How many of the longest arrows of each panel are named.

    Returns:
        The figure; all panels have one scale, so that lengths can be compared over layers.
    """
    title = f"Displacement of the labels' centroids, first to last snapshot, {split}"
    have = layers_of(table, m.DISPLACEMENT_X, split)
    chosen = [layer for layer in (layers if layers is not None else _spread_layers(have)) if layer in have]
    if not chosen:
        return nothing_to_draw(title, f"no centroid displacements on {split}")
    from plotly.subplots import make_subplots

    n_columns = min(3, len(chosen))
    n_rows = -(-len(chosen) // n_columns)
    figure = make_subplots(
        n_rows, n_columns, subplot_titles=[f"layer {layer}" for layer in chosen], horizontal_spacing=0.05,
        vertical_spacing=0.1 if n_rows > 1 else 0,
    )  # fmt: skip
    style(figure, title, height=90 + 300 * n_rows)
    panels = [read_paths(table, m.DISPLACEMENT_X, m.DISPLACEMENT_Y, layer, split) for layer in chosen]
    longest = max((float(np.hypot(a.x[-1], a.y[-1])) for arrows in panels for a in arrows), default=0.0)
    for i, arrows in enumerate(panels):
        _add_arrows(figure, arrows, highlight, longest, row=i // n_columns + 1, column=i % n_columns + 1)
    _same_scale(figure, panels, longest)
    figure.update_xaxes(title_text="distance", row=n_rows)
    return figure


def _same_scale(figure: go.Figure, panels: list[list[Path2D]], longest: float) -> None:
    """One range for all panels, as long across as upward, with room for names."""
    for axis, update, share in (("x", figure.update_xaxes, 0.3), ("y", figure.update_yaxes, 0.15)):
        room = share * longest or 1.0
        ends = [0.0, *(float(getattr(arrow, axis)[-1]) for arrows in panels for arrow in arrows)]
        update(range=[np.nanmin(ends) - room, np.nanmax(ends) + room])
    for i in range(len(panels)):
        number = str(i + 1) if i else ""
        figure.update_layout({f"yaxis{number}": {"scaleanchor": f"x{number}"}})


def _spread_layers(layers: list[int]) -> list[int]:
    if len(layers) <= 6:
        return layers
    return [layers[i] for i in np.linspace(0, len(layers) - 1, 6).round().astype(int)]


def _add_arrows(
    figure: go.Figure, arrows: list[Path2D], highlight: int, longest: float, *, row: int, column: int
) -> None:
    """The arrows of one panel: the longest coloured and named, the others in one grey trace."""
    ends = [(arrow.label, float(arrow.x[-1]), float(arrow.y[-1])) for arrow in arrows]
    ends = sorted((e for e in ends if np.isfinite(e[1] + e[2])), key=lambda e: -np.hypot(e[1], e[2]))
    # Names of stubs would cover each other.
    n_named = sum(bool(np.hypot(x, y) > longest / 20) for _, x, y in ends[:highlight])
    x, y, names = joined([(label, np.array([0, x]), np.array([0, y])) for label, x, y in ends[n_named:]])
    if len(x):
        figure.add_scatter(
            x=x, y=y, mode="lines+markers", row=row, col=column, line={"color": CONTEXT, "width": 1}, text=names,
            marker={"symbol": ["circle", "arrow", "circle"] * (len(ends) - n_named), "size": [0, 7, 0] *
                    (len(ends) - n_named), "angleref": "previous", "color": CONTEXT, "line": {"width": 0}},
            hovertemplate="%{text}<extra></extra>",
        )  # fmt: skip
    for colour, (label, x_end, y_end) in zip(PALETTE, ends[:n_named], strict=False):
        figure.add_scatter(
            x=[0, x_end], y=[0, y_end], mode="lines+markers+text", row=row, col=column, name=safe(label),
            line={"color": colour, "width": 2}, text=["", short(label, 12)], textposition=_outward(x_end, y_end),
            marker={"symbol": ["circle", "arrow"], "size": [0, 10], "angleref": "previous", "color": colour,
                    "opacity": 1, "line": {"width": 0}},
            textfont={"size": 11, "color": colour}, customdata=[np.hypot(x_end, y_end)] * 2,
            hovertemplate="%{fullData.name}: %{customdata:.3~g}<extra></extra>", cliponaxis=False,
        )  # fmt: skip


def _outward(x: float, y: float) -> str:
    if abs(y) > abs(x):
        return "top center" if y > 0 else "bottom center"
    return "middle right" if x > 0 else "middle left"
