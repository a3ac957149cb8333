"""What ``space.html`` shows, packed small: meta as JSON, and one block of bytes a layer and picture."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from closerlook import measures as m
from closerlook.figures.theme import visible
from closerlook.probes.film import PICTURES
from closerlook.representations.reader import SnapshotReader
from closerlook.results.example_texts import marked
from closerlook.results.hits import decode_hits
from closerlook.results.packed import examples_digest
from closerlook.results.store import Cell, ResultStore
from closerlook.results.witnesses import read_witnesses

BITS = 13
"""Coordinates are whole numbers of half so many powers of two on either side of the middle: 1/8192 of a picture."""

_LEVELS = 254
_UNKNOWN = 255

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Film:
    """The pictures of a run that belong together: the same snapshots, the same examples.

    Attributes:
        layers: Arrays of each layer, see :class:`closerlook.probes.film.FilmAnalysis`.
        left_out: Layers whose pictures are of other snapshots or examples: they were probed before or after.
    """

    layers: dict[int, Arrays]
    left_out: tuple[int, ...]

    @property
    def any(self) -> Arrays:
        """The arrays of one of the layers: all have the same examples."""
        return next(iter(self.layers.values()))

    @property
    def splits(self) -> list[str]:
        """The splits, in the order in which they were stored."""
        return [name.removesuffix(".rows") for name in self.any if name.endswith(".rows")]

    def of(self, layer: int, name: str) -> np.ndarray:
        """(T, n, ...) of all splits, one after the other."""
        return np.concatenate([self.layers[layer][f"{split}.{name}"] for split in self.splits], axis=1)


def read_film(store: ResultStore) -> Film | None:
    """The pictures in a store; None when there are none. Of several states of a run, the one with most layers."""
    cells = [cell for cell in store.cells() if cell.key.place.probe == "film"]
    states: dict[bytes, dict[int, Arrays]] = {}
    for cell in cells:
        arrays = store.arrays(cell)
        same = b"".join(array.tobytes() for name, array in arrays.items() if name == "steps" or name.endswith(".rows"))
        states.setdefault(same, {})[cell.key.place.layer] = arrays
    if not states:
        return None
    layers = max(states.values(), key=lambda state: (len(state), max(state)))
    return Film(layers, tuple(sorted({cell.key.place.layer for cell in cells} - set(layers))))


def meta_of(film: Film, reader: SnapshotReader, table: pd.DataFrame) -> dict[str, Any]:
    """All that the page needs before a layer is chosen; labels as people may see them."""
    steps = film.any["steps"].tolist()
    examples = {split: reader.examples(split) for split in film.splits}
    drawn = {split: film.any[f"{split}.rows"] for split in film.splits}
    gold = [examples[split]["label"].astype(str).to_numpy()[drawn[split]] for split in film.splits]
    return {
        "snapshots": [{"step": step, "epoch": reader.epoch(step)} for step in steps],
        "layers": list(film.layers),
        "k": int(film.any["k"]),
        "splits": [
            {"name": visible(split), "drawn": len(drawn[split]), "stored": len(examples[split])}
            for split in film.splits
        ],
        "labels": [visible(label) for label in film.any["labels"]],
        "gold": np.searchsorted(film.any["labels"], np.concatenate(gold)).tolist(),
        "frames": {layer: {name: frame_of(film.of(layer, name)) for name in PICTURES} for layer in film.layers},
        "shares": {layer: arrays["shares"].tolist() for layer, arrays in film.layers.items()},
        "shown": {layer: _shown(table, layer, film.splits, steps) for layer in film.layers},
        "left_out": list(film.left_out),
    }


def frame_of(xy: np.ndarray) -> dict[str, float]:
    """Middle and unit of the whole numbers that stand for the coordinates of one picture, snapshots together."""
    low, high = xy.min(axis=(0, 1)), xy.max(axis=(0, 1))
    unit = float((high - low).max()) / 2**BITS or 1.0
    return {"x": float(low[0] + high[0]) / 2, "y": float(low[1] + high[1]) / 2, "unit": unit}


def packed(xy: np.ndarray) -> str:
    """(T, n, 2) coordinates as text: the first snapshot, then changes; low bytes before high bytes; gzip, base64."""
    frame = frame_of(xy)
    numbers = np.rint((xy - [frame["x"], frame["y"]]) / frame["unit"]).astype("<i2")
    changes = np.concatenate([numbers[:1], np.diff(numbers, axis=0)]).astype("<i2")
    return as_text(changes.view(np.uint8).reshape(-1, 2).T.tobytes())


def told(film: Film, layer: int, hits: np.ndarray, witness: np.ndarray) -> str:
    """What is known of each example at each snapshot of a layer, a byte each; see ``film_data.js``."""
    distances = [film.of(layer, name) for name in ("other", "self")]
    most = max(float(array[np.isfinite(array)].max(initial=0)) for array in distances) or 1.0
    levels = [np.where(np.isfinite(array), np.rint(array / most * _LEVELS), _UNKNOWN) for array in distances]
    codes = [film.of(layer, name).astype("<u2") for name in ("nearest", "predicted")]
    parts = [film.of(layer, f"kept.{name}") for name in PICTURES] + levels + [hits, witness]
    content = np.array([most], dtype="<f8").tobytes() + b"".join(array.tobytes() for array in codes)
    return as_text(content + b"".join(part.astype(np.uint8).tobytes() for part in parts))


def hits_of(cells: Iterable[Cell], film: Film, reader: SnapshotReader, layer: int) -> np.ndarray:
    """(T, n) 1 where the linear probe of this layer answers right, 0 where wrong, 255 where it was not asked."""
    steps = {step: t for t, step in enumerate(film.any["steps"].tolist())}
    found = {split: np.full((len(steps), len(film.any[f"{split}.rows"])), _UNKNOWN) for split in film.splits}
    for cell in cells:
        probe, at, split, step = cell.key.place
        if probe != "linear" or at != layer or step not in steps or split not in found:
            continue
        for row in cell.rows(m.TEST_HITS):
            hits = decode_hits(row.note)
            if hits.examples == _digest(reader, split):
                found[split][steps[step]] = np.rint(hits.shares)[film.any[f"{split}.rows"]]
    return np.concatenate(list(found.values()), axis=1)


def witnesses_of(table: pd.DataFrame, film: Film, reader: SnapshotReader, layer: int) -> np.ndarray:
    """(T, n) from how many labels an example holds its label's hull apart, their nearest ones; up to 255."""
    found = []
    for split in film.splits:
        counts = np.zeros((len(film.any["steps"]), len(reader.examples(split))), dtype=int)
        for t, step in enumerate(film.any["steps"].tolist()):
            for pair in read_witnesses(table, layer=layer, split=split, step=step):
                if pair.nearest_of and pair.examples == _digest(reader, split):
                    np.add.at(counts[t], pair.rows, 1)
        found.append(np.minimum(counts[:, film.any[f"{split}.rows"]], _UNKNOWN))
    return np.concatenate(found, axis=1)


