"""Where the labels' centroids go: paths in a joint 2-D PCA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from closerlook import measures as m
from closerlook.figures.distances import MANY_LABELS
from closerlook.figures.theme import CONTEXT, PALETTE, joined, new_figure, nothing_to_draw, safe, short
from closerlook.results.tables import rows_of


@dataclass(frozen=True)
class Path2D:
    """A label's way in a plane: (n_snapshots,) epochs, x and y."""

    label: str
    epochs: np.ndarray
    x: np.ndarray
    y: np.ndarray

    @property
    def length(self) -> float:
        """Distance from the first to the last known point."""
        ok = np.isfinite(self.x) & np.isfinite(self.y)
        if not ok.any():
            return 0.0
        return float(np.hypot(self.x[ok][-1] - self.x[ok][0], self.y[ok][-1] - self.y[ok][0]))


def centroid_paths(
    table: pd.DataFrame,
    *,
    layer: int,
    split: str = "train",
    labels: Sequence[str] | None = None,
    highlight: int = 6,
) -> go.Figure:
    """The way of each label's centroid through training in one joint 2-D PCA (the paper's figure of paths, E4).

    Args:
        table: Tidy results.
        layer: The layer.
        split: The split.
        labels: Only these labels; None draws all.
        highlight: With more than eight labels: how many of those that go farthest are coloured and named.

    Returns:
        The figure: a ring where a centroid starts, a dot a snapshot, an arrow head where it ends. Both axes have
        the same scale, so lengths can be compared.
    """
    title = f"Paths of the labels' centroids, layer {layer}, {split}"
    paths = read_paths(table, m.CENTROID_X, m.CENTROID_Y, layer, split)
    paths = [path for path in paths if labels is None or path.label in labels]
    if not paths:
        return nothing_to_draw(title, f"no centroid paths at layer {layer} on {split}")
    colours = _colours(paths, highlight)
    figure = new_figure(title, height=520)
    named = [path for path in paths if path.label in colours or len(paths) <= 20]
    names = {path.label: short(path.label, 16) for path in named}
    places = dict(zip(names, _text_places(paths, named), strict=True))
    _add_context(figure, [path for path in paths if path.label not in colours], names)
    for path in (path for path in paths if path.label in colours):
        _add_path(figure, path, colours[path.label], names[path.label], places[path.label])
    _add_starts(figure, paths, colours)
    share = rows_of(table, m.EXPLAINED_VARIANCE, layer=layer, split=split)["value"].dropna()
    if len(share):
        figure.update_layout(title_text=f"{title} ({share.iloc[-1]:.0%} of the variance)")
    figure.update_xaxes(title_text="first axis (distance)", range=_with_room([path.x for path in paths], 0.15))
    figure.update_yaxes(
        title_text="second axis (distance)", scaleanchor="x", range=_with_room([path.y for path in paths], 0.1)
    )
    return figure


def _with_room(values: list[np.ndarray], share: float) -> list[float]:
    """The range of all values and room for names at both ends."""
    low, high = (float(limit(np.concatenate(values))) for limit in (np.nanmin, np.nanmax))
    room = share * (high - low) or 1.0
    return [low - room, high + room]


def read_paths(table: pd.DataFrame, x_name: str, y_name: str, layer: int, split: str) -> list[Path2D]:
    """The paths of all labels, from the measures that hold their two coordinates."""
    x = rows_of(table, x_name, layer=layer, split=split)
    y = rows_of(table, y_name, layer=layer, split=split)
    both = x.merge(y[["step", "label", "value"]], on=["step", "label"], suffixes=("", "_y"))
    return [
        Path2D(str(label), rows["epoch"].to_numpy(), rows["value"].to_numpy(), rows["value_y"].to_numpy())
        for label, rows in both.groupby("label", sort=True)
        if rows[["value", "value_y"]].notna().all(axis=1).any()
    ]


def _colours(paths: list[Path2D], highlight: int) -> dict[str, str]:
    if len(paths) <= MANY_LABELS:
        chosen = paths
    else:
        chosen = sorted(paths, key=lambda path: -path.length)[: min(highlight, len(PALETTE))]
    return {path.label: PALETTE[i] for i, path in enumerate(chosen)}


