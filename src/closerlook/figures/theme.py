"""How every figure looks: colours that colour-blind people can tell apart, fonts, axes, safe text."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from scipy.optimize import isotonic_regression

from closerlook.measures import MEASURES
from closerlook.number_text import number_text

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

LEGEND_ABOVE = {"showlegend": True, "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"}}
"""Layout of a figure whose lines are named above it."""

EPOCHS = {"title_text": "epoch", "rangemode": "tozero"}
"""The axis of everything over training."""

NAMES_AXIS = {"type": "category", "showgrid": False, "ticks": ""}
"""An axis of names; layers and labels that look like numbers are names, too."""


_UNSEEN = dict.fromkeys((*range(128, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\ufffd")
_UNSEEN |= {code: chr(0x2400 + code) for code in range(32)} | {127: "\u2421"}


def visible(text: str) -> str:
    """Text with a picture in place of each control character, and of those that turn the direction of writing."""
    return str(text).translate(_UNSEEN)


def safe(text: str) -> str:
    """Text from data for plotly, which reads a small HTML in every string: ``<`` stays a ``<``."""
    return html.escape(visible(text), quote=False)


def short(text: str, length: int = MAX_NAME) -> str:
    """``text`` cut to ``length`` characters with an ellipsis, escaped for plotly."""
    return safe(text if len(text) <= length else text[: length - 1] + "…")


def unit_of(measure: str) -> str:
    """The unit of a measure; empty for one that the registry does not know."""
    return MEASURES[measure].unit if measure in MEASURES else ""


def name_of(measure: str) -> str:
    """A measure's name for people: ``mean minimum distance`` reads better than ``mean_min_distance``."""
    return MEASURES[measure].title if measure in MEASURES else measure.replace("_", " ")


def capital(text: str) -> str:
    """``text`` with a capital first letter, the others as they are: ``Linear CKA``."""
    return text[:1].upper() + text[1:]


def axis_title(measure: str) -> str:
    """``name (unit)``, escaped for plotly."""
    unit, name = unit_of(measure), safe(name_of(measure))
    return name if not unit or unit in name else f"{name} ({unit})"


def texts(measure: str, values: np.ndarray) -> list[list[str]]:
    """A matrix of numbers as they are written in the cells of a map; nothing where one is missing."""
    return [[number_text(measure, value) if np.isfinite(value) else "" for value in row] for row in values]


def colour_bar(title: str) -> dict[str, Any]:
    """A thin bar beside a map that says what the colours mean."""
    return {"title": {"text": title, "side": "right"}, "thickness": 10, "outlinewidth": 0}


def in_order(n: int) -> list[str]:
    """``n`` colours for things that have an order, e.g. layers: from dark to light, all visible on black and white."""
    return [str(colour) for colour in sample_colorscale(SCALE, np.linspace(0.12, 0.88, max(n, 2)))][:n]


def new_figure(title: str, *, height: int = 420) -> go.Figure:
    """An empty figure in the house style; backgrounds are clear, so that light and dark pages both work."""
    return go.Figure(layout=_layout(title, height) | {"xaxis": _AXIS, "yaxis": _AXIS})


def style(figure: go.Figure, title: str, *, height: int) -> None:
    """Put the house style on a figure of several panels."""
    figure.update_layout(_layout(title, height))
    figure.update_xaxes(_AXIS)
    figure.update_yaxes(_AXIS)


_AXIS = {
    "gridcolor": GRID,
    "zeroline": False,
    "linecolor": GRID,
    "ticks": "outside",
    "tickcolor": GRID,
    "automargin": True,
    "title": {"standoff": 8},
}


def _layout(title: str, height: int) -> dict[str, Any]:
    return {
        "template": "none",  # plotly's own template is 7 kB in every figure, and paints backgrounds
        "title": {"text": safe(title), "x": 0, "xref": "paper", "xanchor": "left", "font": {"size": 16}},
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


def joined(lines: Iterable[tuple[str, np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Many lines as one, with gaps between them: one trace of 40 lines is far smaller and faster than 40 traces.

    Args:
        lines: Name, x and y of each line.

    Returns:
        x and y as float32, NaN after each line, and the name at every point, escaped.
    """
    gap = np.array([np.nan])
    xs, ys, names = [gap[:0]], [gap[:0]], []
    for name, x, y in lines:
        xs += [x, gap]
        ys += [y, gap]
        names += [safe(name)] * (len(x) + 1)
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
    order, steps = np.argsort(wanted, kind="stable"), gap * np.arange(len(wanted))
    placed = np.empty_like(wanted)
    if len(wanted):
        # "At least a gap apart" is "not falling" once the gaps are taken off: least squares under that order.
        placed[order] = np.maximum(isotonic_regression(wanted[order] - steps).x, low) + steps
    return placed
