"""What ``show=`` shows of a probed run: single examples, from what is on disk; nothing is computed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from closerlook import measures as m
from closerlook.config import ProbeConfig
from closerlook.pipelines.scopes import choose_layers
from closerlook.representations.reader import stored_examples
from closerlook.results.example_tables import Examples
from closerlook.results.run import RunError, RunInfo
from closerlook.results.run_dir import RunDir

MEASURED = {
    "witnesses": m.WITNESSES,
    "suspects": m.HELD_OUT_READING,
    "moved": m.EXAMPLE_MOVEMENT,
    "flipped": m.PREDICTIONS,
}
"""What can be shown, and the measure that it is drawn from."""

_PROBES = {
    "witnesses": "witnesses",
    "suspects": "suspects,witnesses",
    "moved": "movement,suspects",
    "flipped": "outputs",
}


@dataclass(frozen=True)
class Chosen:
    """What is shown.

    Attributes:
        info: The run.
        examples: What was found, and the texts.
        label: Only of this label; None = of all.
        split: The split.
        layers: Layers, ascending.
        steps: Steps of the first and the last snapshot that are compared.
        n_rows: Rows of a table.
    """

    info: RunInfo
    examples: Examples
    label: str | None
    split: str
    layers: tuple[int, ...]
    steps: tuple[int, int]
    n_rows: int


def choose(config: ProbeConfig) -> Chosen:
    """Read what ``show=`` asks for.

    Args:
        config: Settings of probe.py: ``show``, ``label``, ``show_rows``, and ``layers``, ``steps``, ``splits``: all
            layers mean the last one, several steps the first and the last of them, several splits the first.

    Raises:
        RunError: It was not measured, or there is no such label, layer or step.
    """
    if config.show not in MEASURED:
        raise RunError(f"show={config.show}: expected one of {', '.join(MEASURED)}")
    if config.run_dir is None:
        raise RunError(f"show={config.show} needs run_dir, the run whose examples are shown")
    run = RunDir(Path(config.run_dir), None if config.output_dir is None else Path(config.output_dir))
    info, texts = run.info(), stored_examples(run.snapshots)
    examples = Examples(run.load().by_example, texts)
    split, measure = config.splits[0], MEASURED[config.show]
    places = examples.places(measure, split)
    if places.empty:
        raise RunError(
            f"show={config.show}: nothing was measured on {split}. First run "
            f'python probe.py run_dir={config.run_dir} "probe=[{_PROBES[config.show]}]"'
        )
    labels = sorted(set(texts[split]["label"]))
    if config.label is not None and config.label not in labels:
        raise RunError(f"label={config.label}: expected one of {', '.join(labels[:50])}")
    stored = tuple(int(layer) for layer in places["layer"].unique())
    layers = choose_layers("last" if config.layers == "all" else config.layers, stored)
    steps = _ends(config.steps, places)
    return Chosen(info, examples, config.label, split, layers, steps, config.show_rows)


def _ends(wanted: Any, places: pd.DataFrame) -> tuple[int, int]:
    measured = sorted({int(step) for step in places["step"]})
    steps = measured if isinstance(wanted, str) else [wanted] if isinstance(wanted, int) else sorted(wanted)
    if missing := [step for step in steps if step not in measured]:
        raise RunError(f"steps={missing}: not measured; expected some of {measured}")
    return (steps[-1] if wanted == "last" else steps[0]), steps[-1]
