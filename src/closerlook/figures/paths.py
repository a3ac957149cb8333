"""Where the labels' centroids go: paths in a joint 2-D PCA, and displacement arrows from the origin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from closerlook.figures.distances import MANY_LABELS
from closerlook.figures.select import layers_of, rows_of
from closerlook.figures.theme import CONTEXT, PALETTE, new_figure, nothing_to_draw, safe, short, style
from closerlook.results import measures as m


@dataclass(frozen=True)
class _Path:
    label: str
    epochs: np.ndarray
    x: np.ndarray
    y: np.ndarray

    @property
    def length(self) -> float:
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
    paths = _paths(table, m.CENTROID_X, m.CENTROID_Y, layer, split)
    paths = [path for path in paths if labels is None or path.label in labels]
    if not paths:
        return nothing_to_draw(title, f"no centroid paths at layer {layer} on {split}")
    colours = _colours(paths, highlight)
    figure = new_figure(title, height=520)
    named = [path for path in paths if path.label in colours or len(paths) <= 20]
    names = {path.label: short(path.label, 16) for path in named}
    places = dict(zip(names, _text_places(paths, named), strict=True))
    for path in sorted(paths, key=lambda p: p.label in colours):
        label = path.label
        _add_path(figure, path, colours.get(label), names.get(label, ""), places.get(label, "top center"))
    _add_starts(figure, paths, colours)
    share = rows_of(table, m.EXPLAINED_VARIANCE, layer=layer, split=split)["value"].dropna()
    held = f"; both axes hold {share.iloc[-1]:.0%} of the variance" if len(share) else ""
    figure.update_xaxes(title_text=f"first principal axis (distance){held}", constrain="domain")
    figure.update_yaxes(title_text="second principal axis (distance)", scaleanchor="x", constrain="domain")
    return figure


def _paths(table: pd.DataFrame, x_name: str, y_name: str, layer: int, split: str) -> list[_Path]:
    x = rows_of(table, x_name, layer=layer, split=split)
    y = rows_of(table, y_name, layer=layer, split=split)
    both = x.merge(y[["step", "label", "value"]], on=["step", "label"], suffixes=("", "_y"))
    return [
        _Path(str(label), rows["epoch"].to_numpy(), rows["value"].to_numpy(), rows["value_y"].to_numpy())
        for label, rows in both.groupby("label", sort=True)
        if rows[["value", "value_y"]].notna().all(axis=1).any()
    ]


def _colours(paths: list[_Path], highlight: int) -> dict[str, str]:
    if len(paths) <= MANY_LABELS:
        chosen = paths
    else:
        chosen = sorted(paths, key=lambda path: -path.length)[: min(highlight, len(PALETTE))]
    return {path.label: PALETTE[i] for i, path in enumerate(chosen)}


def _add_starts(figure: go.Figure, paths: list[_Path], colours: dict[str, str]) -> None:
    """Rings where the paths start; apart, because plotly draws no first marker when markers follow the line."""
    figure.add_scatter(
        x=[path.x[0] for path in paths], y=[path.y[0] for path in paths], mode="markers",
        text=[f"{safe(path.label)}<br>start" for path in paths], hovertemplate="%{text}<extra></extra>",
        marker={"symbol": "circle-open", "size": 9, "line": {"width": 2},
                "color": [colours.get(path.label, CONTEXT) for path in paths]},
    )  # fmt: skip


def _text_places(paths: list[_Path], named: list[_Path]) -> list[str]:
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
        boxes = {place: _box(at, wide, *way) for place, way in _WAYS.items()}
        free = [place for place, box in boxes.items() if not any(_meet(box, other) for other in taken)]
        places.append(free[0] if free else "top center")
        taken.append(boxes[places[-1]])
    return places


_WAYS = {
    "top center": (0, 1), "middle right": (1, 0), "bottom center": (0, -1), "middle left": (-1, 0),
    "top right": (1, 1), "bottom right": (1, -1), "top left": (-1, 1), "bottom left": (-1, -1),
}  # fmt: skip


def _box(at: tuple[float, float], wide: float, right: int, up: int) -> tuple[float, float, float, float]:
    x, y = at[0] + right * (wide / 2 + 8), at[1] + up * 14
    return x - wide / 2, x + wide / 2, y - 8, y + 8


def _meet(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3]


def _add_path(figure: go.Figure, path: _Path, colour: str | None, name: str, place: str) -> None:
    n = len(path.x)
    still = path.length == 0
    symbols = [*["circle"] * (n - 1), "circle" if still else "arrow"]
    figure.add_scatter(
        x=path.x,
        y=path.y,
        mode="lines+markers+text",
        line={"color": colour or CONTEXT, "width": 2 if colour else 1},
        marker={
            "symbol": symbols,
            "size": [*[5] * (n - 1), 11],
            "angleref": "previous",
            "color": colour or CONTEXT,
            "opacity": 1,
            "line": {"width": 0},
        },
        text=[""] * (n - 1) + [name],
        textposition=place,
        textfont={"size": 12 if colour else 10, **({"color": colour} if colour else {})},
        name=safe(path.label),
        customdata=[[safe(path.label), f"{epoch:.4g}"] for epoch in path.epochs],
        hovertemplate="%{customdata[0]}<br>epoch %{customdata[1]}<extra></extra>",
        cliponaxis=False,
    )


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
        n_rows, n_columns, subplot_titles=[f"layer {layer}" for layer in chosen], shared_xaxes="all",
        shared_yaxes="all", horizontal_spacing=0.04, vertical_spacing=0.12 if n_rows > 1 else 0,
    )  # fmt: skip
    style(figure, title, height=90 + 270 * n_rows)
    panels = [_paths(table, m.DISPLACEMENT_X, m.DISPLACEMENT_Y, layer, split) for layer in chosen]
    longest = max((float(np.hypot(a.x[-1], a.y[-1])) for arrows in panels for a in arrows), default=0.0)
    for i, arrows in enumerate(panels):
        _add_arrows(figure, arrows, highlight, longest, row=i // n_columns + 1, column=i % n_columns + 1)
    figure.update_xaxes(constrain="domain")
    figure.update_xaxes(title_text="distance", row=n_rows)
    figure.update_yaxes(constrain="domain")
    figure.update_yaxes(scaleanchor="x", row=1, col=1)  # the other panels match the first
    return figure


def _spread_layers(layers: list[int]) -> list[int]:
    if len(layers) <= 6:
        return layers
    return [layers[i] for i in np.linspace(0, len(layers) - 1, 6).round().astype(int)]


def _add_arrows(
    figure: go.Figure, arrows: list[_Path], highlight: int, longest: float, *, row: int, column: int
) -> None:
    ends = [(arrow.label, float(arrow.x[-1]), float(arrow.y[-1])) for arrow in arrows]
    ends = sorted((e for e in ends if np.isfinite(e[1]) and np.isfinite(e[2])), key=lambda e: -np.hypot(e[1], e[2]))
    for rank, (label, x, y) in enumerate(ends):
        named = rank < highlight and np.hypot(x, y) > longest / 20  # names of stubs would cover each other
        colour = PALETTE[rank] if named else CONTEXT
        figure.add_scatter(
            x=[0, x], y=[0, y], mode="lines+markers+text", row=row, col=column, name=safe(label),
            line={"color": colour, "width": 2 if named else 1},
            marker={"symbol": ["circle", "arrow"], "size": [0, 10 if named else 7], "angleref": "previous",
                    "color": colour},
            text=["", short(label, 12) if named else ""], textfont={"size": 11, "color": colour},
            textposition=_outward(x, y), customdata=[[safe(label), f"{np.hypot(x, y):.3g}"]] * 2,
            hovertemplate="%{customdata[0]}: %{customdata[1]}<extra></extra>", cliponaxis=False,
        )  # fmt: skip


def _outward(x: float, y: float) -> str:
    if abs(y) > abs(x):
        return "top center" if y > 0 else "bottom center"
    return "middle right" if x > 0 else "middle left"