def _add_starts(figure: go.Figure, paths: list[Path2D], colours: dict[str, str]) -> None:
    """Rings where the paths start; apart, because plotly draws no first marker when markers follow the line."""
    figure.add_scatter(
        x=[path.x[0] for path in paths], y=[path.y[0] for path in paths], mode="markers",
        text=[f"{safe(path.label)}<br>start" for path in paths], hovertemplate="%{text}<extra></extra>",
        marker={"symbol": "circle-open", "size": 9, "line": {"width": 2},
                "color": [colours.get(path.label, CONTEXT) for path in paths]},
    )  # fmt: skip


def _text_places(paths: list[Path2D], named: list[Path2D]) -> list[str]:
    """Where each name stands at its path's end, so that names do not cover each other.

    A greedy choice for a plot of about 800 by 430 pixels and letters of 7 by 14.
    """
    x, y = (np.concatenate([getattr(path, axis) for path in paths]) for axis in "xy")
    pixel = max(np.nanmax(x) - np.nanmin(x), 1e-12) / 800, max(np.nanmax(y) - np.nanmin(y), 1e-12) / 430
    taken: list[tuple[float, float, float, float]] = []
    places = []
    for path in named:
        wide = 7 * min(len(path.label), 16)
        at = path.x[-1] / pixel[0], path.y[-1] / pixel[1]
        ahead = _heading(path, pixel)
        ways = sorted(_WAYS.items(), key=lambda item: -float(np.dot(item[1], ahead)))  # off its own line if it can
        boxes = {place: _box(at, wide, *way) for place, way in ways}
        free = [place for place, box in boxes.items() if not any(_meet(box, other) for other in taken)]
        places.append(free[0] if free else "top center")
        taken.append(boxes[places[-1]])
    return places


def _heading(path: Path2D, pixel: tuple[float, float]) -> np.ndarray:
    """Direction of the last step, in pixels; names straight above come first when there is none."""
    step = np.array([path.x[-1] - path.x[-2], path.y[-1] - path.y[-2]]) if len(path.x) > 1 else np.zeros(2)
    return np.nan_to_num(step / pixel) + np.array([0.0, 1e-9])


_WAYS = {
    "top center": (0, 1), "middle right": (1, 0), "bottom center": (0, -1), "middle left": (-1, 0),
    "top right": (1, 1), "bottom right": (1, -1), "top left": (-1, 1), "bottom left": (-1, -1),
}  # fmt: skip


def _box(at: tuple[float, float], wide: float, right: int, up: int) -> tuple[float, float, float, float]:
    x, y = at[0] + right * (wide / 2 + 8), at[1] + up * 14
    return x - wide / 2, x + wide / 2, y - 8, y + 8


def _meet(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3]


def _add_context(figure: go.Figure, paths: list[Path2D], names: dict[str, str]) -> None:
    """The paths that are not coloured: thin and grey, with small names when there is room for all."""
    x, y, labels = joined([(path.label, path.x, path.y) for path in paths])
    if not len(x):
        return
    ends = [name for path in paths for name in [*[""] * (len(path.x) - 1), names.get(path.label, ""), ""]]
    figure.add_scatter(
        x=x, y=y, mode="lines+text" if names else "lines", line={"color": CONTEXT, "width": 1}, customdata=labels,
        text=ends if any(ends) else None, textposition="top center", textfont={"size": 10}, cliponaxis=False,
        hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip


def _add_path(figure: go.Figure, path: Path2D, colour: str, name: str, place: str) -> None:
    n = len(path.x)
    figure.add_scatter(
        x=path.x,
        y=path.y,
        mode="lines+markers+text",
        line={"color": colour, "width": 2},
        marker={
            "symbol": [*["circle"] * (n - 1), "arrow" if path.length else "circle"],
            "size": [*[5] * (n - 1), 11],
            "angleref": "previous",
            "color": colour,
            "opacity": 1,
            "line": {"width": 0},
        },
        text=[""] * (n - 1) + [name],
        textposition=place,
        textfont={"size": 12, "color": colour},
        name=safe(path.label),
        customdata=path.epochs,
        hovertemplate="%{fullData.name}<br>epoch %{customdata:.4~g}<extra></extra>",
        cliponaxis=False,
    )
