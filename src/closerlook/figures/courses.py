"""One number of the space as lines: over the layers before and after, or over training."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from closerlook import measures as m
from closerlook.figures.maps import told
from closerlook.figures.theme import (
    EPOCHS,
    LEGEND_ABOVE,
    MEAN,
    PALETTE,
    axis_title,
    capital,
    in_order,
    name_of,
    new_figure,
    nothing_to_draw,
)
from closerlook.results.tables import rows_of


def before_after(table: pd.DataFrame, measure: str, *, split: str) -> go.Figure:
    """A measure of the space over the layers, at the first and at the last snapshot.

    Args:
        table: Tidy results.
        measure: A measure of whole spaces.
        split: The split it was measured on.

    Returns:
        The figure: layers across, one line before and one after, 95 % intervals as bars where there are any,
        the control of the last snapshot dotted.
    """
    title = f"{capital(name_of(measure))} by layer" + (f", {split}" if split != "train-test" else "")
    rows = _of_spaces(table, measure, split)
    if rows.empty:
        return nothing_to_draw(title, f"no {name_of(measure)} on {split}")
    figure = new_figure(title, height=360)
    before, after = (
        rows[rows["step"] == step].sort_values("layer") for step in (rows["step"].min(), rows["step"].max())
    )
    _add_layers(figure, before, "before", {"color": PALETTE[1], "width": 2.5, "dash": "dash"})
    _add_layers(figure, after, "after", {"color": PALETTE[0], "width": 2.5})
    if after["control"].notna().any():
        dotted = {"color": MEAN, "width": 1.5, "dash": "dot"}
        figure.add_scatter(x=after["layer"], y=after["control"], mode="lines", name="control (after)", line=dotted)
    figure.update_layout(LEGEND_ABOVE, hovermode="x unified")
    figure.update_xaxes(title_text="layer", dtick=1)
    figure.update_yaxes(title_text=axis_title(measure))
    return figure


def _of_spaces(table: pd.DataFrame, measure: str, split: str, probe: str | None = None) -> pd.DataFrame:
    """Known values of whole spaces, one a layer and step."""
    rows = rows_of(table, measure, probe=probe, split=split)
    rows = rows[(rows["label"] == "") & rows["value"].notna()]
    return rows.drop_duplicates(["layer", "step"], keep="last")


def _add_layers(figure: go.Figure, shot: pd.DataFrame, name: str, line: dict[str, object]) -> None:
    bars = {"array": shot["high"] - shot["value"], "arrayminus": shot["value"] - shot["low"], "thickness": 1.2}
    figure.add_scatter(
        x=shot["layer"],
        y=shot["value"],
        mode="lines+markers",
        name=name,
        error_y=bars if shot["low"].notna().any() else None,
        line=line,
        marker={"size": 8},
        text=[told(row) for row in shot.itertuples()],
        hovertemplate="%{text}<extra>" + name + "</extra>",
    )


def layers_over_training(table: pd.DataFrame, measure: str, *, split: str, title: str = "") -> go.Figure:
    """A measure of the space over training, one line a layer, with a band for its interval (E6).

    Args:
        table: Tidy results of one setting.
        measure: A measure of whole spaces.
        split: The split.
        title: Title; empty takes the measure's name.

    Returns:
        The figure: every layer from dark (lowest) to light.
    """
    title = title or capital(axis_title(measure))
    rows = _of_spaces(table, measure, split)
    if rows.empty:
        return nothing_to_draw(title, f"no {axis_title(measure)} on {split}")
    layers = sorted(rows["layer"].unique())
    figure = new_figure(title)
    for layer, colour in zip(layers, in_order(len(layers)), strict=True):
        _add_band(figure, rows[rows["layer"] == layer], f"layer {layer}", colour)
    figure.update_xaxes(EPOCHS)
    figure.update_yaxes(title_text=axis_title(measure))
    figure.update_layout(LEGEND_ABOVE)
    return figure


def _add_band(figure: go.Figure, line: pd.DataFrame, name: str, colour: str) -> None:
    bounded = line.dropna(subset=["low", "high"])
    if len(bounded) > 1:
        there_and_back = pd.concat([bounded["epoch"], bounded["epoch"][::-1]])
        ends = pd.concat([bounded["high"], bounded["low"][::-1]])
        area = {"fill": "toself", "fillcolor": colour, "opacity": 0.15, "mode": "none", "hoverinfo": "skip"}
        figure.add_scatter(x=there_and_back, y=ends, showlegend=False, **area)
    figure.add_scatter(
        x=line["epoch"],
        y=line["value"],
        mode="lines+markers" if len(line) < 30 else "lines",
        name=name,
        line={"color": colour, "width": 2},
        text=[told(row) for row in line.itertuples()],
        hovertemplate=f"{name}, epoch %{{x:.4~g}}<br>%{{text}}<extra></extra>",
    )


def memorisation_curves(table: pd.DataFrame, *, layer: int) -> go.Figure:
    """Accuracy on examples that only the encoder saw, and on the test set, over training (E9)."""
    title = f"Seen by the encoder only, and unseen: accuracy over training, layer {layer}"
    seen = _of_spaces(table, m.SUBTEST_ACCURACY, "train", "memorisation")
    unseen = _of_spaces(table, m.UNSEEN_ACCURACY, "test", "memorisation")
    lines = {"seen in tuning, not by the probe": seen, "test: seen by neither": unseen}
    figure = new_figure(title, height=360)
    for (name, rows), colour in zip(lines.items(), (PALETTE[1], PALETTE[0]), strict=True):
        _add_band(figure, rows[rows["layer"] == layer], name, colour)
    if not any(len(trace.x) for trace in figure.data):
        return nothing_to_draw(title, "probe=memorisation has not been run on this setting")
    figure.update_xaxes(EPOCHS)
    figure.update_yaxes(title_text=axis_title(m.ACCURACY))
    figure.update_layout(LEGEND_ABOVE)
    return figure
