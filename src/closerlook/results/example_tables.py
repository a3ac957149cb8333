"""Tables of single examples with their texts: witnesses, suspected label errors, who moved. For people and files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from closerlook import measures as m
from closerlook.errors import UserError
from closerlook.number_text import number_text
from closerlook.results.movement import courses, read_movement
from closerlook.results.packed import examples_digest, unpack
from closerlook.results.readings import ReadingSeries, rank_suspects, read_readings
from closerlook.results.witnesses import PairWitnesses, read_kept_apart, read_witnesses

_TEXT = ["example_id", "text_id", "label", "form", "context"]
_PLACE = ["layer", "split", "step"]
_PAIR = [
    "pair_label", "pair_other", "distance", "meets", "nearest_first", "nearest_other", "n_first", "n_other",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Examples:
    """What was found about single examples of a run, and their texts.

    Attributes:
        found: Rows of the tidy table whose scope is the examples: ``RunResults.by_example``.
        texts: By split, the table of examples: ``example_id, text_id, label, form, context``, a row a vector.
    """

    found: pd.DataFrame
    texts: Mapping[str, pd.DataFrame]

    def places(self, measure: str, split: str | None = None) -> pd.DataFrame:
        """Layers, splits and steps at which a measure has rows, one row each, in order."""
        rows = self.found[self.found["measure"] == measure]
        rows = rows if split is None else rows[rows["split"] == split]
        return rows[_PLACE].drop_duplicates().sort_values(_PLACE).reset_index(drop=True)

    def movement_places(self) -> list[tuple[int, str]]:
        """Layers and splits at which movement was measured, the last layer first, train before test."""
        rows = self.places(m.EXAMPLE_MOVEMENT)
        found = {(int(layer), str(split)) for layer, split in zip(rows["layer"], rows["split"], strict=True)}
        return sorted(found, key=lambda place: (-place[0], place[1] != "train"))

    def classes(self) -> list[str]:
        """The labels of the training examples, sorted."""
        return sorted(self.texts["train"]["label"].unique()) if "train" in self.texts else []

    def texts_of(self, split: str, digest: str) -> pd.DataFrame:
        """The examples of a split that something was found about.

        Raises:
            UserError: They are not stored, or others than those that were looked at.
        """
        texts = self.texts.get(split)
        if texts is None or self._digests[split] != digest:
            raise UserError(
                f"the results are about other {split} examples than the run stores now (or none are stored): "
                "run the same probe.py command without show= again"
            )
        return texts

    @cached_property
    def _digests(self) -> dict[str, str]:
        return {split: examples_digest(texts["example_id"].tolist()) for split, texts in self.texts.items()}

    def witnesses(self, *, layer: int, split: str, step: int) -> pd.DataFrame:
        """The witnesses of a space, a row an example and pair of labels, the closest pairs first.

        Columns ``pair_label, pair_other, distance, meets`` of the pair, ``nearest_first`` and ``nearest_other``
        (whether each has the other as its nearest label), ``n_first, n_other`` (how many witnesses there are of each),
        ``row``, ``weight``, and those of texts.
        """
        pairs = read_witnesses(self.found, layer=layer, split=split, step=step)
        if not pairs:
            return pd.DataFrame(columns=[*_PAIR, "row", "weight", *_TEXT, *_PLACE])
        of_pair = np.repeat(np.arange(len(pairs)), [len(pair.rows) for pair in pairs])
        about = pd.DataFrame([_about(pair) for pair in pairs], columns=_PAIR).iloc[of_pair].reset_index(drop=True)
        rows, weights = (np.concatenate([getattr(pair, name) for pair in pairs]) for name in ("rows", "weights"))
        texts = self.texts_of(split, pairs[0].examples).iloc[rows][_TEXT].reset_index(drop=True)
        return pd.concat([about.assign(row=rows, weight=weights, layer=layer, split=split, step=step), texts], axis=1)

    def apart(self, *, layer: int, split: str, step: int) -> pd.DataFrame:
        """Extra clusters: ``label, other, size`` and, joined by `` | ``, the texts in them and in their way."""
        found = read_kept_apart(self.found, layer=layer, split=split, step=step)
        rows = []
        for one in found:
            forms = self.texts_of(split, one.examples)["form"]
            rows.append({
                "layer": layer, "split": split, "step": step, "label": one.label, "other": one.other, "size": one.size,
                "members": " | ".join(forms.iloc[one.members]), "in_the_way": " | ".join(forms.iloc[one.foreign]),
            })  # fmt: skip
        return pd.DataFrame(rows)

    def suspects(self, split: str) -> pd.DataFrame | None:
        """The examples of a split, the most doubted label first; see :func:`rank_suspects`.

        With columns ``against`` (in how many pairs of labels it is a witness), ``load`` (its weights there added up)
        and ``extra`` (examples in its cluster, 0 in the label's largest) at the last layer and snapshot, where
        probe=witnesses was run. None where there are no readings.
        """
        series = read_readings(self.found, split=split)
        if series is None:
            return None
        texts = self.texts_of(split, series.examples).reset_index(drop=True)
        ranked = rank_suspects(series, self.classes())
        loads = self._loads(split)
        for name in ("against", "load", "extra"):
            ranked[name] = loads[name][ranked["row"]] if loads else np.nan
        ranked.insert(0, "rank", np.arange(1, len(ranked) + 1))
        return ranked.assign(split=split).join(texts[_TEXT], on="row")

    def _loads(self, split: str) -> dict[str, np.ndarray]:
        rows = self.found[(self.found["measure"] == m.WITNESS_LOAD) & (self.found["split"] == split)]
        if rows.empty:
            return {}
        arrays, digest = unpack(rows.sort_values(["layer", "step"])["note"].iloc[-1])
        self.texts_of(split, digest)
        return arrays

    def readings(self, *, layer: int, split: str) -> tuple[ReadingSeries, str] | None:
        """Readings of one layer over snapshots, and by whom: the tuned head's where it has some, else held-out ones."""
        for measure, name in ((m.HEAD_READING, "the tuned head"), (m.HELD_OUT_READING, "a linear probe")):
            series = read_readings(self.found, split=split, layers=[layer], measure=measure)
            if series is not None and len(series.places) > 1:
                return series, name
        return None

    def moved(self, *, layer: int, split: str) -> pd.DataFrame | None:
        """The examples of a split with how far they moved and what became of them; None where nothing was measured.

        Columns of ``closerlook.probes.movement.Movement`` and of :func:`courses` (NaN and empty where there are no
        readings of at least two snapshots), and those of texts.
        """
        found = read_movement(self.found, layer=layer, split=split)
        if found is None:
            return None
        table, digest = found
        texts = self.texts_of(split, digest).reset_index(drop=True)
        read = self.readings(layer=layer, split=split)
        if read is not None:
            table = table.join(courses(read[0], [place.step for place in read[0].places]))
        return table.assign(layer=layer, split=split, read_by=read[1] if read else "").join(texts[_TEXT])

    def flipped(self, split: str, step: int | None = None) -> pd.DataFrame | None:
        """The examples of which a later head says something else than the first, the largest change first.

        Columns ``row, before, after`` (classes), ``kl`` (nats), ``split, step`` and those of texts; ``attrs["n"]`` is
        the number of all examples, ``attrs["steps"]`` when the two heads were stored.

        Args:
            split: The split.
            step: The later snapshot; None = the last one.

        Returns:
            None where no two heads were compared.
        """
        rows = self.found[(self.found["measure"] == m.PREDICTIONS) & (self.found["split"] == split)]
        rows = rows if step is None else rows[rows["step"] == step]
        if rows.empty:
            return None
        last = rows.sort_values("step").iloc[-1]
        arrays, digest = unpack(last["note"])
        texts = self.texts_of(split, digest).reset_index(drop=True)
        classes = json.loads(arrays["classes"].tobytes())
        at = np.flatnonzero(arrays["before"] != arrays["after"])
        before, after = ([classes[i] for i in arrays[name][at]] for name in ("before", "after"))
        table = pd.DataFrame({"row": at, "before": before, "after": after, "kl": arrays["kl"][at].astype(float)})
        table = table.assign(split=split, step=int(last["step"])).join(texts[_TEXT], on="row")
        table = table.sort_values("kl", ascending=False, kind="stable").reset_index(drop=True)
        table.attrs |= {"n": len(texts), "steps": (int(arrays["first"][0]), int(last["step"]))}
        return table

    def tables(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Everything as tables by name, for files: witnesses, kept_apart, suspects, moved, flipped."""
        places: list[dict[str, Any]] = self.places(m.WITNESSES).to_dict("records")  # type: ignore[assignment]
        yield "witnesses", _together(self.witnesses(**place) for place in places)
        yield "kept_apart", _together(self.apart(**place) for place in places)
        yield "suspects", _together(self.suspects(split) for split in self.texts)
        yield "moved", _together(self.moved(layer=layer, split=split) for layer, split in self.movement_places())
        yield "flipped", _together(self.flipped(split) for split in self.texts)


def _about(pair: PairWitnesses) -> list[Any]:
    nearest = (pair.label in pair.nearest_of, pair.other in pair.nearest_of)
    return [pair.label, pair.other, pair.distance, pair.meets, *nearest, *pair.n_all]


def labels_with_nearest(witnesses: pd.DataFrame) -> list[str]:
    """The labels whose nearest label is known, sorted."""
    pairs = witnesses.drop_duplicates(["pair_label", "pair_other"])
    first = pairs.loc[pairs["nearest_first"].astype(bool), "pair_label"]
    return sorted({*first, *pairs.loc[pairs["nearest_other"].astype(bool), "pair_other"]})


def nearest_pair(witnesses: pd.DataFrame, label: str) -> pd.DataFrame:
    """The rows of the pair that a label makes with its nearest one; none where that is not known.

    Args:
        witnesses: See :meth:`Examples.witnesses`.
        label: The label.
    """
    first = witnesses["nearest_first"].astype(bool) & (witnesses["pair_label"] == label)
    return witnesses[first | (witnesses["nearest_other"].astype(bool) & (witnesses["pair_other"] == label))]


def partner_of(pair: pd.DataFrame, label: str) -> str:
    """The other label of a pair."""
    first, other = pair.iloc[0][["pair_label", "pair_other"]]
    return str(other if first == label else first)


def same_pair(witnesses: pd.DataFrame, pair: pd.DataFrame) -> pd.DataFrame:
    """The rows of the same two labels at another snapshot."""
    first, other = pair.iloc[0][["pair_label", "pair_other"]]
    return witnesses[(witnesses["pair_label"] == first) & (witnesses["pair_other"] == other)]


def distance_text(pair: pd.DataFrame) -> str:
    """How far the two labels are apart, for people."""
    if pair.empty:
        return "\u2013"
    return "meet" if pair["meets"].iloc[0] else number_text(m.LABEL_DISTANCE, float(pair["distance"].iloc[0]))


def _together(tables: Any) -> pd.DataFrame:
    parts = [table for table in tables if table is not None and len(table)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
