"""Distances between labels: each label's nearest neighbour over training, and the whole matrix with a slider."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from scipy.cluster.hierarchy import leaves_list, linkage

from closerlook import measures as m
from closerlook.figures.maps import crosses
from closerlook.figures.theme import (
    CONTEXT,
    EPOCHS,
    LAGGARDS,
    MEAN,
    NAMES_AXIS,
    PALETTE,
    RISERS,
    SCALE,
    axis_title,
    capital,
    colour_bar,
    joined,
    name_of,
    new_figure,
    nothing_to_draw,
    safe,
    short,
    spread,
    texts,
)
from closerlook.number_text import number_text
from closerlook.results.tables import Matrices, distance_matrices, evenly, gains, label_series

MANY_LABELS = 8
"""With more labels than this, only the ones that gain most and least are coloured and named."""

_MAX_NAMED = 60
_MAX_WRITTEN = 12
_AT = "<br>epoch %{x:.4~g}: %{y:.4~g}<extra></extra>"


def labels_over_training(table: pd.DataFrame, *, layer: int, split: str = "train") -> go.Figure:
    """The minimum distance of each label over training, as in the paper's section 4.3.

    Args:
        table: Tidy results.
        layer: The layer.
        split: The split.

    Returns:
        The figure: epochs across, one line a label, names at the lines' ends, a gap where a value is missing. With
        more than :data:`MANY_LABELS` labels, the three that gain most and the three that gain least are coloured
        and named; the others are thin and grey.
    """
    measure = m.MIN_DISTANCE
    title = f"{capital(name_of(measure))} of each label, layer {layer}, {split}"
    series = label_series(table, measure, layer=layer, split=split)
    values = series.to_numpy()
    if not np.isfinite(values).any():
        return nothing_to_draw(title, f"no {name_of(measure)} at layer {layer} on {split}")
    colours = line_colours(series)
    figure = new_figure(title, height=440)
    _add_context(figure, series.drop(columns=list(colours)))
    for i, (label, colour) in enumerate(colours.items()):
        # Labels that are each other's nearest share one line: the second is dashed, so that both colours show.
        hides = any(_same_line(series[other], series[label]) for other in list(colours)[:i])
        _add_line(figure, series[label], label, {"color": colour, "width": 2.5, "dash": "dash" if hides else "solid"})
    _add_line(figure, series.mean(axis=1), "mean of labels", {"color": MEAN, "width": 3, "dash": "dot"}, marks=False)
    bottom = min(0.0, float(np.nanmin(values)))
    _name_ends(figure, series, colours, bottom)
    figure.update_yaxes(range=[bottom, float(np.nanmax(values)) * 1.06 or 1], title_text=axis_title(measure))
    figure.update_xaxes(EPOCHS)
    figure.update_layout(margin={"r": 16 + max(int(len(a.text) * 6.9) for a in figure.layout.annotations)})
    return figure


def line_colours(series: pd.DataFrame) -> dict[str, str]:
    """The colour of each label that is named in the figure: all of a few, else the three outermost on both sides."""
    if series.shape[1] <= MANY_LABELS:
        return dict(zip(map(str, series.columns), PALETTE, strict=False))
    ranked = [str(label) for label in gains(series).index]
    k = min(len(RISERS), len(ranked) // 2)
    most, least = ranked[:k], ranked[len(ranked) - k :]
    return dict(zip([*most, *reversed(least)], [*RISERS[:k], *LAGGARDS[:k]], strict=True))


def _same_line(a: pd.Series, b: pd.Series) -> bool:
    """Whether two lines cannot be told apart by eye: within the width of a line."""
    return bool(np.allclose(a, b, rtol=0.005, atol=0, equal_nan=True))


def _add_context(figure: go.Figure, series: pd.DataFrame) -> None:
    """The labels that are not named: thin and grey, named under the pointer."""
    if series.empty:
        return
    x, y, names = joined((str(label), series.index.to_numpy(), series[label].to_numpy()) for label in series.columns)
    figure.add_scatter(
        x=x,
        y=y,
        text=names,
        mode="lines" if len(series) > 1 else "markers",
        line={"color": CONTEXT, "width": 1},
        marker={"color": CONTEXT},
        name="other labels",
        hovertemplate="%{text}" + _AT,
    )


def _add_line(figure: go.Figure, line: pd.Series, name: str, look: dict[str, Any], *, marks: bool = True) -> None:
    figure.add_scatter(
        x=line.index,
        y=line,
        mode="lines+markers" if marks else "lines",
        line=look,
        marker={"size": 6 if len(line) <= 30 else 3},
        name=safe(name),
        hovertemplate="%{fullData.name}" + _AT,
    )


def _name_ends(figure: go.Figure, series: pd.DataFrame, colours: dict[str, str], bottom: float) -> None:
    """Write names and gains of the coloured lines, and the mean's, at their right ends, moved apart.

    A name below the axis would not be drawn.
    """
    lasts = series[list(colours)].ffill().iloc[-1].dropna()
    lasts["mean"] = series.mean(axis=1).ffill().iloc[-1]
    change = gains(series)
    span = float(np.nanmax(series.to_numpy())) or 1.0
    # 330 px of plot hold the span; a line of text needs 15 of them.
    for label, place in zip(lasts.index, spread(list(lasts), span * 15 / 330, low=bottom), strict=True):
        gain = number_text(m.MIN_DISTANCE, change[label]) if label in change.index else ""
        sign = " +" if gain and change[label] >= 0 else " "
        figure.add_annotation(
            text=f"{short(label, 14)}{sign}{gain}".rstrip(),
            font={"color": colours.get(label, MEAN), "size": 12},
            x=1,
            xref="paper",
            xanchor="left",
            xshift=6,
            y=float(place),
            yanchor="middle",
            showarrow=False,
        )


def label_distance_heatmap(
    table: pd.DataFrame, *, layer: int, split: str = "train", max_snapshots: int = 40
) -> go.Figure:
    """The label-distance matrix with a slider over snapshots.

    Args:
        table: Tidy results.
        layer: The layer.
        split: The split.
        max_snapshots: At most this many snapshots, evenly spread over training, first and last always.

    Returns:
        The figure: one colour scale for all snapshots; labels that are near in the last snapshot stand beside each
        other; a pair without a distance is marked ``×`` and says why.
    """
    title = f"Distance between labels, layer {layer}, {split}"
    matrices = distance_matrices(table, layer=layer, split=split)
    defined = np.flatnonzero(np.isfinite(matrices.distances).any(axis=(1, 2)))
    if not len(defined):
        return nothing_to_draw(title, f"no label distances at layer {layer} on {split}")
    places = cluster_order(matrices.distances[defined[-1]])
    chosen = evenly(len(matrices.steps), max_snapshots)
    figure = new_figure(title)
    for shot in chosen:
        figure.add_traces(_matrix_traces(matrices, int(shot), places, visible=shot == chosen[-1]))
    below = _name_axes(figure, [matrices.labels[i] for i in places])
    _add_slider(figure, [f"{matrices.epochs[shot]:.3g}" for shot in chosen], below)
    top = float(np.nanmax(matrices.distances))
    figure.update_layout(coloraxis={"colorscale": SCALE, "cmin": 0, "cmax": top, "colorbar": colour_bar("distance")})
    return figure


def cluster_order(matrix: np.ndarray) -> list[int]:
    """Order of labels that puts near ones beside each other: average linkage with optimal leaf order.

    Args:
        matrix: (n_labels, n_labels) symmetric distances; undefined pairs count as the mean distance.

    Returns:
        A permutation of the labels; the order given when fewer than three labels or no distance at all.
    """
    n = len(matrix)
    condensed = matrix[np.triu_indices(n, k=1)]
    if n < 3 or not np.isfinite(condensed).any():
        return list(range(n))
    condensed = np.where(np.isfinite(condensed), condensed, np.nanmean(condensed))
    return [int(leaf) for leaf in leaves_list(linkage(condensed, "average", optimal_ordering=True))]


def _name_axes(figure: go.Figure, labels: list[str]) -> int:
    """Label names on both axes, in margins that hold the longest one; returns the pixels they take below."""
    names, written = [safe(label) for label in labels], [short(label, 16) for label in labels]
    size, many, named = 12 if len(names) <= 20 else 9, len(names) > 8, len(names) <= _MAX_NAMED
    room = int(max(len(name) for name in written) * size * 0.58) + 14 if named else 24
    axis = NAMES_AXIS | {"categoryorder": "array", "categoryarray": names, "automargin": False, "constrain": "domain"}
    ticks = {"tickmode": "array", "tickvals": names, "ticktext": written, "tickfont": {"size": size}}
    figure.update_xaxes(axis | ticks, showticklabels=named, tickangle=-60 if many else -30)
    figure.update_yaxes(axis | ticks, showticklabels=named, autorange="reversed", scaleanchor="x")
    below = int(room * (0.87 if many else 0.5))  # the names stand aslant
    side = int(np.clip(26 * len(names), 280, 700))
    # The slider makes room for itself below.
    margin = {"l": room, "b": 24, "r": 90}
    figure.update_layout(margin=margin, height=side + 56 + below + 120, meta={"max_width": side + room + 90})
    return below


def _matrix_traces(matrices: Matrices, shot: int, places: Sequence[int], *, visible: bool) -> list[Any]:
    """The heat map of a snapshot, and crosses with the reason where a distance is missing."""
    names = [safe(matrices.labels[i]) for i in places]
    values = matrices.distances[shot][np.ix_(places, places)]
    written = len(names) <= _MAX_WRITTEN
    heat = go.Heatmap(
        x=names,
        y=names,
        z=values.astype(np.float32),
        coloraxis="coloraxis",
        visible=visible,
        xgap=1,
        ygap=1,
        hoverongaps=False,
        text=texts(m.LABEL_DISTANCE, values) if written else None,
        texttemplate="%{text}" if written else None,
        hovertemplate="%{y} / %{x}: %{z:.4~g}<extra></extra>",
    )
    rows, columns = np.nonzero(np.isnan(values) & ~np.eye(len(names), dtype=bool))
    reasons = [
        f"{matrices.labels[places[i]]} / {matrices.labels[places[j]]}: {matrices.reason(shot, places[i], places[j])}"
        for i, j in zip(rows.tolist(), columns.tolist(), strict=True)
    ]
    marks = crosses([names[j] for j in columns], [names[i] for i in rows], reasons, size=6)
    return [heat, go.Scatter(visible=visible, **marks)]


def _add_slider(figure: go.Figure, epochs: list[str], below: int) -> None:
    n = len(epochs)
    steps = [
        {"method": "restyle", "label": epoch, "args": [{"visible": [k // 2 == i for k in range(2 * n)]}]}
        for i, epoch in enumerate(epochs)
    ]
    rail = {"bgcolor": CONTEXT, "bordercolor": CONTEXT, "activebgcolor": PALETTE[0], "tickcolor": CONTEXT}
    place = {"pad": {"t": below + 16, "b": 4}, "len": 1, "x": 0, "font": {"size": 11}}
    now = {"active": n - 1, "steps": steps, "currentvalue": {"prefix": "epoch ", "xanchor": "left"}}
    figure.update_layout(sliders=[now | place | rail])
