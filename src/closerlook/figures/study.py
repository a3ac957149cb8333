"""Figures of a study: several settings in one picture. Pure functions of plain tables, like the other figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from closerlook import measures as m
from closerlook.figures.theme import (
    CONTEXT,
    MEAN,
    PALETTE,
    SCALE,
    axis_title,
    new_figure,
    nothing_to_draw,
    safe,
    short,
)
from closerlook.results.tables import label_series, layers_of, rows_of

_DECADE = 10
_DIVERGING = [[0.0, PALETTE[1]], [0.5, "rgba(128,128,128,0.15)"], [1.0, PALETTE[0]]]


def clusters_before_after(rows: Sequence[tuple[str, float, float, float]]) -> go.Figure:
    """Number of clusters before and after tuning, one line a setting (E2).

    Args:
        rows: (name, clusters before, clusters after, number of labels); NaN where missing.

    Returns:
        The figure: a ring before, a dot after, a bar at the number of labels; logarithmic where clusters fall from
        thousands to tens.
    """
    title = "Clusters before and after tuning, last layer, train"
    known = [row for row in rows if np.isfinite(row[1:]).any()]
    if not known:
        return nothing_to_draw(title, "no numbers of clusters yet")
    names = [safe(name) for name, *_ in known]
    before, after, labels = (np.array([row[i] for row in known], dtype=float) for i in (1, 2, 3))
    figure = new_figure(title, height=130 + 30 * len(known))
    for name, a, b in zip(names, before, after, strict=True):
        figure.add_scatter(x=[a, b], y=[name, name], mode="lines", line={"color": CONTEXT, "width": 2},
                           showlegend=False, hoverinfo="skip")  # fmt: skip
    for values, name, symbol, colour in (
        (labels, "labels", "line-ns", MEAN), (before, "before", "circle-open", PALETTE[1]),
        (after, "after", "circle", PALETTE[0]),
    ):  # fmt: skip
        figure.add_scatter(
            x=values, y=names, mode="markers", name=name,
            marker={"symbol": symbol, "size": 14 if name == "labels" else 10, "color": colour,
                    "line": {"width": 2, "color": colour}},
            hovertemplate="%{y}<br>" + name + ": %{x:,.0f}<extra></extra>",
        )  # fmt: skip
    counts = np.concatenate([before, after, labels])
    low, high = float(np.nanmin(counts)), float(np.nanmax(counts))
    if high / max(low, 1.0) >= _DECADE:
        figure.update_xaxes(type="log", title_text=f"{axis_title(m.N_CLUSTERS)}, logarithmic")
    else:
        figure.update_xaxes(title_text=axis_title(m.N_CLUSTERS), range=[low - 1.5, high + 1.5], tickformat=",d")
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False)
    figure.update_layout(showlegend=True, legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"})
    return figure


def layers_over_training(
    table: pd.DataFrame, measure: str, *, split: str, probe: str | None = None, title: str = "", max_layers: int = 7
) -> go.Figure:
    """A measure of the space over training, one line a layer, with a band for its interval (E6).

    Args:
        table: Tidy results of one setting.
        measure: A measure of whole spaces.
        split: The split.
        probe: The probe that measured it; None takes the usual one.
        title: Title; empty takes the measure's name.
        max_layers: At most this many layers, evenly spread, the last one always.
    """
    title = title or axis_title(measure).capitalize()
    rows = rows_of(table, measure, probe=probe, split=split)
    rows = rows[(rows["label"] == "") & rows["value"].notna()]
    layers = sorted(int(layer) for layer in rows["layer"].unique())
    if not layers:
        return nothing_to_draw(title, f"no {axis_title(measure)} on {split}")
    places = np.unique(np.linspace(0, len(layers) - 1, min(max_layers, len(layers))).round().astype(int))
    figure = new_figure(title)
    for rank, place in enumerate(places):
        line = rows[rows["layer"] == layers[place]].drop_duplicates("step", keep="last")
        _add_band(figure, line, PALETTE[rank % len(PALETTE)], f"layer {layers[place]}")
    figure.update_xaxes(title_text="epoch", rangemode="tozero")
    figure.update_yaxes(title_text=axis_title(measure))
    figure.update_layout(showlegend=True, legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"})
    return figure


def _add_band(figure: go.Figure, line: pd.DataFrame, colour: str, name: str) -> None:
    bounded = line.dropna(subset=["low", "high"])
    if len(bounded) > 1:
        figure.add_scatter(
            x=[*bounded["epoch"], *bounded["epoch"][::-1]], y=[*bounded["high"], *bounded["low"][::-1]],
            fill="toself", fillcolor=colour, opacity=0.15, mode="none", hoverinfo="skip", showlegend=False,
        )  # fmt: skip
    figure.add_scatter(
        x=line["epoch"], y=line["value"], mode="lines+markers" if len(line) < 30 else "lines", name=safe(name),
        line={"color": colour, "width": 2}, marker={"size": 6},
        hovertemplate=f"{safe(name)}<br>epoch %{{x:.4~g}}: %{{y:.3f}}<extra></extra>",
    )  # fmt: skip


def displacement_lengths(table: pd.DataFrame, *, split: str = "train", max_labels: int = 60) -> go.Figure:
    """How far each label's centroid went from the first to the last snapshot, per layer (E8).

    Args:
        table: Tidy results of one setting.
        split: The split.
        max_labels: At most this many labels, those that went farthest.

    Returns:
        The figure: layers across, labels upward by the length at the last layer.
    """
    title = f"How far the labels' centroids went, first to last snapshot, {split}"
    layers = layers_of(table, m.CENTROID_DISPLACEMENT, split)
    ends = {}
    for layer in layers:
        series = label_series(table, m.CENTROID_DISPLACEMENT, layer=layer, split=split)
        ends[layer] = series.iloc[-1]
    frame = pd.DataFrame(ends)
    if frame.empty or not np.isfinite(frame.to_numpy(dtype=float)).any():
        return nothing_to_draw(title, f"no centroid displacements on {split}")
    farthest = frame[layers[-1]].sort_values(ascending=False).index[:max_labels]
    frame = frame.loc[farthest[::-1]]
    names = [short(str(label), 16) for label in frame.index]
    figure = new_figure(title, height=int(np.clip(140 + 16 * len(names), 260, 900)))
    figure.add_heatmap(
        x=[str(layer) for layer in layers], y=names, z=frame.to_numpy(dtype=float), colorscale=SCALE, xgap=1, ygap=1,
        zmin=0, zmax=float(np.nanmax(frame.to_numpy(dtype=float))) or 1.0,  # plotly heeds one end only with the other
        colorbar={"title": {"text": "distance", "side": "right"}, "thickness": 10, "outlinewidth": 0},
        hovertemplate="%{y}, layer %{x}: %{z:.2f}<extra></extra>", hoverongaps=False,
        texttemplate="%{z:.1f}" if len(names) <= 24 and len(layers) <= 13 else None,
    )  # fmt: skip
    figure.update_xaxes(type="category", title_text="layer", showgrid=False, ticks="")
    figure.update_yaxes(type="category", showgrid=False, ticks="", tickfont={"size": 11 if len(names) <= 30 else 9})
    return figure


def memorisation_curves(table: pd.DataFrame, *, layer: int) -> go.Figure:
    """Accuracy on examples that only the encoder saw, and on the test set, over training (E9)."""
    title = f"Seen by the encoder only, and unseen: accuracy over training, layer {layer}"
    lines = [
        ("seen in tuning, not by the probe", "subtest_accuracy", "train", PALETTE[1]),
        ("test: seen by neither", "unseen_accuracy", "test", PALETTE[0]),
    ]
    found = [(name, rows_of(table, measure, probe="memorisation", layer=layer, split=split), colour)
             for name, measure, split, colour in lines]  # fmt: skip
    if all(rows["value"].notna().sum() == 0 for _, rows, _ in found):
        return nothing_to_draw(title, "probe=memorisation has not been run on this setting")
    figure = new_figure(title, height=360)
    for name, rows, colour in found:
        _add_band(figure, rows.drop_duplicates("step", keep="last"), colour, name)
    figure.update_xaxes(title_text="epoch", rangemode="tozero")
    figure.update_yaxes(title_text=axis_title(m.ACCURACY))
    figure.update_layout(showlegend=True, legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"})
    return figure


def cross_task_matrix(
    tuned_on: Sequence[str], probed: Sequence[str], change: np.ndarray, text: Sequence[Sequence[str]], *, model: str
) -> go.Figure:
    """What tuning on one task did to the distances between another task's labels (E5).

    Args:
        tuned_on: Tasks of the rows.
        probed: Tasks of the columns.
        change: (n_rows, n_columns) mean change of the minimum distance; NaN where not looked at.
        text: What stands in each cell.
        model: For the title.

    Returns:
        The figure: blue where labels were pushed apart, red where they were pulled together.
    """
    title = f"Tuned on one task, looked at with another: change of the minimum distance, {safe(model)}"
    if not np.isfinite(change).any():
        return nothing_to_draw(title, "no encoder has been looked at with a task it was not tuned on")
    top = float(np.nanmax(np.abs(change))) or 1.0
    figure = new_figure(title, height=170 + 64 * len(tuned_on))
    figure.add_heatmap(
        x=[safe(task) for task in probed], y=[safe(task) for task in tuned_on], z=change, text=text,
        texttemplate="%{text}", colorscale=_DIVERGING, zmin=-top, zmax=top, xgap=2, ygap=2, hoverongaps=False,
        colorbar={"title": {"text": "distance", "side": "right"}, "thickness": 10, "outlinewidth": 0},
        hovertemplate="tuned on %{y}, looked at with %{x}: %{z:+.3f}<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(type="category", title_text="looked at with", showgrid=False, ticks="")
    figure.update_yaxes(type="category", title_text="tuned on", showgrid=False, ticks="", autorange="reversed")
    return figure
