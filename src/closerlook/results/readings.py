"""What classifiers made of each example, over layers and snapshots: suspected label errors, and who crossed when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from closerlook import measures as m
from closerlook.results.packed import pack, unpack


class ReadingPlace(NamedTuple):
    """Where a reading was made: layer and step."""

    layer: int
    step: int


@dataclass(frozen=True, eq=False)
class ReadingSeries:
    """Readings of the examples of a split, at several places.

    Attributes:
        places: Layer and step of each reading, ascending by layer, then step.
        own: (n_places, n_examples) log probability of the example's own label; NaN = not known to the classifier.
        other: (n_places, n_examples) largest log probability of another label.
        best_other: (n_places, n_examples) position of that label among the training split's sorted labels.
        examples: Digest of the examples.
    """

    places: tuple[ReadingPlace, ...]
    own: np.ndarray
    other: np.ndarray
    best_other: np.ndarray
    examples: str

    @property
    def log_odds(self) -> np.ndarray:
        """(n_places, n_examples) own label against the best other one; below 0 is misread."""
        return self.own - self.other


def packed_readings(own: np.ndarray, other: np.ndarray, best_other: np.ndarray, examples: str) -> str:
    """Readings as a row's note, six bytes an example or less; arrays as in :class:`ReadingSeries`, of one place."""
    half = {"own": own.astype(np.float16), "other": other.astype(np.float16)}
    return pack(half | {"best_other": best_other.astype(np.uint16)}, examples)


def read_readings(
    table: pd.DataFrame,
    *,
    split: str,
    layers: Sequence[int] | None = None,
    steps: Sequence[int] | None = None,
    measure: str = m.HELD_OUT_READING,
) -> ReadingSeries | None:
    """The readings of a split's examples; None where there are none.

    Args:
        table: The tidy table with what is stored example by example.
        split: The split.
        layers: Only of these layers.
        steps: Only of these snapshots.
        measure: ``held_out_reading``, or ``head_reading`` of the tuned head.

    Raises:
        ValueError: Rows are not as :func:`packed_readings` writes them, or of different examples.
    """
    rows = table[(table["measure"] == measure) & (table["split"] == split)].sort_values(["layer", "step"])
    for column, wanted in (("layer", layers), ("step", steps)):
        if wanted is not None:
            rows = rows[rows[column].isin(wanted)]
    if rows.empty:
        return None
    found = [unpack(note) for note in rows["note"]]
    if len({(digest, len(arrays["own"])) for arrays, digest in found}) > 1:
        raise ValueError("got readings of different examples, expected those of one split")
    places = tuple(ReadingPlace(int(at), int(step)) for at, step in zip(rows["layer"], rows["step"], strict=True))
    own, other = (np.stack([arrays[name] for arrays, _ in found]).astype(np.float64) for name in ("own", "other"))
    return ReadingSeries(places, own, other, np.stack([arrays["best_other"] for arrays, _ in found]), found[0][1])


def rank_suspects(series: ReadingSeries, classes: Sequence[str]) -> pd.DataFrame:
    """The examples in the order in which their labels are doubted.

    The rank is that of the mean log odds of the own label against the best other one, over all readings: a wrong label
    is contradicted at every layer and snapshot, a hard one at some.

    Args:
        series: Readings; layers above the embeddings.
        classes: The training split's sorted labels.

    Returns:
        One row an example, the most doubted first: ``row`` (position among the examples), ``log_odds`` (mean),
        ``misread`` and ``readings`` (how many of how many), ``suggested`` (the other label that most readings prefer),
        ``agreement`` (share of the readings that prefer it). Examples that no classifier could read come last, NaN.
    """
    odds = series.log_odds
    known = np.isfinite(odds)
    n = known.sum(axis=0)
    mean = np.divide(np.where(known, odds, 0.0).sum(axis=0), n, out=np.full(len(n), np.nan), where=n > 0)
    suggested, votes = _commonest(series.best_other, len(classes))
    names = np.array([*classes, ""], dtype=object)
    frame = pd.DataFrame({
        "row": np.arange(len(n)), "log_odds": mean, "misread": (known & (odds < 0)).sum(axis=0), "readings": n,
        "suggested": names[np.minimum(suggested, len(classes))], "agreement": votes / len(odds),
    })  # fmt: skip
    return frame.sort_values(["log_odds", "row"], kind="stable", na_position="last").reset_index(drop=True)


def _commonest(codes: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """The most frequent code of each column, the first of equals, and how often it occurs."""
    counts = np.zeros((n_classes + 1, codes.shape[1]), dtype=np.int64)
    for row in codes:
        np.add.at(counts, (np.minimum(row, n_classes), np.arange(len(row))), 1)
    best = counts.argmax(axis=0)
    return best, counts[best, np.arange(codes.shape[1])]
