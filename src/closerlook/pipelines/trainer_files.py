"""What a transformers Trainer leaves beside its checkpoints: how many epochs they stand for, and its metrics."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from closerlook.files import replacing
from closerlook.models.stored_space import Moment
from closerlook.pipelines.checkpoint_sources import CheckpointSource
from closerlook.results.run_dir import RunDir

STATE_FILE = "trainer_state.json"
_NOT_METRICS = ("epoch", "step", "total_flos", "train_runtime")
_NAMES = {"loss": "train/loss", "learning_rate": "lr"}


def moments_of(sources: Sequence[CheckpointSource]) -> dict[int, Moment]:
    """By step, when a snapshot was taken: in epochs where a Trainer has noted them for all, else in steps."""
    epochs = {one.step: _epoch(one) for one in sources}
    known = all(epoch is not None for epoch in epochs.values())
    return {
        step: Moment(step, round(float(epoch if known and epoch is not None else step), 6))
        for step, epoch in epochs.items()
    }


def updates_per_epoch(sources: Sequence[CheckpointSource]) -> int:
    """Optimizer updates in an epoch, where a Trainer has noted it; else 1: a step is the unit then."""
    last = moments_of(sources)[sources[-1].step]
    return max(round(last.step / last.epoch), 1) if last.epoch else 1


def write_history(run: RunDir, sources: Sequence[CheckpointSource]) -> None:
    """Write the run's ``metrics.csv`` from the metrics that a Trainer has noted in its last checkpoint, if any."""
    rows = [row for one in reversed(sources) if (row := _history(one))]
    if not rows:
        return
    names = ["step", "epoch", *dict.fromkeys(name for row in rows[0] for name in row if name not in ("step", "epoch"))]
    run.unseal(run.history_file)
    with replacing(run.history_file) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows[0])
    run.seal(run.history_file)


def _state(one: CheckpointSource) -> Mapping[str, Any]:
    path: Path | None = one.folder and one.folder / STATE_FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path else {}
    except (OSError, ValueError):  # it is not what is measured, and often not there
        return {}
    return found if isinstance(found, dict) else {}


def _epoch(one: CheckpointSource) -> float | None:
    if one.step == 0:
        return 0.0
    state = _state(one)
    epoch = state.get("epoch")
    fits = state.get("global_step") == one.step and isinstance(epoch, (int, float))
    return float(epoch) if fits and epoch is not None else None


def _history(one: CheckpointSource) -> list[dict[str, Any]]:
    """Rows as Lightning's loggers number them: the first update is step 0."""
    found = []
    for entry in _state(one).get("log_history") or []:
        numbers = {
            _name(key): value
            for key, value in entry.items()
            if isinstance(value, (int, float))
            and key not in _NOT_METRICS
            and not key.endswith(("_runtime", "_per_second"))
        }
        if numbers and isinstance(entry.get("step"), int):
            found.append({"step": entry["step"] - 1, "epoch": entry.get("epoch", 0.0), **numbers})
    return found


def _name(key: str) -> str:
    if key.startswith("eval_"):
        return f"val/{key.removeprefix('eval_')}"
    return _NAMES.get(key, f"train/{key.removeprefix('train_')}")
