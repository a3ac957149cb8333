"""The curves of fine-tuning itself: loss, scores, learning rate."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from closerlook.figures.theme import PALETTE, nothing_to_draw, safe, style

_AXES = ("step", "epoch")
_RATE = "learning rate"
"""Panel of what Lightning's LearningRateMonitor logs: ``lr-AdamW``, ``lr-AdamW/pg1``, ..."""


def training_curves(
    history: pd.DataFrame, *, updates_per_epoch: float | None = None, max_points: int = 1000
) -> go.Figure:
    """Every logged metric over epochs; metrics of one name share a panel (``train/loss`` with ``val/loss``).

    Args:
        history: Columns ``step``, ``epoch`` and one per metric, NaN where not logged.
        updates_per_epoch: Where an update lies within its epoch. Lightning numbers epochs and steps from 0; here
            1.0 is the end of the first epoch, as for snapshots. None takes ``epoch`` as it is.
        max_points: Longer curves are thinned to this many points, evenly.

    Returns:
        The figure: one panel a metric name, one line a stage, named by colour in the legend.
    """
    title = "Fine-tuning"
    panels = metric_panels(history)
    if not panels:
        return nothing_to_draw(title, "no training metrics were saved")
    from plotly.subplots import make_subplots

    if updates_per_epoch:
        done = (history["step"] + 1).clip(upper=_last_update(history))
        history = history.assign(epoch=done / updates_per_epoch)
    names = list(panels)
    n_columns = min(3, len(names))
    n_rows = -(-len(names) // n_columns)
    figure = make_subplots(
        n_rows, n_columns, subplot_titles=[safe(name.replace("_", " ")) for name in names],
        horizontal_spacing=0.09, vertical_spacing=0.36 / n_rows,
    )  # fmt: skip
    style(figure, title, height=80 + 250 * n_rows)
    stages = sorted({metric.partition("/")[0] for metrics in panels.values() for metric in metrics}, key=_order)
    colours = {stage: PALETTE[i % len(PALETTE)] for i, stage in enumerate(stages)}
    seen: set[str] = set()
    for i, metrics in enumerate(panels.values()):
        for metric in metrics:
            stage = metric.partition("/")[0]
            _add_curve(figure, history, metric, stage, colours[stage], max_points, first=stage not in seen,
                       row=i // n_columns + 1, column=i % n_columns + 1)  # fmt: skip
            seen.add(stage)
    figure.update_xaxes(title_text="epoch", rangemode="tozero")
    figure.update_yaxes(exponentformat="e")
    figure.update_layout(
        showlegend=True,
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1, "yanchor": "top", "yref": "container"},
        margin={"t": 92},
    )
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
    for metric in sorted(metrics, key=lambda name: (_panel_order(name), _order(name.partition("/")[0]))):
        panels.setdefault(_panel(metric), []).append(metric)
    rates = panels.get(_RATE, [])
    if len(rates) > 1 and all(history[rates[0]].equals(history[rate]) for rate in rates):
        panels[_RATE] = rates[:1]  # parameter groups that share one rate share one line
    return panels


def _panel(metric: str) -> str:
    return _RATE if metric.startswith("lr-") else metric.partition("/")[2] or metric


def _panel_order(metric: str) -> tuple[int, str]:
    name = _panel(metric)
    for rank, part in enumerate(("loss", "accuracy", "f1")):
        if part in name:
            return rank, name
    return 9, name


def _order(stage: str) -> tuple[int, str]:
    known = ("train", "val", "validation", "test")
    return (known.index(stage) if stage in known else len(known), stage)


def _add_curve(
    figure: go.Figure, history: pd.DataFrame, metric: str, stage: str, colour: str, max_points: int, *,
    first: bool, row: int, column: int,
) -> None:  # fmt: skip
    points = history[["epoch", metric]].dropna()
    if len(points) > max_points:
        points = points.iloc[:: -(-len(points) // max_points)]
    figure.add_scatter(
        x=points["epoch"], y=points[metric], name=safe(stage), legendgroup=safe(stage), showlegend=first,
        mode="lines+markers" if len(points) < 30 else "lines", row=row, col=column,
        line={"color": colour, "width": 1.8}, marker={"size": 6},
        hovertemplate=f"{safe(metric)}<br>epoch %{{x:.4~g}}: %{{y:.4~g}}<extra></extra>",
    )  # fmt: skip