def _digest(reader: SnapshotReader, split: str) -> str:
    return examples_digest(reader.examples(split)["example_id"].astype(str).tolist())


def texts(film: Film, reader: SnapshotReader) -> str:
    """Ids and texts of the examples: contexts once, with where the marked words stand in them."""
    ids: list[str] = []
    contexts: dict[str, int] = {}
    where: list[list[int]] = []
    for split in film.splits:
        rows = reader.examples(split).iloc[film.any[f"{split}.rows"]]
        for row in rows.to_dict("records"):
            about = [str(row.get(name, "")) for name in ("example_id", "text_id", "form", "context")]
            pieces = [(visible(piece), is_target) for piece, is_target in marked(*about)]
            ids.append(visible(about[0]))
            text = "".join(piece for piece, _ in pieces)
            where.append([contexts.setdefault(text, len(contexts)), *_spans(pieces)])
    content = json.dumps({"ids": ids, "contexts": list(contexts), "where": where}, ensure_ascii=False)
    return as_text(content.encode("utf-8"))


def as_text(content: bytes) -> str:
    """Bytes as text that can stand in a page; the same bytes give the same text."""
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode("ascii")


def _spans(pieces: Sequence[tuple[str, bool]]) -> list[int]:
    """Start and end of each marked piece, counted as JavaScript counts."""
    spans, at = [], 0
    for piece, is_target in pieces:
        length = len(piece.encode("utf-16-le")) // 2
        spans += [at, at + length] if is_target else []
        at += length
    return spans


def _shown(table: pd.DataFrame, layer: int, splits: Sequence[str], steps: Sequence[int]) -> Mapping[str, Any]:
    """By picture and split, a row a snapshot: variance; neighbours kept, its interval, chance, examples asked."""
    rows = table[(table["probe"] == "film") & (table["layer"] == layer)]
    named = {"joint": (m.JOINT_PLANE_VARIANCE, m.JOINT_PLANE_NEIGHBOURS),
             "own": (m.OWN_PLANE_VARIANCE, m.OWN_PLANE_NEIGHBOURS)}  # fmt: skip

    def series(split: str, measure: str) -> list[list[float | None]]:
        own = rows[(rows["split"] == split) & (rows["measure"] == measure)].set_index("step")
        wanted = own.reindex(list(steps))[["value", "low", "high", "control", "n"]].astype(float)
        return [[None if np.isnan(value) else round(value, 4) for value in row] for row in wanted.to_numpy()]

    return {
        name: {
            visible(split): {"variance": series(split, variance), "neighbours": series(split, neighbours)}
            for split in splits
        }
        for name, (variance, neighbours) in named.items()
    }
