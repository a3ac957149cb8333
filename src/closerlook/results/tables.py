"""Questions to the tidy table: rows of one measure, series of labels, distance matrices, before and after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from closerlook import measures as m

_PROBES = ("direct", "similarity", "centroids", "linear")
USUAL_PROBE = {name: one.probe for name, one in m.MEASURES.items() if one.probe in _PROBES}
"""The probe that is the first source of each measure; other probes may measure the same thing their way."""


@dataclass(frozen=True)
class Matrices:
    """Label-distance matrices of one layer and split, one a snapshot.

    Attributes:
        labels: Names of the rows and columns, sorted.
        steps: (n_snapshots,) optimizer updates.
        epochs: (n_snapshots,) the same moments in epochs.
        distances: (n_snapshots, n_labels, n_labels) symmetric distances; NaN where undefined and on the diagonal.
        notes: Why a value is missing, by (snapshot, row, column).
    """

    labels: tuple[str, ...]
    steps: np.ndarray
    epochs: np.ndarray
    distances: np.ndarray
    notes: dict[tuple[int, int, int], str]

    def reason(self, shot: int, row: int, column: int) -> str:
        """Why the distance of a pair is missing; either order of the two."""
        note = self.notes.get((shot, row, column)) or self.notes.get((shot, column, row))
        return note or "not measured"


def rows_of(
    table: pd.DataFrame,
    measure: str,
    *,
    probe: str | None = None,
    layer: int | None = None,
    split: str | None = None,
) -> pd.DataFrame:
    """Rows of one measure, ordered by step, layer and label.

    Args:
        table: Tidy results, columns of :data:`closerlook.results.rows.COLUMNS`.
        measure: Name of the measure.
        probe: Only this probe; None takes :data:`USUAL_PROBE`, or any probe for a measure it does not list.
        layer: Only this layer.
        split: Only this split.

    Returns:
        The matching rows; an empty table when there are none.
    """
    probe = probe if probe is not None else USUAL_PROBE.get(measure)
    keep = table["measure"] == measure
    for column, wanted in (("probe", probe), ("layer", layer), ("split", split)):
        if wanted is not None:
            keep &= table[column] == wanted
    return table[keep].sort_values(["step", "layer", "label", "other"], kind="stable")


def numbers_of(table: pd.DataFrame) -> pd.DataFrame:
    """The rows whose value is a number: without what is stored example by example, as text."""
    return table[~_is_by_example(table)]


def example_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of what is stored example by example, as text in their notes: what :func:`numbers_of` leaves out."""
    return table[_is_by_example(table)]


def _is_by_example(table: pd.DataFrame) -> pd.Series:
    return table["measure"].isin([one.name for one in m.MEASURES.values() if one.scope == "examples"])


def space_measures(table: pd.DataFrame) -> list[tuple[str, str]]:
    """(probe, measure) of everything measured on a whole space, known or not, in order of appearance."""
    space = numbers_of(table[(table["label"] == "") & (table["other"] == "")])
    pairs = space[["probe", "measure"]].drop_duplicates()
    return [(str(row.probe), str(row.measure)) for row in pairs.itertuples(index=False)]


def snapshots_of(table: pd.DataFrame) -> pd.DataFrame:
    """The snapshots in the table: columns ``step`` and ``epoch``, one row each, in order."""
    return table[["step", "epoch"]].drop_duplicates("step").sort_values("step").reset_index(drop=True)


def layers_of(table: pd.DataFrame, measure: str = m.MIN_DISTANCE, split: str | None = None) -> list[int]:
    """Layers at which a measure has a row."""
    return sorted(int(layer) for layer in rows_of(table, measure, split=split)["layer"].unique())


def splits_of(table: pd.DataFrame, measure: str) -> list[str]:
    """Splits on which a measure has a row: ``train`` first."""
    found = [str(split) for split in rows_of(table, measure)["split"].unique()]
    return sorted(found, key=lambda split: (split != "train", split))


