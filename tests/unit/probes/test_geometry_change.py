"""The geometry probe: the tuned head's measures where the head reads the layer, and nowhere else."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid

from closerlook import measures as m
from closerlook.probes.geometry_change import GeometryAnalysis
from closerlook.probes.space_probe import Scope
from closerlook.representations.format import TunedHead
from closerlook.representations.reader import SnapshotReader
from closerlook.representations.writer import SnapshotWriter, publish, write_examples

N, LABELS = 60, np.array(["b", "a", "c"])


@pytest.fixture
def space() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.repeat(LABELS, N // 3)
    return (rng.normal(size=(N, 4)) + 2 * np.eye(4)[np.repeat(range(3), N // 3)]).astype(np.float32), y


def stored(root: Path, X: np.ndarray, y: np.ndarray, head: TunedHead) -> SnapshotReader:
    ids = [f"t{i}" for i in range(N)]
    write_examples(root, "train", pd.DataFrame({"example_id": ids, "text_id": ids, "label": y, "form": ids}))
    for step in (0, 5):
        rows = {"train": range(N)}
        writer = SnapshotWriter(root, step, layers=(1, 2), dtype="float32", rows=rows, n_features={"train": 4})
        writer.write("train", np.arange(N), {1: X + step, 2: X * (step + 1)})
        writer.close()
        publish(
            root,
            step,
            epoch=step / 5,
            layers=(1, 2),
            dtype="float32",
            n_features={"train": 4},
            n_examples={"train": N},
            head=head if step else None,
        )
    return SnapshotReader(root)


def test_the_heads_measures_are_those_of_sklearn_whatever_the_order_of_its_rows(
    space: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    X, y = space
    fitted = LogisticRegression().fit(X * 6, y)
    order = [np.flatnonzero(fitted.classes_ == label)[0] for label in LABELS]
    head = TunedHead(2, LABELS, fitted.coef_[order], fitted.intercept_[order])
    reader = stored(tmp_path, X, y, head)
    probe, scope = GeometryAnalysis(n_permutations=9, n_bootstrap=9), Scope((0, 5), (1, 2), ("train",))
    found = {
        (key.place.layer, key.place.step): {row.measure: row for row in probe.compute(reader, key, scope)}  # type: ignore[union-attr]
        for key in probe.cells(reader, scope)
    }
    assert [place for place, rows in found.items() if "nc4_agreement" in rows] == [(2, 5)]
    agreement = np.mean(NearestCentroid().fit(X * 6, y).predict(X * 6) == fitted.predict(X * 6))
    assert found[2, 5]["nc4_agreement"].value == pytest.approx(agreement)
    assert found[2, 5]["nc4_agreement"].control < 0.6
    assert 0 < found[2, 5]["nc3_self_duality"].value < 1
    assert set(found[1, 5]) <= set(m.of_probe("geometry"))
