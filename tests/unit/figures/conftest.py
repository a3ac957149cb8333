"""A table with as many labels as a test wants."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from closerlook import measures as m
from closerlook.results.rows import Place, ResultRow, to_table


def result_row(probe: str, measure: str, step: int, epoch: float, layer: int, split: str, *labels: str, **values):
    return ResultRow(Place(probe, layer, split, step), epoch, measure, *labels, **values)


@pytest.fixture(scope="session")
def many_labels() -> Callable[..., pd.DataFrame]:
    def many_labels(n, n_steps=4):
        """A table with ``n`` labels on a line: distances are differences of positions, which grow with time."""
        position = np.random.default_rng(n).permutation(n).astype(float)
        rows = []
        for step in range(n_steps):
            where = (step * 10, step / 2, 3, "train")
            gaps = np.abs(position[:, None] - position) * (1 + step * np.sqrt(position[:, None] + position))
            np.fill_diagonal(gaps, np.inf)
            for i in range(n):
                rows.append(result_row("direct", m.MIN_DISTANCE, *where, f"label {i:02d}", value=float(gaps[i].min())))
                rows.append(result_row("centroids", m.CENTROID_X, *where, f"label {i:02d}", value=float(i * step)))
                rows.append(result_row("centroids", m.CENTROID_Y, *where, f"label {i:02d}", value=float(position[i])))
                rows += [
                    result_row(
                        "direct", m.LABEL_DISTANCE, *where, f"label {i:02d}", f"label {j:02d}", float(gaps[i, j])
                    )
                    for j in range(i)
                ]
        return to_table(rows)

    return many_labels
