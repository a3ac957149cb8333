"""One number per layer and snapshot: maps of it, and its course over the layers before and after."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from closerlook import measures as m
from closerlook.figures.theme import (
    MEAN,
    PALETTE,
    SCALE,
    axis_title,
    name_of,
    new_figure,
    nothing_to_draw,
    safe,
    unit_of,
)
from closerlook.number_text import number_text
from closerlook.results.tables import rows_of

_COUNTS = (m.N_CLUSTERS,)


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
    title = f"{title or name_of(measure).capitalize()}, {split}"
    rows = rows_of(table, measure, probe=probe, split=split)
    rows = rows[rows["label"] == ""]
    if rows["value"].notna().sum() == 0:
        return nothing_to_draw(title, f"no {name_of(measure)} on {split}")
    grid = _grid(rows, "value")
    columns = [f"{epoch:.3g}" for epoch in _epochs(rows, grid)]
    columns = columns if len(set(columns)) == len(columns) else [str(step) for step in grid.columns]
    y = [str(layer) for layer in grid.index]
    figure = new_figure(title, height=150 + 26 * max(len(y), 5))
    values = grid.to_numpy(dtype=float)
    figure.add_heatmap(
        x=columns,
        y=y,
        z=np.log10(np.maximum(values, 1)) if measure in _COUNTS else values,
        text=_numbers(measure, values),
        customdata=_hover(rows, grid),
        texttemplate="%{text}" if values.shape[1] <= 8 else None,
        textfont={"size": 11},
        colorscale=SCALE,
        colorbar=_colorbar(measure, values),
        xgap=1,
        ygap=1,
        hoverongaps=False,
        hovertemplate="layer %{y}, epoch %{x}<br>%{customdata}<extra></extra>",
    )
    _mark_missing(figure, rows, grid, columns, y)
    figure.update_xaxes(type="category", title_text="epoch", showgrid=False, ticks="", nticks=10, tickangle=0)
    figure.update_yaxes(type="category", title_text="layer", showgrid=False, ticks="")
    return figure


def _grid(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    return rows.pivot_table(index="layer", columns="step", values=column, aggfunc="last", dropna=False).reindex(
        index=sorted(rows["layer"].unique()), columns=sorted(rows["step"].unique())
    )


def _epochs(rows: pd.DataFrame, grid: pd.DataFrame) -> list[float]:
    epochs = rows.drop_duplicates("step").set_index("step")["epoch"]
    return [float(epochs[step]) for step in grid.columns]


def _numbers(measure: str, values: np.ndarray) -> list[list[str]]:
    return [[number_text(measure, value) for value in row] for row in values]


def _hover(rows: pd.DataFrame, grid: pd.DataFrame) -> list[list[str]]:
    told = {(row.layer, row.step): _tell(row) for row in rows.itertuples()}
    return [[told.get((layer, step), "") for step in grid.columns] for layer in grid.index]


def _tell(row: Any) -> str:
    measure, value = row.measure, row.value
    parts = [f"{name_of(measure)} {number_text(measure, value)}"]
    if np.isfinite(row.low) and np.isfinite(row.high):
        low, high = number_text(measure, row.low), number_text(measure, row.high)
        parts.append(f"95 % interval {low} to {high}")
    if not pd.isna(row.n):
        parts.append(f"from {row.n:,}")
    if np.isfinite(row.control):
        parts.append(f"control {number_text(measure, row.control)}")
    if row.note:
        parts.append(safe(row.note))
    return "<br>".join(parts)


def _colorbar(measure: str, values: np.ndarray) -> dict[str, object]:
    bar: dict[str, object] = {"thickness": 10, "outlinewidth": 0, "title": {"text": unit_of(measure), "side": "right"}}
    if measure in _COUNTS:
        low, high = np.nanmin(values), np.nanmax(values)
        ticks = sorted({low, high, *(t for d in range(6) for t in (10**d, 3 * 10**d) if low < t < high)})
        bar |= {"tickvals": [float(np.log10(max(t, 1))) for t in ticks], "ticktext": [f"{t:,.0f}" for t in ticks]}
    return bar


def _mark_missing(figure: go.Figure, rows: pd.DataFrame, grid: pd.DataFrame, columns: list[str], y: list[str]) -> None:
    notes = {(row.layer, row.step): str(row.note) for row in rows.itertuples()}
    values = grid.to_numpy(dtype=float)
    gaps = [(i, j) for i in range(grid.shape[0]) for j in range(grid.shape[1]) if np.isnan(values[i, j])]
    figure.add_scatter(
        x=[columns[j] for _, j in gaps],
        y=[y[i] for i, _ in gaps],
        text=[safe(notes.get((grid.index[i], grid.columns[j]), "") or "not measured") for i, j in gaps],
        mode="markers",
        marker={"symbol": "x-thin", "size": 8, "line": {"width": 1.5, "color": MEAN}},
        hovertemplate="missing: %{text}<extra></extra>",
    )


def before_after(
    table: pd.DataFrame, measure: str, *, split: str, probe: str | None = None, title: str = ""
) -> go.Figure:
    """A measure of the space over the layers, at the first and at the last snapshot.

    Args:
        table: Tidy results.
        measure: A measure of whole spaces.
        split: The split it was measured on.
        probe: The probe that measured it; None takes the usual one.
        title: Title; empty takes the measure's name.

    Returns:
        The figure: layers across, one line before and one after, 95 % intervals as bars where there are any,
        the control of the last snapshot dotted.
    """
    title = title or f"{name_of(measure).capitalize()} by layer" + (f", {split}" if split != "train-test" else "")
    rows = rows_of(table, measure, probe=probe, split=split)
    rows = rows[rows["label"] == ""]
    if rows["value"].notna().sum() == 0:
        return nothing_to_draw(title, f"no {name_of(measure)} on {split}")
    figure = new_figure(title, height=360)
    steps = sorted(rows["step"].unique())
    for step, name, colour, dash in (
        (steps[0], "before", PALETTE[1], "dash"),
        (steps[-1], "after", PALETTE[0], "solid"),
    ):
        shot = rows[rows["step"] == step].drop_duplicates("layer", keep="last").sort_values("layer")
        _add_course(figure, shot, name, colour, dash)
    figure.update_layout(
        showlegend=True, legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"}, hovermode="x unified"
    )
    figure.update_xaxes(title_text="layer", dtick=1)
    figure.update_yaxes(title_text=axis_title(measure))
    return figure


def _add_course(figure: go.Figure, shot: pd.DataFrame, name: str, colour: str, dash: str) -> None:
    error = None
    if shot["low"].notna().any():
        error = {
            "type": "data",
            "symmetric": False,
            "array": (shot["high"] - shot["value"]).to_numpy(),
            "arrayminus": (shot["value"] - shot["low"]).to_numpy(),
            "thickness": 1.2,
        }
    figure.add_scatter(
        x=shot["layer"], y=shot["value"], mode="lines+markers", name=name, error_y=error,
        line={"color": colour, "width": 2.5, "dash": dash}, marker={"size": 8},
        text=[_tell(row) for row in shot.itertuples()], hovertemplate="%{text}<extra>" + name + "</extra>",
    )  # fmt: skip
    if name == "after" and shot["control"].notna().any():
        figure.add_scatter(
            x=shot["layer"], y=shot["control"], mode="lines", name="control (after)",
            line={"color": MEAN, "width": 1.5, "dash": "dot"},
        )  # fmt: skip
