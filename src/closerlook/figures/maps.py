"""One number per layer and snapshot as a map."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from closerlook import measures as m
from closerlook.figures.theme import (
    MEAN,
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
from closerlook.number_text import number_text
from closerlook.results.tables import rows_of

_MAX_WRITTEN = 8


def layer_map(table: pd.DataFrame, measure: str, *, split: str, probe: str | None = None, title: str = "") -> go.Figure:
    """A measure of the space as a map: snapshots across, layers upward.

    Args:
        table: Tidy results.
        measure: A measure of whole spaces; one that closerlook does not know is drawn the same way.
        split: The split it was measured on.
        probe: The probe that measured it; None takes the usual one.
        title: Title; empty takes the measure's name.

    Returns:
        The figure. Cells without a value are marked ``×`` and say why. Numbers of clusters are coloured on a
        logarithmic scale, because they fall from thousands to tens.
    """
    title = ", ".join(filter(None, (title or capital(name_of(measure)), split)))
    rows = rows_of(table, measure, probe=probe, split=split)
    rows = rows[rows["label"] == ""]
    if rows["value"].notna().sum() == 0:
        return nothing_to_draw(title, f"no {name_of(measure)} on {split}")
    rows = rows.drop_duplicates(["layer", "step"], keep="last")
    cells = rows.assign(told=[told(row) for row in rows.itertuples()]).set_index(["layer", "step"])
    grid, hover, notes = (cells[name].unstack() for name in ("value", "told", "note"))  # noqa: PD010 - no duplicates
    columns = [f"{epoch:.3g}" for epoch in rows.drop_duplicates("step").set_index("step")["epoch"][grid.columns]]
    if len(set(columns)) < len(columns):
        columns = [str(step) for step in grid.columns]
    layers = [str(layer) for layer in grid.index]
    figure = new_figure(title, height=150 + 26 * max(len(layers), 5))
    values = grid.to_numpy(dtype=float)
    logarithmic = measure == m.N_CLUSTERS
    figure.add_heatmap(
        x=columns,
        y=layers,
        z=np.log10(np.maximum(values, 1)) if logarithmic else values,
        text=texts(measure, values),
        customdata=hover.fillna("").to_numpy(),
        texttemplate="%{text}" if len(columns) <= _MAX_WRITTEN else None,
        textfont={"size": 11},
        colorscale=SCALE,
        colorbar=colour_bar(unit_of(measure)) | (_log_ticks(values) if logarithmic else {}),
        xgap=1,
        ygap=1,
        hoverongaps=False,
        hovertemplate="layer %{y}, epoch %{x}<br>%{customdata}<extra></extra>",
    )
    rows_at, columns_at = np.nonzero(np.isnan(values))
    why = notes.fillna("").to_numpy()[rows_at, columns_at]
    figure.add_scatter(**crosses([columns[j] for j in columns_at], [layers[i] for i in rows_at], why))
    figure.update_xaxes(NAMES_AXIS, title_text="epoch", nticks=10, tickangle=0)
    figure.update_yaxes(NAMES_AXIS, title_text="layer")
    return figure


def crosses(x: list[str], y: list[str], reasons: Any, size: int = 8) -> dict[str, Any]:
    """Marks where a map has no value, with the reason under the pointer."""
    return {
        "x": x,
        "y": y,
        "text": [safe(reason or "not measured") for reason in reasons],
        "mode": "markers",
        "marker": {"symbol": "x-thin", "size": size, "line": {"width": 1.5, "color": MEAN}},
        "hovertemplate": "missing: %{text}<extra></extra>",
    }


def told(row: Any) -> str:
    """A row in words for the pointer: value, interval, number, control, note."""
    measure = row.measure
    parts = [f"{safe(name_of(measure))} {number_text(measure, row.value)}"]
    if np.isfinite(row.low) and np.isfinite(row.high):
        parts.append(f"95 % interval {number_text(measure, row.low)} to {number_text(measure, row.high)}")
    if not pd.isna(row.n):
        parts.append(f"from {row.n:,}")
    if np.isfinite(row.control):
        parts.append(f"control {number_text(measure, row.control)}")
    return "<br>".join([*parts, safe(row.note)] if row.note else parts)


def _log_ticks(values: np.ndarray) -> dict[str, Any]:
    low, high = np.nanmin(values), np.nanmax(values)
    ticks = sorted({low, high, *(t for d in range(6) for t in (10**d, 3 * 10**d) if low < t < high)})
    return {"tickvals": np.log10(np.maximum(ticks, 1)).tolist(), "ticktext": [f"{tick:,.0f}" for tick in ticks]}
