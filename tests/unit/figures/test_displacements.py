"""Arrows and lengths of what moved."""

from __future__ import annotations

import pytest

from closerlook import measures as m
from closerlook.figures.displacements import displacement_arrows, displacement_lengths
from closerlook.figures.theme import safe
from closerlook.results.rows import Place, ResultRow, to_table
from closerlook.results.tables import rows_of


def result_row(probe: str, measure: str, step: int, epoch: float, layer: int, split: str, *labels: str, **values):
    return ResultRow(Place(probe, layer, split, step), epoch, measure, *labels, **values)


def test_arrows_start_at_the_origin_and_panels_share_a_scale(results):
    figure = displacement_arrows(results.table, split="train")
    assert [a.text for a in figure.layout.annotations] == ["layer 0", "layer 1", "layer 2"]
    assert all(trace.x[0] == trace.y[0] == 0 for trace in figure.data)
    ends = rows_of(results.table, m.DISPLACEMENT_X, layer=2, split="train").set_index("label")["value"]
    drawn = {trace.name: trace.x[1] for trace in figure.data if trace.xaxis == "x3" and trace.name}
    assert len(drawn) == 3
    (others,) = [trace for trace in figure.data if trace.xaxis == "x3" and not trace.name]
    drawn |= dict(list(zip(others.text, others.x, strict=True))[1::3])
    assert drawn == pytest.approx({safe(label): value for label, value in ends.items()}, rel=1e-6)
    ranges = {(axis, figure.layout[f"{axis}axis{n}"].range) for axis in "xy" for n in ("", 2, 3)}
    assert len(ranges) == 2, "one range a direction, the same in all panels"


def test_arrows_of_layers_that_do_not_move_carry_no_names(results):
    figure = displacement_arrows(results.table)
    still = [trace for trace in figure.data if trace.xaxis == "x"]
    assert still
    assert all(trace.mode == "lines+markers" for trace in still), "no text"


def test_lengths_put_the_farthest_label_on_top() -> None:
    lengths = {("a", 1): 0.5, ("a", 4): 1.0, ("b", 1): 0.7, ("b", 4): 3.25}
    rows = [
        result_row("centroids", m.CENTROID_DISPLACEMENT, step, float(step), layer, "train", label, value=step * length)
        for (label, layer), length in lengths.items()
        for step in (0, 1)
    ]
    heat = displacement_lengths(to_table(rows)).data[0]
    assert list(heat.x) == ["1", "4"]
    assert list(heat.y) == ["a", "b"]
    assert heat.z[-1][1] == pytest.approx(3.25)
    assert (heat.zmin, heat.zmax) == (0, pytest.approx(3.25))  # a colour is a length, not a rank
