"""Several settings of a study in one picture: clusters before and after, and tuning on one task for another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from closerlook import measures as m
from closerlook.figures.theme import (
    CONTEXT,
    LEGEND_ABOVE,
    MEAN,
    NAMES_AXIS,
    PALETTE,
    axis_title,
    colour_bar,
    joined,
    new_figure,
    nothing_to_draw,
    safe,
)

_DECADE = 10
_DIVERGING = [[0.0, PALETTE[1]], [0.5, "rgba(128,128,128,0.15)"], [1.0, PALETTE[0]]]


class SettingClusters(NamedTuple):
    """Numbers of clusters of one setting; NaN where missing."""

    name: str
    before: float
    after: float
    n_labels: float


def clusters_before_after(settings: Sequence[SettingClusters]) -> go.Figure:
    """Number of clusters before and after tuning, one line a setting (E2).

    Returns:
        The figure: a ring before, a dot after, a bar at the number of labels; logarithmic where clusters fall from
        thousands to tens.
    """
    title = "Clusters before and after tuning, last layer, train"
    known = [setting for setting in settings if np.isfinite(setting[1:]).any()]
    if not known:
        return nothing_to_draw(title, "no numbers of clusters yet")
    names = [safe(setting.name) for setting in known]
    counts = np.array([setting[1:] for setting in known], dtype=float)
    before, after, labels = counts.T
    figure = new_figure(title, height=130 + 30 * len(known))
    x, _, _ = joined((name, counts[i, :2], counts[i, :2]) for i, name in enumerate(names))
    threads = [name for name in names for _ in range(3)]  # a gap is a point of its own
    figure.add_scatter(
        x=x, y=threads, mode="lines", line={"color": CONTEXT, "width": 2}, showlegend=False, hoverinfo="skip"
    )
    _add_marks(figure, labels, names, "labels", {"symbol": "line-ns", "size": 14, "color": MEAN})
    _add_marks(figure, before, names, "before", {"symbol": "circle-open", "size": 10, "color": PALETTE[1]})
    _add_marks(figure, after, names, "after", {"symbol": "circle", "size": 10, "color": PALETTE[0]})
    low, high = float(np.nanmin(counts)), float(np.nanmax(counts))
    if high / max(low, 1.0) >= _DECADE:
        figure.update_xaxes(type="log", title_text=f"{axis_title(m.N_CLUSTERS)}, logarithmic")
    else:
        figure.update_xaxes(title_text=axis_title(m.N_CLUSTERS), range=[low - 1.5, high + 1.5], tickformat=",d")
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    figure.update_layout(LEGEND_ABOVE)
    return figure


def _add_marks(figure: go.Figure, x: np.ndarray, y: list[str], name: str, marker: dict[str, object]) -> None:
    marker = marker | {"line": {"width": 2, "color": marker["color"]}}
    hover = "%{y}<br>" + name + ": %{x:,.0f}<extra></extra>"
    figure.add_scatter(x=x, y=y, mode="markers", name=name, marker=marker, hovertemplate=hover)


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
        The figure: blue where labels were pushed apart, orange where they were pulled together, grey for no change.
    """
    title = f"Tuned on one task, looked at with another: change of the minimum distance, {model}"
    if not np.isfinite(change).any():
        return nothing_to_draw(title, "no encoder has been looked at with a task it was not tuned on")
    top = float(np.nanmax(np.abs(change))) or 1.0
    figure = new_figure(title, height=170 + 64 * len(tuned_on))
    figure.add_heatmap(
        x=[safe(task) for task in probed],
        y=[safe(task) for task in tuned_on],
        z=change,
        text=text,
        texttemplate="%{text}",
        colorscale=_DIVERGING,
        zmin=-top,
        zmax=top,
        xgap=2,
        ygap=2,
        hoverongaps=False,
        colorbar=colour_bar("distance"),
        hovertemplate="tuned on %{y}, looked at with %{x}: %{z:+.3~g}<extra></extra>",
    )
    figure.update_xaxes(NAMES_AXIS, title_text="looked at with")
    figure.update_yaxes(NAMES_AXIS, title_text="tuned on", autorange="reversed")
    return figure
