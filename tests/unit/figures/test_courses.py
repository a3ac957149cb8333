"""Lines over layers and over training hold the values, with their intervals."""

from __future__ import annotations

from numpy.testing import assert_allclose

from closerlook import measures as m
from closerlook.figures.courses import before_after, layers_over_training, memorisation_curves
from closerlook.results.rows import Place, ResultRow, to_table
from closerlook.results.tables import rows_of


def result_row(probe: str, measure: str, step: int, epoch: float, layer: int, split: str, *labels: str, **values):
    return ResultRow(Place(probe, layer, split, step), epoch, measure, *labels, **values)


def test_before_after_draws_first_and_last_with_intervals(results):
    figure = before_after(results.table, m.ACCURACY, split="test")
    before, after, control = figure.data
    rows = rows_of(results.table, m.ACCURACY)
    assert_allclose(before.y, rows[rows["step"] == 0]["value"])
    assert_allclose(after.y, rows[rows["step"] == 80]["value"])
    assert_allclose(after.error_y.arrayminus, 0.02)
    assert_allclose(control.y, 0.2)
    assert (before.name, after.name) == ("before", "after")


def test_lines_of_layers_have_bands_where_there_are_intervals() -> None:
    rows = [result_row("similarity", m.SIMILARITY_TO_FIRST, s, s / 5, layer, "train", value=1 - s * layer / 50,
                      low=0.1 if layer == 2 else None, high=0.9 if layer == 2 else None)
            for layer in (1, 2) for s in (0, 5, 10)]  # fmt: skip
    figure = layers_over_training(to_table(rows), m.SIMILARITY_TO_FIRST, split="train")
    lines = {trace.name: trace for trace in figure.data if trace.name}
    assert list(lines["layer 2"].y) == [1.0, 0.8, 0.6]
    assert sum(trace.fill == "toself" for trace in figure.data) == 1


def test_memorisation_has_one_line_seen_and_one_unseen() -> None:
    lines = (("subtest_accuracy", "train"), ("unseen_accuracy", "test"))
    rows = [
        result_row("memorisation", measure, s, s / 5, 4, split, value=0.5 + s / 50)
        for measure, split in lines
        for s in (0, 10)
    ]
    figure = memorisation_curves(to_table(rows), layer=4)
    assert [list(trace.y) for trace in figure.data] == [[0.5, 0.7], [0.5, 0.7]]
    assert "has not been run" in memorisation_curves(to_table([]), layer=4).layout.annotations[0].text
