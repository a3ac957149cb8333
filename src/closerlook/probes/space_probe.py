"""The interface of a probe that looks at stored snapshots, and what all of them share."""

from __future__ import annotations

import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple

from closerlook.geometry.measure_value import MeasureValue
from closerlook.representations.reader import SnapshotReader
from closerlook.results.cell_arrays import CellArrays
from closerlook.results.rows import LabelPairs, Place, ResultRow, defined
from closerlook.results.store import CellKey

TRAIN_TEST = "train-test"
"""Split name of measures that use both splits."""

Finding = ResultRow | LabelPairs | CellArrays
"""What a probe finds: a number, a number of every pair of labels, or something about every example."""


@dataclass(frozen=True)
class Scope:
    """What to look at.

    Attributes:
        steps: Steps of the snapshots, ascending.
        layers: Layers, ascending.
        splits: Splits.
    """

    steps: tuple[int, ...]
    layers: tuple[int, ...]
    splits: tuple[str, ...]

    def with_cells(self, keys: Iterable[CellKey]) -> Scope:
        """The scope with the steps and layers of these cells too."""
        places = [key.place for key in keys]
        steps = {*self.steps, *(place.step for place in places if place.step is not None)}
        layers = {*self.layers, *(place.layer for place in places)}
        return Scope(tuple(sorted(steps)), tuple(sorted(layers)), self.splits)


class Where(NamedTuple):
    """The first two fields of a row: ``ResultRow(*where, measure, ...)``.

    Attributes:
        place: Where it was measured.
        epoch: The place's step in epochs.
    """

    place: Place
    epoch: float

    def of(self, split: str) -> Where:
        """The same in another split."""
        return Where(self.place._replace(split=split), self.epoch)


def where(reader: SnapshotReader, key: CellKey, step: int | None = None) -> Where:
    """Where a cell's rows are: at its step, or at one of all snapshots."""
    at = key.place.step if step is None else step
    if at is None:
        raise ValueError(f"cell {key.place} needs a step")
    return Where(key.place._replace(step=at), reader.epoch(at))


def measure_row(at: Where, measure: str, found: MeasureValue) -> ResultRow:
    """The row of a measured number; its reason, p-value, control and how it was computed go into the note."""
    p = "" if math.isnan(found.p_value) else f"p = {found.p_value:.3g}"
    control = f"control: {found.control_name}" if found.control_name else ""
    return ResultRow(
        *at,
        measure,
        value=defined(found.value),
        low=defined(found.low),
        high=defined(found.high),
        n=found.n or None,
        control=defined(found.control),
        note="; ".join(filter(None, (found.reason, p, control, found.note))),
    )


class SpaceProbe(ABC):
    """A probe: a named computation on stored vectors, cut into independent cells.

    Implementations are frozen dataclasses with a field ``name``, so that settings are seen in the digest and cells can
    be sent to other processes.

    Attributes:
        name: Name in results and on the command line.
        version: Number to raise when the probe's answers change.
        chain: How many snapshots of one layer and split go to a worker together, the last first.
        shares: Name of what it computes first and other probes too: they go to a worker together; empty = nothing.
    """

    name: str
    version: ClassVar[int] = 1
    chain: ClassVar[int] = 1
    shares: ClassVar[str] = ""

    @abstractmethod
    def cells(self, reader: SnapshotReader, scope: Scope) -> list[CellKey]:
        """The independent pieces of work for a scope."""

    @abstractmethod
    def compute(self, reader: SnapshotReader, key: CellKey, scope: Scope) -> Sequence[Finding]:
        """Do one piece of work."""

    def compute_chain(
        self, reader: SnapshotReader, keys: Sequence[CellKey], scope: Scope
    ) -> Iterator[Sequence[Finding]]:
        """Do several pieces of work of one layer and split, the last snapshot first: one may help the next."""
        for key in keys:
            yield self.compute(reader, key, scope)

    def digest(self, *inputs: str) -> str:
        """Digest of the probe's settings, its version, and the checksums of what it reads."""
        return digest(self, self.version, *inputs)


def digest(settings: Any, version: int, *inputs: str) -> str:
    """Digest of settings, a version, and the checksums of what is read.

    Args:
        settings: A dataclass; its fields are the settings.
        version: Number to raise when the answers change.
        *inputs: Checksums of the vectors, and other things that the answer depends on.
    """
    fields = {key: value for key, value in asdict(settings).items() if key != "n_jobs"}
    content = json.dumps([type(settings).__name__, version, fields, inputs], sort_keys=True, default=str)
    return hashlib.sha256(content.encode("utf-8")).hexdigest()[:16]


class OneSpaceProbe(SpaceProbe):
    """A probe whose cells are of one snapshot, layer and split each."""

    def cells(self, reader: SnapshotReader, scope: Scope) -> list[CellKey]:
        """One cell per snapshot, layer and split; none at layers that a snapshot does not have."""
        return [
            CellKey(Place(self.name, layer, split, step), self.digest(*self._inputs(reader, step, split, layer, scope)))
            for split in scope.splits
            for layer in scope.layers
            for step in scope.steps
            if reader.has(step, layer)
        ]

    def _inputs(self, reader: SnapshotReader, step: int, split: str, layer: int, scope: Scope) -> tuple[str, ...]:
        """Checksums of what a cell reads."""
        return (reader.checksum(step, split, layer),)


class TrainTestProbe(SpaceProbe):
    """A probe whose cells are of one snapshot and layer each, of both splits.

    Attributes:
        split: The split that a cell is stored under.
    """

    split: ClassVar[str] = "test"

    def cells(self, reader: SnapshotReader, scope: Scope) -> list[CellKey]:
        """One cell per snapshot and layer; none unless train and test are both looked at."""
        if not {"train", "test"} <= set(scope.splits):
            return []
        return [
            CellKey(
                Place(self.name, layer, self.split, step),
                self.digest(reader.checksum(step, "train", layer), reader.checksum(step, "test", layer)),
            )
            for layer in scope.layers
            for step in scope.steps
            if reader.has(step, layer)
        ]
