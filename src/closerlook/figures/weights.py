"""The change of weights as a map: blocks upward, matrices across."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from closerlook.figures.maps import crosses, told
from closerlook.figures.theme import (
    NAMES_AXIS,
    SCALE,
    capital,
    colour_bar,
    name_of,
    new_figure,
    nothing_to_draw,
    safe,
    texts,
    unit_of,
)
from closerlook.results.rows import OF_WEIGHTS
from closerlook.results.tables import rows_of

_ATTENTION = ("query+key+value", "query", "key", "value", "output")
_MLP = ("gate+up", "gate", "up", "down")
_ORDER = (
    *(f"attention.{role}" for role in _ATTENTION),
    "attention",
    *(f"mlp.{role}" for role in _MLP),
    *("mlp", "norms", "biases", "other", "embeddings"),
)
"""From left to right; what is not named stands after others of its kind."""


def weight_map(table: pd.DataFrame, measure: str, *, step: int | None = None) -> go.Figure:
    """A measure of every matrix of an encoder: blocks upward (0 = embeddings), matrices across.

    Args:
        table: Tidy results with those of ``probe=[weights]``.
        measure: A measure of single matrices.
        step: The moment; None = the last.

    Returns:
        The figure. A matrix that a block does not have is left empty; one without a value is marked ``×`` and says why.
    """
    title = f"{capital(name_of(measure))}, by block and matrix"
    rows = rows_of(table, measure, probe="weights", split=OF_WEIGHTS)
    rows = rows[(rows["label"] != "") & (rows["step"] == (rows["step"].max() if step is None else step))]
    if rows["value"].notna().sum() == 0:
        return nothing_to_draw(title, f"no {name_of(measure)}")
    cells = rows.assign(told=[told(row) for row in rows.itertuples()]).set_index(["layer", "label"])
    labels = sorted(rows["label"].unique(), key=_position)
    grid, hover, notes = (cells[name].unstack()[labels] for name in ("value", "told", "note"))  # noqa: PD010
    values, names = grid.to_numpy(dtype=float), [safe(_shown(label)) for label in labels]
    blocks = [str(block) for block in grid.index]
    figure = new_figure(title, height=230 + 26 * max(len(blocks), 5))
    figure.add_heatmap(
        x=names,
        y=blocks,
        z=values,
        zmin=0,
        zmax=float(np.nanmax(values)) or 1.0,
        text=texts(measure, values),
        customdata=hover.fillna("").to_numpy(),
        texttemplate="%{text}" if len(names) <= _MOST_WRITTEN else None,
        textfont={"size": 10},
        colorscale=SCALE,
        colorbar=colour_bar(unit_of(measure)),
        xgap=1,
        ygap=1,
        hoverongaps=False,
        hovertemplate="block %{y}, %{x}<br>%{customdata}<extra></extra>",
    )
    there = np.isnan(values) & notes.notna().to_numpy()
    rows_at, columns_at = np.nonzero(there)
    why = notes.fillna("").to_numpy()[rows_at, columns_at]
    figure.add_scatter(**crosses([names[j] for j in columns_at], [blocks[i] for i in rows_at], why))
    figure.update_xaxes(NAMES_AXIS, tickangle=-40)
    figure.update_yaxes(NAMES_AXIS, title_text="block")
    return figure


_MOST_WRITTEN = 14


def _shown(label: str) -> str:
    kind, _, role = label.partition(".")
    return role.replace("_", " ") if kind == "embeddings" else f"{kind} {role}".strip()


def _position(label: str) -> tuple[int, str]:
    if label in _ORDER:
        return _ORDER.index(label), ""
    return _ORDER.index(label.split(".")[0]), label
