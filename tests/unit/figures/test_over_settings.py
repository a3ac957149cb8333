"""Figures over the settings of a study."""

from __future__ import annotations

import numpy as np
import pytest

from closerlook.figures.over_settings import SettingClusters, clusters_before_after, cross_task_matrix


def test_clusters_of_settings_without_numbers_are_left_out() -> None:
    figure = clusters_before_after([SettingClusters("a", 60, 6, 6), SettingClusters("b", np.nan, np.nan, np.nan)])
    after = next(trace for trace in figure.data if trace.name == "after")
    assert list(after.x) == [6]
    assert list(after.y) == ["a"]
    assert "no numbers" in clusters_before_after([]).layout.annotations[0].text


@pytest.mark.parametrize(("before", "scale"), [(3936, "log"), (60, "log"), (9, None)])
def test_clusters_are_on_a_logarithmic_axis_where_they_fall_by_a_decade(before: int, scale: str | None) -> None:
    figure = clusters_before_after([SettingClusters("a", before, 6, 6)])
    assert figure.layout.xaxis.type == scale
    if scale is None:
        low, high = figure.layout.xaxis.range
        assert low < 6 < before < high


def test_matrix_colours_are_symmetric_around_no_change() -> None:
    figure = cross_task_matrix(["a", "b"], ["c"], np.array([[2.0], [-0.5]]), [["x"], ["y"]], model="m")
    assert (figure.data[0].zmin, figure.data[0].zmax) == (-2.0, 2.0)
    assert "no encoder" in cross_task_matrix([], [], np.empty((0, 0)), [], model="m").layout.annotations[0].text
