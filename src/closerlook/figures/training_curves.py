"""The curves of fine-tuning itself: loss, scores, learning rate."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from closerlook.figures.theme import EPOCHS, PALETTE, nothing_to_draw, safe, style
from closerlook.results.tables import evenly

_MAX_POINTS = 1000
_AXES = ("step", "epoch")
_STAGES = ("train", "val", "validation", "test")
_LOSS_FIRST = ("loss", "accuracy", "f1")
_RATE = "learning rate"
"""Panel of what Lightning's LearningRateMonitor logs: ``lr-AdamW``, ``lr-AdamW/pg1``, ..."""


def training_curves(history: pd.DataFrame, *, updates_per_epoch: float | None = None) -> go.Figure:
    """Every logged metric over epochs; metrics of one name share a panel (``train/loss`` with ``val/loss``).

    Args:
        history: Columns ``step``, ``epoch`` and one per metric, NaN where not logged.
        updates_per_epoch: Where an update lies within its epoch. Lightning numbers epochs and steps from 0; here
            1.0 is the end of the first epoch, as for snapshots. None takes ``epoch`` as it is.

    Returns:
        The figure: one panel a metric name, one line a stage, named by colour in the legend.
    """
    title = "Fine-tuning"
    panels = metric_panels(history)
    if not panels:
        return nothing_to_draw(title, "no training metrics were saved")
    if updates_per_epoch:
        done = (history["step"] + 1).clip(upper=_last_update(history))
        history = history.assign(epoch=done / updates_per_epoch)
    n_columns = min(3, len(panels))
    n_rows = -(-len(panels) // n_columns)
    names = [safe(name.replace("_", " ")) for name in panels]
    gaps = {"horizontal_spacing": 0.09, "vertical_spacing": 0.36 / n_rows}
    figure = make_subplots(n_rows, n_columns, subplot_titles=names, **gaps)
    style(figure, title, height=80 + 250 * n_rows)
    stages = sorted({_stage(metric) for metrics in panels.values() for metric in metrics}, key=_stage_order)
    colours = {stage: PALETTE[i % len(PALETTE)] for i, stage in enumerate(stages)}
    unnamed = set(stages)  # each stage stands in the legend once
    for i, metrics in enumerate(panels.values()):
        row, column = divmod(i, n_columns)
        for metric in metrics:
            stage = _stage(metric)
            curve = _curve(history, metric, colours[stage], named=stage in unnamed)
            figure.add_trace(curve, row=row + 1, col=column + 1)
            unnamed.discard(stage)
    figure.update_xaxes(EPOCHS)
    figure.update_yaxes(exponentformat="e")
    legend = {"orientation": "h", "x": 1, "xanchor": "right", "y": 1, "yanchor": "top", "yref": "container"}
    figure.update_layout(showlegend=True, legend=legend, margin={"t": 92})
    return figure


def _last_update(history: pd.DataFrame) -> float:
    """Number of updates done: what was logged while training, not by the test after it."""
    fitted = [name for name in history.columns if name not in _AXES and not str(name).startswith("test/")]
    rows = history[history[fitted].notna().any(axis=1)]
    return float((rows if len(rows) else history)["step"].max() + 1)


def metric_panels(history: pd.DataFrame) -> dict[str, list[str]]:
    """Metrics by panel: their name without the stage; losses first, metrics never logged left out."""
    numbers = history.select_dtypes("number")
    metrics = [str(name) for name in numbers.columns if name not in _AXES and numbers[name].notna().any()]
    panels: dict[str, list[str]] = {}
    for metric in sorted(metrics, key=lambda name: (_panel_order(_panel(name)), _stage_order(_stage(name)))):
        panels.setdefault(_panel(metric), []).append(metric)
    rates = panels.get(_RATE, [])
    if len(rates) > 1 and all(history[rates[0]].equals(history[rate]) for rate in rates):
        panels[_RATE] = rates[:1]  # parameter groups that share one rate share one line
    return panels


def _stage(metric: str) -> str:
    return metric.partition("/")[0]


def _panel(metric: str) -> str:
    return _RATE if metric.startswith("lr-") else metric.partition("/")[2] or metric


def _panel_order(panel: str) -> tuple[int, str]:
    ranks = [rank for rank, part in enumerate(_LOSS_FIRST) if part in panel]
    return (ranks[0] if ranks else len(_LOSS_FIRST), panel)


def _stage_order(stage: str) -> tuple[int, str]:
    return (_STAGES.index(stage) if stage in _STAGES else len(_STAGES), stage)


def _curve(history: pd.DataFrame, metric: str, colour: str, *, named: bool) -> go.Scatter:
    points = history[["epoch", metric]].dropna()
    points = points.iloc[evenly(len(points), _MAX_POINTS)]
    return go.Scatter(
        x=points["epoch"],
        y=points[metric],
        name=safe(_stage(metric)),
        legendgroup=safe(_stage(metric)),
        showlegend=named,
        mode="lines+markers" if len(points) < 30 else "lines",
        line={"color": colour, "width": 1.8},
        marker={"size": 6},
        hovertemplate=f"{safe(metric)}<br>epoch %{{x:.4~g}}: %{{y:.4~g}}<extra></extra>",
    )
