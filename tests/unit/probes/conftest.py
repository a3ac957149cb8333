"""Three snapshots of three labels that are pushed apart, stored as a run stores them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from closerlook.probes.space_probe import Scope
from closerlook.representations.writer import SnapshotWriter, publish, write_examples

STEPS, LAYERS, SPLITS = (0, 5, 10), (0, 1), ("train", "test")
SCOPE = Scope(STEPS, LAYERS, SPLITS)
N = {"train": 60, "test": 30}
D = 4


def labels(split: str) -> np.ndarray:
    return np.array(["a", "b", "c"])[np.arange(N[split]) % 3]


def vectors(step: int, split: str, layer: int) -> np.ndarray:
    """Three labels that are pushed apart along fixed directions: by ``step`` in layer 1, not at all in layer 0."""
    rng = np.random.default_rng([layer, len(split)])  # the same noise at every step
    noise = rng.normal(scale=0.1, size=(N[split], D))
    centres = np.eye(3, D)[np.arange(N[split]) % 3]
    return (noise + centres * (1 + step * layer)).astype(np.float32)


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("snapshots")
    for split in SPLITS:
        ids = [f"{split}{i}" for i in range(N[split])]
        frame = pd.DataFrame({"example_id": ids, "text_id": ids, "label": labels(split), "form": ids})
        write_examples(root, split, frame)
    sizes = dict.fromkeys(SPLITS, D)
    for step in STEPS:
        rows = {split: range(N[split]) for split in SPLITS}
        writer = SnapshotWriter(root, step, layers=LAYERS, dtype="float32", rows=rows, n_features=sizes)
        for split in SPLITS:
            writer.write(split, np.arange(N[split]), {layer: vectors(step, split, layer) for layer in LAYERS})
        writer.close()
        publish(root, step, epoch=step / 5, layers=LAYERS, dtype="float32", n_features=sizes, n_examples=dict(N))
    return root


@pytest.fixture(scope="session")
def scope() -> Scope:
    """Everything that the snapshots hold."""
    return SCOPE
