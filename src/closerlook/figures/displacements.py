"""How far the labels' centroids went, and in how many directions: arrows from the origin, and a map of lengths."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from closerlook import measures as m
from closerlook.figures.paths import Path2D, arrow_head, read_paths
from closerlook.figures.theme import (
    CONTEXT,
    NAMES_AXIS,
    PALETTE,
    SCALE,
    colour_bar,
    joined,
    new_figure,
    nothing_to_draw,
    safe,
    short,
    style,
    texts,
)
from closerlook.results.tables import label_series, layers_of

_COLUMNS = 3
_N_NAMED = 3
_MAX_LABELS = 60


def displacement_arrows(table: pd.DataFrame, *, split: str = "train") -> go.Figure:
    """How far and where each label's centroid went, as arrows from the origin, one panel a layer (E7).

    Args:
        table: Tidy results.
        split: The split.

    Returns:
        The figure; all panels have one scale, so that lengths can be compared over layers; the longest arrows of
        each have names.
    """
    title = f"Displacement of the labels' centroids, first to last snapshot, {split}"
    panels = {
        layer: read_paths(table, m.DISPLACEMENT_X, m.DISPLACEMENT_Y, layer, split)
        for layer in layers_of(table, m.DISPLACEMENT_X, split)
    }
    if not panels:
        return nothing_to_draw(title, f"no centroid displacements on {split}")
    n_columns = min(_COLUMNS, len(panels))
    n_rows = -(-len(panels) // n_columns)
    names = [f"layer {layer}" for layer in panels]
    gaps = {"horizontal_spacing": 0.05, "vertical_spacing": 0.2 / n_rows if n_rows > 1 else 0}
    figure = make_subplots(n_rows, n_columns, subplot_titles=names, **gaps)
    style(figure, title, height=90 + 300 * n_rows)
    longest = max((arrow.reach for arrows in panels.values() for arrow in arrows), default=0.0)
    for i, arrows in enumerate(panels.values()):
        row, column = divmod(i, n_columns)
        traces = _arrows(arrows, longest)
        figure.add_traces(traces, rows=[row + 1] * len(traces), cols=[column + 1] * len(traces))
    _same_scale(figure, [arrow for arrows in panels.values() for arrow in arrows], longest)
    figure.update_xaxes(title_text="distance", row=n_rows)
    return figure


def _same_scale(figure: go.Figure, arrows: list[Path2D], longest: float) -> None:
    """One range for all panels, as long across as upward, with room for names."""
    for axis, update, share in (("x", figure.update_xaxes, 0.3), ("y", figure.update_yaxes, 0.15)):
        room = share * longest or 1.0
        ends = [0.0, *(float(getattr(arrow, axis)[-1]) for arrow in arrows)]
        update(range=[np.nanmin(ends) - room, np.nanmax(ends) + room])
    figure.for_each_yaxis(lambda axis: axis.update(scaleanchor=axis.anchor))


def _arrows(paths: list[Path2D], longest: float) -> list[go.Scatter]:
    """The arrows of one panel: the longest coloured and named, the others in one grey trace."""
    ends = sorted((path for path in paths if np.isfinite(path.reach)), key=lambda path: -path.reach)
    # Names of stubs would cover each other.
    n_named = sum(path.reach > longest / 20 for path in ends[:_N_NAMED])
    traces = []
    x, y, names = joined((path.label, np.array([0, path.x[-1]]), np.array([0, path.y[-1]])) for path in ends[n_named:])
    if len(x):
        head = arrow_head(CONTEXT, ["circle", "arrow", "circle"] * (len(x) // 3), [0, 7, 0] * (len(x) // 3))
        line = {"color": CONTEXT, "width": 1}
        hover = "%{text}<extra></extra>"
        traces.append(
            go.Scatter(x=x, y=y, mode="lines+markers", text=names, line=line, marker=head, hovertemplate=hover)
        )
    return traces + [_named_arrow(path, colour) for colour, path in zip(PALETTE, ends[:n_named], strict=False)]


def _named_arrow(path: Path2D, colour: str) -> go.Scatter:
    x, y = path.x[-1], path.y[-1]
    side = ("middle right" if x > 0 else "middle left") if abs(x) >= abs(y) else None
    return go.Scatter(
        x=[0, x],
        y=[0, y],
        mode="lines+markers+text",
        name=safe(path.label),
        line={"color": colour, "width": 2},
        marker=arrow_head(colour, ["circle", "arrow"], [0, 10]),
        text=["", short(path.label, 12)],
        textposition=side or ("top center" if y > 0 else "bottom center"),
        textfont={"size": 11, "color": colour},
        hovertemplate=f"%{{fullData.name}}: {path.reach:.3g}<extra></extra>",
        cliponaxis=False,
    )


def displacement_lengths(table: pd.DataFrame, *, split: str = "train") -> go.Figure:
    """How far each label's centroid went from the first to the last snapshot, per layer (E8).

    Args:
        table: Tidy results of one setting.
        split: The split.

    Returns:
        The figure: layers across, labels upward by the length at the last layer.
    """
    title = f"How far the labels' centroids went, first to last snapshot, {split}"
    layers = layers_of(table, m.CENTROID_DISPLACEMENT, split)
    series = {layer: label_series(table, m.CENTROID_DISPLACEMENT, layer=layer, split=split) for layer in layers}
    frame = pd.DataFrame({layer: lengths.iloc[-1] for layer, lengths in series.items()})
    if not np.isfinite(frame.to_numpy(dtype=float)).any():
        return nothing_to_draw(title, f"no centroid displacements on {split}")
    n_labels = len(frame)
    frame = frame.loc[frame[layers[-1]].sort_values(ascending=False).index[:_MAX_LABELS][::-1]]
    if n_labels > _MAX_LABELS:
        title += f" (the {_MAX_LABELS} of {n_labels} labels that went farthest)"
    names, lengths = [short(str(label), 16) for label in frame.index], frame.to_numpy(dtype=float)
    figure = new_figure(title, height=int(np.clip(140 + 16 * len(names), 260, 900)))
    figure.add_heatmap(
        x=[str(layer) for layer in layers],
        y=names,
        z=lengths,
        text=texts(m.CENTROID_DISPLACEMENT, lengths),
        texttemplate="%{text}" if len(names) <= 24 and len(layers) <= 13 else None,
        colorscale=SCALE,
        zmin=0,
        zmax=float(np.nanmax(lengths)) or 1.0,  # plotly heeds one end only with the other
        xgap=1,
        ygap=1,
        colorbar=colour_bar("distance"),
        hovertemplate="%{y}, layer %{x}: %{text}<extra></extra>",
        hoverongaps=False,
    )
    figure.update_xaxes(NAMES_AXIS, title_text="layer")
    figure.update_yaxes(NAMES_AXIS, tickfont={"size": 11 if len(names) <= 30 else 9})
    return figure
