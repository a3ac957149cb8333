"""Where the labels' centroids go: paths in a joint 2-D PCA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from closerlook import measures as m
from closerlook.figures.distances import MANY_LABELS
from closerlook.figures.theme import CONTEXT, PALETTE, joined, new_figure, nothing_to_draw, safe, short
from closerlook.results.tables import rows_of

_MAX_NAMED = 20
_N_FARTHEST = 6


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
        ok = np.isfinite(self.x + self.y)
        x, y = self.x[ok], self.y[ok]
        return float(np.hypot(x[-1] - x[0], y[-1] - y[0])) if len(x) else 0.0

    @property
    def reach(self) -> float:
        """Distance of the last point from the origin."""
        return float(np.hypot(self.x[-1], self.y[-1]))


def centroid_paths(
    table: pd.DataFrame, *, layer: int, split: str = "train", labels: Sequence[str] | None = None
) -> go.Figure:
    """The way of each label's centroid through training in one joint 2-D PCA (the paper's figure of paths, E4).

    Args:
        table: Tidy results.
        layer: The layer.
        split: The split.
        labels: Only these labels; None draws all.

    Returns:
        The figure: a ring where a centroid starts, a dot a snapshot, an arrow head where it ends. Both axes have
        the same scale, so lengths can be compared. Of more than eight labels, those that go farthest are coloured.
    """
    title = f"Paths of the labels' centroids, layer {layer}, {split}"
    paths = read_paths(table, m.CENTROID_X, m.CENTROID_Y, layer, split)
    paths = [path for path in paths if labels is None or path.label in labels]
    if not paths:
        return nothing_to_draw(title, f"no centroid paths at layer {layer} on {split}")
    farthest = sorted(paths, key=lambda path: -path.length)[:_N_FARTHEST]
    coloured = paths if len(paths) <= MANY_LABELS else farthest
    colours = {path.label: colour for path, colour in zip(coloured, PALETTE, strict=False)}
    figure = new_figure(title, height=520)
    named = [path for path in paths if path.label in colours or len(paths) <= _MAX_NAMED]
    places = {path.label: place for path, place in zip(named, _text_places(paths, named), strict=True)}
    _add_context(figure, [path for path in paths if path.label not in colours], places)
    for path in (path for path in paths if path.label in colours):
        _add_path(figure, path, colours[path.label], places[path.label])
    _add_starts(figure, paths, colours)
    share = rows_of(table, m.EXPLAINED_VARIANCE, layer=layer, split=split)["value"].dropna()
    if len(share):
        figure.update_layout(title_text=f"{safe(title)} ({share.iloc[-1]:.0%} of the variance)")
    x, y = (np.concatenate([getattr(path, axis) for path in paths]) for axis in "xy")
    figure.update_xaxes(title_text="first axis (distance)", range=_with_room(x, 0.15))
    figure.update_yaxes(title_text="second axis (distance)", range=_with_room(y, 0.1), scaleanchor="x")
    return figure


def _with_room(values: np.ndarray, share: float) -> list[float]:
    """The range of all values and room for names at both ends."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
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


class _Box(NamedTuple):
    """Where a name stands, in pixels."""

    left: float
    right: float
    bottom: float
    top: float

    def meets(self, other: _Box) -> bool:
        beside = self.left < other.right and other.left < self.right
        return beside and self.bottom < other.top and other.bottom < self.top


_WAYS = {"top center": (0, 1), "middle right": (1, 0), "bottom center": (0, -1), "middle left": (-1, 0)}
_WAYS |= {"top right": (1, 1), "bottom right": (1, -1), "top left": (-1, 1), "bottom left": (-1, -1)}


def _text_places(paths: list[Path2D], named: list[Path2D]) -> list[str]:
    """Where each name stands at its path's end, so that names do not cover each other.

    A greedy choice for a plot of about 800 by 430 pixels and letters of 7 by 14.
    """
    points = np.concatenate([np.stack([path.x, path.y], axis=1) for path in paths])
    pixel = np.maximum(np.nanmax(points, axis=0) - np.nanmin(points, axis=0), 1e-12) / (800, 430)
    taken: list[_Box] = []
    places = []
    for path in named:
        steps = np.stack([path.x, path.y], axis=1)[-2:] / pixel
        # Ahead of the last step first, off the path's own line; straight above where there is no step.
        ahead = np.nan_to_num(steps[-1] - steps[0]) + np.array([0, 1e-9])
        ways = sorted(_WAYS, key=lambda place: -float(np.dot(_WAYS[place], ahead)))
        boxes = {place: _box(steps[-1], 7 * min(len(path.label), 16), *_WAYS[place]) for place in ways}
        free = [place for place, box in boxes.items() if not any(box.meets(other) for other in taken)]
        places.append(free[0] if free else "top center")
        taken.append(boxes[places[-1]])
    return places


def _box(at: np.ndarray, wide: float, right: int, up: int) -> _Box:
    x, y = at[0] + right * (wide / 2 + 8), at[1] + up * 14
    return _Box(x - wide / 2, x + wide / 2, y - 8, y + 8)


def _add_context(figure: go.Figure, paths: list[Path2D], places: dict[str, str]) -> None:
    """The paths that are not coloured: thin and grey, with small names when there is room for all."""
    if not paths:
        return
    x, y, labels = joined((path.label, path.x, path.y) for path in paths)
    at_ends = [name for path in paths for name in [*[""] * (len(path.x) - 1), short(path.label, 16), ""]]
    written = all(path.label in places for path in paths)
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines+text" if written else "lines",
        line={"color": CONTEXT, "width": 1},
        text=at_ends if written else None,
        textposition="top center",
        textfont={"size": 10},
        cliponaxis=False,
        customdata=labels,
        hovertemplate="%{customdata}<extra></extra>",
    )


def arrow_head(colour: str, symbols: list[str], sizes: list[int]) -> dict[str, Any]:
    """Markers along a line, of which ``arrow`` points where the line goes."""
    return {
        "symbol": symbols,
        "size": sizes,
        "angleref": "previous",
        "color": colour,
        "opacity": 1,
        "line": {"width": 0},
    }


def _add_path(figure: go.Figure, path: Path2D, colour: str, place: str) -> None:
    before = len(path.x) - 1
    head = arrow_head(colour, ["circle"] * before + ["arrow" if path.length else "circle"], [5] * before + [11])
    figure.add_scatter(
        x=path.x,
        y=path.y,
        mode="lines+markers+text",
        line={"color": colour, "width": 2},
        marker=head,
        text=[""] * before + [short(path.label, 16)],
        textposition=place,
        textfont={"size": 12, "color": colour},
        name=safe(path.label),
        customdata=path.epochs,
        hovertemplate="%{fullData.name}<br>epoch %{customdata:.4~g}<extra></extra>",
        cliponaxis=False,
    )


def _add_starts(figure: go.Figure, paths: list[Path2D], colours: dict[str, str]) -> None:
    """Rings where the paths start; apart, because plotly draws no first marker when markers follow the line."""
    ring = {"symbol": "circle-open", "size": 9, "line": {"width": 2}}
    figure.add_scatter(
        x=[path.x[0] for path in paths],
        y=[path.y[0] for path in paths],
        mode="markers",
        marker=ring | {"color": [colours.get(path.label, CONTEXT) for path in paths]},
        text=[safe(path.label) for path in paths],
        hovertemplate="%{text}<br>start<extra></extra>",
    )
