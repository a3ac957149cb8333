"""Distances between labels: each label's nearest neighbour over training, and the whole matrix with a slider."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from scipy.cluster.hierarchy import leaves_list, linkage

from closerlook import measures as m
from closerlook.figures.theme import (
    CONTEXT,
    LAGGARDS,
    MEAN,
    PALETTE,
    RISERS,
    SCALE,
    axis_title,
    joined,
    name_of,
    new_figure,
    nothing_to_draw,
    safe,
    short,
    spread,
)
from closerlook.results.tables import (
    Matrices,
    distance_matrices,
    evenly,
    gains,
    label_series,
)

MANY_LABELS = 8
"""With more labels than this, only the ones that gain most and least are coloured and named."""

_MAX_NAMED = 60
_MAX_WRITTEN = 12
_SMALL = 0.1


def labels_over_training(
    table: pd.DataFrame, *, layer: int, split: str = "train", measure: str = m.MIN_DISTANCE, highlight: int = 3
) -> go.Figure:
    """One line a label over training, as in the paper's figure of minimum distances (section 4.3).

    Args:
        table: Tidy results.
        layer: The layer.
        split: The split.
        measure: Any measure of labels.
        highlight: With more than :data:`MANY_LABELS` labels: how many of those that gain most, and how many
            of those that gain least, are coloured and named; the others are thin and grey.

    Returns:
        The figure: epochs across, the measure upward, names at the lines' ends, a gap where a value is missing.
    """
    title = f"{name_of(measure).capitalize()} of each label, layer {layer}, {split}"
    series = label_series(table, measure, layer=layer, split=split)
    if series.empty or not np.isfinite(series.to_numpy()).any():
        return nothing_to_draw(title, f"no {name_of(measure)} at layer {layer} on {split}")
    colours = line_colours(series, highlight)
    figure = new_figure(title, height=440)
    _add_context(figure, series[[label for label in series.columns if label not in colours]])
    for i, (label, colour) in enumerate(colours.items()):
        # Labels that are each other's nearest share one line: the second is dashed, so that both colours show.
        hides = any(_same_line(series[other], series[label]) for other in list(colours)[:i])
        _add_line(figure, series[label], label, colour, "dash" if hides else "solid")
    mean = series.mean(axis=1, skipna=True)
    figure.add_scatter(
        x=mean.index, y=mean, mode="lines", line={"color": MEAN, "width": 3, "dash": "dot"},
        name="mean of labels", hovertemplate="mean of labels<br>epoch %{x:.4~g}: %{y:.3f}<extra></extra>",
    )  # fmt: skip
    top = float(np.nanmax(series.to_numpy()))
    bottom = min(0.0, float(np.nanmin(series.to_numpy())))
    _name_ends(figure, series, colours, bottom)
    figure.update_yaxes(range=[bottom, top * 1.06 or 1], title_text=axis_title(measure))
    figure.update_xaxes(title_text="epoch", rangemode="tozero")
    figure.update_layout(margin={"r": 16 + max(int(len(a.text) * 6.9) for a in figure.layout.annotations)})
    return figure


def line_colours(series: pd.DataFrame, highlight: int) -> dict[str, str]:
    """The colour of each label that is named in the figure: all of a few, else the outermost ``highlight``."""
    if series.shape[1] <= MANY_LABELS:
        return {str(label): PALETTE[i] for i, label in enumerate(series.columns)}
    ranked = [str(label) for label in gains(series).index]
    k = min(highlight, len(RISERS), len(ranked) // 2)
    most, least = ranked[:k], ranked[len(ranked) - k :]
    return dict(zip(most, RISERS, strict=False)) | dict(zip(reversed(least), LAGGARDS, strict=False))


def _same_line(a: pd.Series, b: pd.Series) -> bool:
    """Whether two lines cannot be told apart by eye: within the width of a line."""
    return bool(np.allclose(a, b, rtol=0.005, atol=0, equal_nan=True))


def _add_context(figure: go.Figure, series: pd.DataFrame) -> None:
    """The labels that are not named: thin and grey, told by the pointer."""
    x, y, names = joined([(str(label), series.index.to_numpy(), series[label].to_numpy()) for label in series.columns])
    if len(x):
        figure.add_scatter(
            x=x, y=y, text=names, mode="lines" if len(series) > 1 else "markers", line={"color": CONTEXT, "width": 1},
            marker={"color": CONTEXT}, name="other labels",
            hovertemplate="%{text}<br>epoch %{x:.4~g}: %{y:.3f}<extra></extra>",
        )  # fmt: skip


def _add_line(figure: go.Figure, line: pd.Series, label: str, colour: str, dash: str) -> None:
    figure.add_scatter(
        x=line.index,
        y=line,
        mode="lines+markers",
        line={"color": colour, "width": 2.5, "dash": dash},
        marker={"size": 6 if len(line) <= 30 else 3},
        name=safe(label),
        hovertemplate="%{fullData.name}<br>epoch %{x:.4~g}: %{y:.3f}<extra></extra>",
    )


def _name_ends(figure: go.Figure, series: pd.DataFrame, colours: dict[str, str], bottom: float) -> None:
    """Write the names of the coloured lines, and the mean's, at their right ends, moved apart.

    A name below the axis would not be drawn.
    """
    change = gains(series)
    ends = [(label, colour, _last(series[label])) for label, colour in colours.items()]
    ends = [end for end in ends if np.isfinite(end[2])]
    ends.append(("mean", MEAN, _last(series.mean(axis=1))))
    span = float(np.nanmax(series.to_numpy())) or 1.0
    # 330 px of plot hold the span; a line of text needs 15 of them.
    places = spread([end for _, _, end in ends], span * 15 / 330, low=bottom)
    form = "+.2f" if not (change.abs().max() < _SMALL) else "+.2g"
    for (label, colour, _), place in zip(ends, places, strict=True):
        gain = f" {change[label]:{form}}" if label in change.index else ""
        figure.add_annotation(
            x=1, xref="paper", xanchor="left", xshift=6, y=float(place), yref="y", yanchor="middle",
            text=f"{short(label, 14)}{gain}", showarrow=False, font={"color": colour, "size": 12},
        )  # fmt: skip


def _last(line: pd.Series) -> float:
    known = line.dropna()
    return float(known.iloc[-1]) if len(known) else float("nan")


def label_distance_heatmap(
    table: pd.DataFrame,
    *,
    layer: int,
    split: str = "train",
    order: Literal["cluster", "name"] = "cluster",
    max_snapshots: int = 40,
) -> go.Figure:
    """The label-distance matrix with a slider over snapshots.

    Args:
        table: Tidy results.
        layer: The layer.
        split: The split.
        order: ``cluster`` puts labels that are near in the last snapshot beside each other; ``name`` sorts them.
        max_snapshots: At most this many snapshots, evenly spread over training, first and last always.

    Returns:
        The figure: one colour scale for all snapshots; a pair without a distance is marked ``×`` and says why.
    """
    title = f"Distance between labels, layer {layer}, {split}"
    matrices = distance_matrices(table, layer=layer, split=split)
    if not np.isfinite(matrices.distances).any():
        return nothing_to_draw(title, f"no label distances at layer {layer} on {split}")
    defined = [i for i in range(len(matrices.steps)) if np.isfinite(matrices.distances[i]).any()]
    places = cluster_order(matrices.distances[defined[-1]]) if order == "cluster" else range(len(matrices.labels))
    chosen = evenly(len(matrices.steps), max_snapshots)
    figure = new_figure(title)
    traces = [_matrix_traces(matrices, int(shot), list(places), visible=shot == chosen[-1]) for shot in chosen]
    figure.add_traces([trace for pair in traces for trace in pair])
    text = [short(matrices.labels[i], 16) for i in places]
    below = _name_axes(figure, [safe(matrices.labels[i]) for i in places], text)
    _add_slider(figure, matrices, chosen, below)
    figure.update_layout(coloraxis={
        "colorscale": SCALE, "cmin": 0, "cmax": float(np.nanmax(matrices.distances)),
        "colorbar": {"title": {"text": "distance", "side": "right"}, "thickness": 12, "outlinewidth": 0},
    })  # fmt: skip
    return figure


def cluster_order(matrix: np.ndarray) -> list[int]:
    """Order of labels that puts near ones beside each other: average linkage with optimal leaf order.

    Args:
        matrix: (n_labels, n_labels) symmetric distances; undefined pairs count as the mean distance.

    Returns:
        A permutation of the labels; the order given when fewer than three labels or no distance at all.
    """
    n = len(matrix)
    above = np.triu_indices(n, k=1)
    condensed = matrix[above]
    if n < 3 or not np.isfinite(condensed).any():
        return list(range(n))
    condensed = np.where(np.isfinite(condensed), condensed, np.nanmean(condensed))
    return [int(leaf) for leaf in leaves_list(linkage(condensed, "average", optimal_ordering=True))]


def _name_axes(figure: go.Figure, names: list[str], text: list[str]) -> int:
    """Label names on both axes, in margins that hold the longest one; returns the pixels they take below."""
    size = 12 if len(names) <= 20 else 9
    room = int(max(len(name) for name in text) * size * 0.58) + 14 if len(names) <= _MAX_NAMED else 24
    axis = {
        "type": "category", "categoryorder": "array", "categoryarray": names, "showgrid": False, "ticks": "",
        "automargin": False, "constrain": "domain", "showticklabels": len(names) <= _MAX_NAMED,
        "tickmode": "array", "tickvals": names, "ticktext": text, "tickfont": {"size": size},
    }  # fmt: skip
    figure.update_xaxes(**axis, tickangle=-60 if len(names) > 8 else -30)
    figure.update_yaxes(**axis, autorange="reversed", scaleanchor="x")
    below = int(room * (0.87 if len(names) > 8 else 0.5))  # the names stand aslant
    side = int(np.clip(26 * len(names), 280, 700))
    figure.update_layout(
        margin={"l": room, "b": 24, "r": 90},  # the slider makes room for itself
        height=side + 56 + below + 120,
        meta={"max_width": side + room + 90},
    )
    return below


def _matrix_traces(matrices: Matrices, shot: int, places: Sequence[int], *, visible: bool) -> tuple[Any, Any]:
    """The heat map of a snapshot, and crosses with the reason where a distance is missing."""
    names = [safe(matrices.labels[i]) for i in places]
    values = matrices.distances[shot][np.ix_(places, places)]
    heat = {
        "type": "heatmap", "x": names, "y": names, "z": values.astype(np.float32), "coloraxis": "coloraxis",
        "visible": visible, "xgap": 1, "ygap": 1, "hoverongaps": False,
        "texttemplate": "%{z:.2f}" if len(names) <= _MAX_WRITTEN else None,
        "hovertemplate": "%{y} / %{x}: %{z:.3f}<extra></extra>",
    }  # fmt: skip
    rows, columns = (found.tolist() for found in np.nonzero(np.isnan(values) & ~np.eye(len(names), dtype=bool)))
    crosses = {
        "type": "scatter", "x": [names[j] for j in columns], "y": [names[i] for i in rows], "visible": visible,
        "mode": "markers", "marker": {"symbol": "x-thin", "size": 6, "line": {"width": 1, "color": MEAN}},
        "text": [f"{names[i]} / {names[j]}: {safe(_reason(matrices, shot, places[i], places[j]))}"
                 for i, j in zip(rows, columns, strict=True)],
        "hovertemplate": "%{text}<extra></extra>",
    }  # fmt: skip
    return heat, crosses


def _reason(matrices: Matrices, shot: int, row: int, column: int) -> str:
    note = matrices.notes.get((shot, row, column)) or matrices.notes.get((shot, column, row))
    return note or "not measured"


def _add_slider(figure: go.Figure, matrices: Matrices, chosen: np.ndarray, below: int) -> None:
    n = len(chosen)
    steps = [
        {
            "method": "restyle",
            "label": f"{matrices.epochs[shot]:.3g}",
            "args": [{"visible": [k // 2 == i for k in range(2 * n)]}],
        }
        for i, shot in enumerate(chosen)
    ]
    figure.update_layout(sliders=[{
        "active": n - 1, "steps": steps, "currentvalue": {"prefix": "epoch ", "xanchor": "left"},
        "pad": {"t": below + 16, "b": 4}, "len": 1, "x": 0, "bgcolor": CONTEXT, "bordercolor": CONTEXT,
        "activebgcolor": PALETTE[0], "tickcolor": CONTEXT, "font": {"size": 11},
    }])  # fmt: skip
