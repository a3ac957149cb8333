"""How every figure looks: colours that colour-blind people can tell apart, fonts, axes, safe text."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from closerlook.measures import MEASURES

# Okabe & Ito (2008), in the shades that stand out on white and on near-black alike. Black and yellow are left out.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8C6BB1", "#6F8F3A")
RISERS = ("#0072B2", "#009E73", "#56B4E9")
LAGGARDS = ("#D55E00", "#CC79A7", "#E69F00")
CONTEXT = "rgba(128,128,128,0.45)"
MEAN = "#7f7f7f"
GRID = "rgba(128,128,128,0.22)"
SCALE = "Viridis"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
MAX_NAME = 22


def safe(text: str) -> str:
    """Text from data for plotly, which reads a small HTML in every string: ``<`` stays a ``<``."""
    return html.escape(str(text), quote=False)


def short(text: str, length: int = MAX_NAME) -> str:
    """``text`` cut to ``length`` characters with an ellipsis, escaped for plotly."""
    return safe(text if len(text) <= length else text[: length - 1] + "…")


def unit_of(measure: str) -> str:
    """The unit of a measure; empty for one that :data:`MEASURES` does not list."""
    return MEASURES[measure].unit if measure in MEASURES else ""


def name_of(measure: str) -> str:
    """A measure's name for people: ``mean minimum distance`` reads better than ``mean_min_distance``."""
    return MEASURES[measure].title if measure in MEASURES else measure.replace("_", " ")


def axis_title(measure: str) -> str:
    """``name (unit)``."""
    unit, name = unit_of(measure), name_of(measure)
    return name if not unit or unit in name else f"{name} ({unit})"


def new_figure(title: str, *, height: int = 420) -> go.Figure:
    """An empty figure in the house style; backgrounds are clear, so that light and dark pages both work."""
    return go.Figure(layout=_layout(title, height) | {"xaxis": _AXIS, "yaxis": _AXIS})


def style(figure: go.Figure, title: str, *, height: int) -> None:
    """Put the house style on a figure of several panels."""
    figure.update_layout(_layout(title, height))
    figure.update_xaxes(_AXIS)
    figure.update_yaxes(_AXIS)


_AXIS = {
    "gridcolor": GRID, "zeroline": False, "linecolor": GRID, "ticks": "outside", "tickcolor": GRID,
    "automargin": True, "title": {"standoff": 8},
}  # fmt: skip


def _layout(title: str, height: int) -> dict[str, Any]:
    return {
        "template": "none",  # plotly's own template is 7 kB in every figure, and paints backgrounds
        "title": {"text": title, "x": 0, "xref": "paper", "xanchor": "left", "font": {"size": 16}},
        "font": {"family": FONT, "size": 13},
        "height": height,
        "margin": {"l": 64, "r": 24, "t": 56 if title else 24, "b": 52},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "colorway": list(PALETTE),
        "hoverlabel": {"namelength": -1},
        "hovermode": "closest",
        "showlegend": False,
    }


def nothing_to_draw(title: str, reason: str) -> go.Figure:
    """A figure that says why it is empty."""
    figure = new_figure(title, height=160)
    figure.add_annotation(text=safe(reason), showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper")
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure


def joined(
    lines: Sequence[tuple[str, np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Many lines as one, with gaps between them: one trace of 40 lines is far smaller and faster than 40 traces.

    Args:
        lines: Name, x and y of each line.

    Returns:
        x and y as float32, NaN between lines, and the name at every point, escaped.
    """
    gap = np.array([np.nan])
    xs = [part for _, x, _ in lines for part in (np.asarray(x, dtype=float), gap)]
    ys = [part for _, _, y in lines for part in (np.asarray(y, dtype=float), gap)]
    names = [safe(name) for name, x, _ in lines for _ in range(len(x) + 1)]
    if not lines:
        return gap[:0].astype(np.float32), gap[:0].astype(np.float32), []
    return np.concatenate(xs).astype(np.float32), np.concatenate(ys).astype(np.float32), names


def spread(positions: Sequence[float], gap: float, *, low: float = -np.inf) -> np.ndarray:
    """Move label positions apart until neighbours are ``gap`` away, as little as possible.

    Args:
        positions: Wanted positions; any order.
        gap: Smallest distance allowed, in the same unit.
        low: No position is below; those that would be push the others up.

    Returns:
        (n,) positions in the order given, at least ``gap`` apart.
    """
    wanted = np.asarray(positions, dtype=float)
    order = np.argsort(wanted, kind="stable")
    # Blocks of touching labels share one centre: the mean of what their members want (pool adjacent violators).
    blocks: list[list[float]] = []  # [sum of (wanted - offset), count]
    for place in wanted[order]:
        blocks.append([float(place), 1.0])
        while len(blocks) > 1 and _start(blocks[-2]) + blocks[-2][1] * gap > _start(blocks[-1]):
            total, count = blocks.pop()
            blocks[-1][0] += total - count * blocks[-1][1] * gap
            blocks[-1][1] += count
    placed = np.concatenate([_start(b) + gap * np.arange(int(b[1])) for b in blocks]) if blocks else wanted
    if len(placed) and placed[0] < low:
        steps = gap * np.arange(len(placed))
        placed = np.maximum.accumulate(np.maximum(placed, low) - steps) + steps
    result = np.empty_like(wanted)
    result[order] = placed
    return result


def _start(block: list[float]) -> float:
    return block[0] / block[1]
