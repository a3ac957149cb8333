"""A few hundred examples of a run with their places in a plane, for tables that people look through."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from closerlook.data.stratified import stratified_subset
from closerlook.geometry.projection import joint_pca
from closerlook.representations.format import SnapshotError
from closerlook.representations.reader import SnapshotReader
from closerlook.results.example_tables import Examples
from closerlook.results.example_texts import marked
from closerlook.results.readings import read_readings
from closerlook.results.run import RunResults
from closerlook.results.run_dir import RunDir
from closerlook.results.witnesses import read_witnesses, witness_flags

_SPLIT = "train"
_MOST_SNAPSHOTS = 20


def example_sample(run: RunDir, results: RunResults, n: int) -> pd.DataFrame:
    """A row an example and snapshot, at the last layer: text, label, place in the joint PCA of them all, what is known.

    Args:
        run: The run.
        results: What was found.
        n: Examples, in proportion to the labels; 0 takes none.

    Returns:
        Columns ``epoch, update, example_id, text`` (the word between asterisks), ``label, layer, x, y, witness`` (its
        weight among those that hold labels apart from their nearest one), ``log_odds`` (by a classifier that did not
        train on it) and ``suspect_rank``; NaN where not measured. Empty where no snapshots are stored.
    """
    try:
        reader = SnapshotReader(run.snapshots)
    except SnapshotError:
        return pd.DataFrame()
    if n < 1 or _SPLIT not in reader.splits or len(reader.labels(_SPLIT)) < 2:
        return pd.DataFrame()
    rows = stratified_subset(reader.labels(_SPLIT).tolist(), n)
    layer, steps = reader.layers[-1], _evenly(reader.steps)
    spaces = np.stack([np.asarray(reader.vectors(s, _SPLIT, layer)[rows], dtype=np.float64) for s in steps])
    places = joint_pca(spaces if len(steps) > 1 else np.concatenate([spaces, spaces])).coordinates
    texts = reader.examples(_SPLIT)
    examples = Examples(results.by_example, {_SPLIT: texts})
    ranked = examples.suspects(_SPLIT)
    ranks = np.full(len(texts), np.nan) if ranked is None else ranked.sort_values("row")["rank"].to_numpy(dtype=float)
    fixed = texts.iloc[rows].reset_index(drop=True)
    shown = [_text(row) for row in fixed.itertuples()]
    parts = []
    for at, step in enumerate(steps):
        known = _known(results.by_example, layer, step, len(texts))
        moment = {"epoch": reader.epoch(step), "update": step, "example_id": fixed["example_id"], "text": shown}
        place = {"label": fixed["label"], "layer": layer, "x": places[at, :, 0], "y": places[at, :, 1]}
        found = {name: values[rows] for name, values in known.items()}
        parts.append(pd.DataFrame(moment | place | found | {"suspect_rank": ranks[rows]}))
    return pd.concat(parts, ignore_index=True)


def _evenly(steps: tuple[int, ...]) -> list[int]:
    chosen = np.linspace(0, len(steps) - 1, min(len(steps), _MOST_SNAPSHOTS)).round().astype(int)
    return [steps[at] for at in np.unique(chosen)]


def _text(row: Any) -> str:
    pieces = marked(row.example_id, row.text_id, row.form, row.context)
    if len(pieces) == 1:
        return pieces[0].text
    return "".join(f"*{piece.text}*" if piece.is_target else piece.text for piece in pieces)


def _known(by_example: pd.DataFrame, layer: int, step: int, n: int) -> dict[str, np.ndarray]:
    pairs = read_witnesses(by_example, layer=layer, split=_SPLIT, step=step)
    readings = read_readings(by_example, split=_SPLIT, layers=[layer], steps=[step])
    unknown = np.full(n, np.nan)
    return {
        "witness": witness_flags(pairs, n) if pairs else unknown,
        "log_odds": unknown if readings is None else readings.log_odds[0],
    }
