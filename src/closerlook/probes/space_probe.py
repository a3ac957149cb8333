"""The interface of a probe that looks at stored snapshots, and what all of them share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, Protocol

from closerlook.representations.reader import SnapshotReader
from closerlook.results.rows import ResultRow
from closerlook.results.store import CellKey

TRAIN_TEST = "train-test"
"""Split name of measures that use both splits."""


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


class SpaceProbe(Protocol):
    """A probe: a named computation on stored vectors, cut into independent cells.

    Implementations are frozen dataclasses, so that settings are seen in the digest and cells can be sent
    to other processes.
    """

    @property
    def name(self) -> str:
        """Name in results and on the command line."""
        ...

    def cells(self, reader: SnapshotReader, scope: Scope) -> list[CellKey]:
        """The independent pieces of work for a scope."""
        ...

    def compute(self, reader: SnapshotReader, cell: CellKey, scope: Scope) -> list[ResultRow]:
        """Do one piece of work."""
        ...


def digest(probe: Any, version: int, *inputs: str) -> str:
    """Digest of a probe's settings, its version, and the checksums of what it reads.

    Args:
        probe: A dataclass; its fields are the settings.
        version: Number to raise when the probe's answers change.
        *inputs: Checksums of the vectors, and other things that the answer depends on.
    """
    if not is_dataclass(probe) or isinstance(probe, type):
        raise TypeError(f"a probe must be a dataclass instance, got {probe!r}")
    settings = {key: value for key, value in asdict(probe).items() if key != "n_jobs"}
    content = json.dumps([type(probe).__name__, version, settings, inputs], sort_keys=True, default=str)
    return hashlib.sha256(content.encode("utf-8")).hexdigest()[:16]


def per_space_cells(
    probe: Any, version: int, reader: SnapshotReader, scope: Scope, *, extra: Sequence[str] = ()
) -> list[CellKey]:
    """One cell per snapshot, layer and split."""
    return [
        CellKey(
            probe.name,
            layer,
            split,
            step,
            digest(probe, version, reader.checksum(step, split, layer), *extra),
        )
        for split in scope.splits
        for layer in scope.layers
        for step in scope.steps
    ]


def per_path_cells(probe: Any, version: int, reader: SnapshotReader, scope: Scope) -> list[CellKey]:
    """One cell per layer and split, over all snapshots."""
    cells = []
    for split in scope.splits:
        for layer in scope.layers:
            inputs = [reader.checksum(step, split, layer) for step in scope.steps]
            cells.append(CellKey(probe.name, layer, split, None, digest(probe, version, *inputs)))
    return cells
