"""Single flipped bits over every kind of file of a run directory: found, left out with a word, or harmless."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from closerlook.callbacks.checkpoint_file import check_checkpoint
from closerlook.errors import UserError
from closerlook.representations.reader import SnapshotReader
from closerlook.results.run_dir import RunDir

pytestmark = pytest.mark.e2e

KINDS = (
    "run.json", "config.yaml", "state.json", "checksums.json", "metrics.csv", "results/cells.jsonl",
    "results/results.parquet", "results/made.json", "report.html", "checkpoints/last.ckpt",
    "snapshots/examples/train.parquet", "snapshots/step-00000000/manifest.json",
    "snapshots/step-00000000/train/layer-02.part-000.npy",
)  # fmt: skip
N_FLIPS = 300


@pytest.fixture(scope="module")
def run(study_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A finished, probed run with all that can be in one."""
    copy = RunDir(tmp_path_factory.mktemp("flips") / "seed-0")
    shutil.copytree(study_runs / "bbc_topics/tiny/seed-0", copy.root, ignore=shutil.ignore_patterns("cross", "wandb"))
    store = copy.store()
    store.write_table()
    copy.report_file.write_text("<p>what was measured</p>\n" * 20)
    store.record_made(copy.report_file)
    assert all((copy.root / kind).is_file() for kind in KINDS)
    return copy


def content(run: RunDir) -> dict[str, Any]:
    """Everything that a command takes from a run directory."""
    read = run.load()
    store = run.store()
    run.require_intact(run.last_checkpoint)
    check_checkpoint(run.last_checkpoint)
    reader = SnapshotReader(run.snapshots)
    return {
        "info": read.info, "config": read.config, "history": read.history.to_csv(), "table": read.table.to_csv(),
        "state": run.state(), "variant": run.variant, "left out": store.left_out,
        "made": [store.is_current(file) for file in (store.table_file, run.report_file)],
        "examples": reader.examples("train").to_csv(),
        "vectors": [reader.vectors(0, "train", layer).tobytes() for layer in reader.layers],
        "weights": float(sum(w.double().sum() for w in torch.load(run.last_checkpoint)["state_dict"].values())),
    }  # fmt: skip


def outcome(run: RunDir, whole: dict[str, Any]) -> str:
    """What becomes of a damaged run directory."""
    try:
        found = content(run)
    except UserError as error:
        words = ("damaged", "format version", "no run", "no split")
        return "found" if any(word in str(error) for word in words) else f"unclear: {error}"
    if found == whole:
        return "harmless"
    same = {key for key in whole if found[key] == whole[key]}
    if found["left out"] and same >= whole.keys() - {"table", "left out", "made"}:
        return "found"  # a join says it and names the command that mends it
    if same >= whole.keys() - {"made"}:
        return "found"  # made again by the next command
    return "silent"


@pytest.mark.parametrize("n_flips", [39, pytest.param(N_FLIPS, marks=pytest.mark.slow)])
def test_no_flipped_bit_changes_a_number_silently(run: RunDir, n_flips: int) -> None:
    whole = content(run)
    assert whole["made"] == [True, True]
    assert whole["left out"] == ""
    draw, counts = np.random.default_rng(n_flips), Counter[tuple[str, str]]()
    for i in range(n_flips):
        path = run.root / KINDS[i % len(KINDS)]
        before = path.read_bytes()
        changed = bytearray(before)
        changed[draw.integers(len(changed))] ^= 1 << int(draw.integers(8))
        path.write_bytes(changed)
        try:
            counts[KINDS[i % len(KINDS)], outcome(run, whole)] += 1
        finally:
            path.write_bytes(before)
    assert sum(counts.values()) == n_flips
    assert {found for _, found in counts} <= {"found", "harmless"}, counts
    assert sum(n for (_, found), n in counts.items() if found == "found") > n_flips * 0.9