def label_series(table: pd.DataFrame, measure: str, *, layer: int, split: str) -> pd.DataFrame:
    """A measure of each label over training: index ``epoch``, one column a label, NaN where undefined."""
    rows = rows_of(table, measure, layer=layer, split=split)
    series = rows.pivot_table(index="step", columns="label", values="value", aggfunc="last", dropna=False)
    epochs = rows.drop_duplicates("step").set_index("step")["epoch"]
    series = series.reindex(index=epochs.index.sort_values(), columns=sorted(rows["label"].unique()))
    series.index = pd.Index(epochs.loc[series.index].to_numpy(), name="epoch")
    return series


def gains(series: pd.DataFrame) -> pd.Series:
    """Last minus first value of each label over training, largest first; labels that miss either are left out."""
    if series.empty:
        return pd.Series(dtype="float64")
    change = series.iloc[-1] - series.iloc[0]
    return change.dropna().sort_values(ascending=False, kind="stable")


def distance_matrices(table: pd.DataFrame, *, layer: int, split: str) -> Matrices:
    """The label-distance matrices of one layer and split."""
    rows = rows_of(table, m.LABEL_DISTANCE, layer=layer, split=split)
    labels = tuple(sorted(set(rows["label"]) | set(rows["other"])))
    shots = rows.drop_duplicates("step").sort_values("step")
    place = {label: i for i, label in enumerate(labels)}
    when = {step: i for i, step in enumerate(shots["step"])}
    values = np.full((len(when), len(labels), len(labels)), np.nan)
    s = rows["step"].map(when).to_numpy(dtype=int)
    i = rows["label"].map(place).to_numpy(dtype=int)
    j = rows["other"].map(place).to_numpy(dtype=int)
    values[s, i, j] = values[s, j, i] = rows["value"].to_numpy()
    missing = rows["value"].isna().to_numpy()
    notes = {
        (int(a), int(b), int(c)): str(note)
        for a, b, c, note in zip(s[missing], i[missing], j[missing], rows["note"].to_numpy()[missing], strict=True)
    }
    return Matrices(labels, shots["step"].to_numpy(), shots["epoch"].to_numpy(), values, notes)


def evenly(n: int, at_most: int) -> np.ndarray:
    """Indices of at most ``at_most`` of ``n`` things, evenly spread, always with the first and the last."""
    return np.unique(np.linspace(0, n - 1, min(n, max(at_most, 2))).round().astype(int)) if n else np.arange(0)


SUMMARY_MEASURES = (
    m.N_CLUSTERS,
    m.MEAN_MIN_DISTANCE,
    m.ACCURACY,
    m.SIMILARITY_TO_FIRST,
    m.TRAIN_TEST_SIMILARITY,
    m.MEAN_DISPLACEMENT,
)
"""What is shown before and after, in tables and as summary values."""


@dataclass(frozen=True)
class Change:
    """A measure of one layer and split at the first and at the last snapshot; NaN where it is missing."""

    before: float
    after: float

    @property
    def known(self) -> bool:
        """Whether both values are there."""
        return bool(np.isfinite(self.before) and np.isfinite(self.after))


def change_of(table: pd.DataFrame, measure: str, *, layer: int, split: str, probe: str | None = None) -> Change:
    """A space measure before and after: at the first and the last snapshot of the whole table."""
    rows = rows_of(table, measure, probe=probe, layer=layer, split=split)
    by_step = rows[rows["label"] == ""].drop_duplicates("step", keep="last").set_index("step")["value"]
    steps = snapshots_of(table)["step"]
    if steps.empty:
        return Change(float("nan"), float("nan"))
    return Change(float(by_step.get(steps.iloc[0], np.nan)), float(by_step.get(steps.iloc[-1], np.nan)))


def split_for(measure: str, split: str) -> str:
    """The split under which a measure is stored: accuracy is always of test, some measures use both."""
    return (m.MEASURES[measure].split if measure in m.MEASURES else "") or split
