"""The data map: how sure, and how steadily sure, training was of each example (Swayamdipta et al. 2020)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from closerlook.figures.theme import LEGEND_ABOVE, PALETTE, new_figure, nothing_to_draw, short

MOST_POINTS = 2000
_FATES = ("right throughout", "learned", "forgotten", "never learned")
_COLOURS = (PALETTE[4], PALETTE[2], PALETTE[5], PALETTE[1])


def data_map(moved: pd.DataFrame, *, title: str) -> go.Figure:
    """Confidence against variability, a point an example, coloured by what became of it.

    Args:
        moved: Columns ``confidence, variability, fate, label, form``; see ``Examples.moved``.
        title: The title.

    Returns:
        The figure; of more than :data:`MOST_POINTS` examples an even selection.
    """
    known = moved[moved["confidence"].notna()] if "confidence" in moved else moved[:0]
    if known.empty:
        return nothing_to_draw(title, "no readings of two snapshots at this layer")
    shown = known.iloc[np.linspace(0, len(known) - 1, min(len(known), MOST_POINTS)).astype(int)]
    figure = new_figure(title, height=480)
    for fate, colour in zip(_FATES, _COLOURS, strict=True):
        rows = shown[shown["fate"] == fate]
        if len(rows):
            figure.add_scatter(
                x=rows["variability"].to_numpy(dtype=np.float32),
                y=rows["confidence"].to_numpy(dtype=np.float32),
                mode="markers",
                name=f"{fate} ({(known['fate'] == fate).sum():,})",
                marker={"size": 5, "color": colour, "opacity": 0.7},
                text=[
                    f"{short(label)}: {short(form, 70)}"
                    for label, form in zip(rows["label"], rows["form"], strict=True)
                ],
                hovertemplate="%{text}<br>confidence %{y:.2f}, variability %{x:.2f}<extra></extra>",
            )
    figure.update_layout(LEGEND_ABOVE, margin_t=90)
    figure.update_xaxes(title_text="variability (standard deviation over snapshots)", rangemode="tozero")
    figure.update_yaxes(title_text="confidence (mean probability of its label)", range=[-0.02, 1.02])
    return figure
