"""Figures of a run that was made from existing models: the models' names stand where epochs stand in a training."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from closerlook.figures.theme import safe
from closerlook.results.run import RunInfo
from closerlook.results.tables import snapshots_of

_MOST_NAMES = 12
_LONGEST = 16


@dataclass(frozen=True)
class CheckpointNames:
    """Names of the snapshots in a table.

    Attributes:
        epochs: Where each is on an axis of epochs.
        steps: Its step.
        names: Its name, short.
        unit: What the axis counts: epochs where a Trainer noted them, else steps.
    """

    epochs: tuple[float, ...]
    steps: tuple[int, ...]
    names: tuple[str, ...]
    unit: str

    @classmethod
    def of(cls, info: RunInfo, table: pd.DataFrame) -> CheckpointNames | None:
        """Those of a run; None for a run of train.py."""
        if not info.checkpoints:
            return None
        known = {one.step: one.name for one in info.checkpoints}
        shots = snapshots_of(table)
        steps = tuple(int(step) for step in shots["step"])
        epochs = tuple(float(epoch) for epoch in shots["epoch"])
        unit = "step" if all(epoch == step for epoch, step in zip(epochs, steps, strict=True)) else "epoch"
        return cls(epochs, steps, tuple(_short(known.get(step, str(step))) for step in steps), unit)

    def put_into(self, figure: go.Figure) -> None:
        """Put the names on the axis and the slider of a figure, in place; many would not fit, and stay numbers."""
        few = len(self.names) <= _MOST_NAMES
        for axis in figure.select_xaxes():
            if axis.title.text == "epoch":
                axis.title.text = "checkpoint" if few else self.unit
                if few:
                    texts = [safe(name) for name in self.names]
                    axis.update(tickmode="array", tickvals=self._places(figure), ticktext=texts, tickangle=-30)
        for slider in figure.layout.sliders:
            self._name_slider(slider)
        for trace in figure.data:
            if self.unit == "step" and "epoch " in str(trace.hovertemplate):
                trace.hovertemplate = trace.hovertemplate.replace("epoch ", "step ")

    def _places(self, figure: go.Figure) -> list[float] | list[str]:
        """Where the names stand: at epochs, or at the texts of a heat map's columns."""
        maps = [trace for trace in figure.data if trace.type == "heatmap"]
        if not maps:
            return list(self.epochs)
        columns = list(maps[0].x)
        texts = {f"{epoch:.3g}" for epoch in self.epochs}
        return [str(step) for step in self.steps] if set(columns) - texts else [f"{epoch:.3g}" for epoch in self.epochs]

    def _name_slider(self, slider: go.layout.Slider) -> None:
        by_text = {f"{epoch:.3g}": name for epoch, name in zip(self.epochs, self.names, strict=True)}
        if len(by_text) == len(self.names):
            slider.currentvalue.prefix = ""
            for step in slider.steps:
                step.label = safe(by_text.get(step.label, step.label))


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"…{name[-_LONGEST + 1 :]}"
