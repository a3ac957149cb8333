"""Finished cells of pre-trained spaces, taken over by other runs that start from the very same space.

All seeds of a model and task start from one pre-trained encoder, and so do all encoders that are looked into with that
task: step 0 is the same examples with the same vectors, and is probed once. Same means the same bytes: the digest of a
cell covers the vectors, and the examples (labels included) are compared here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from closerlook.representations.reader import SnapshotReader
from closerlook.results.store import Cell, CellKey, ResultStore

_FIRST = 0


class KnownCells:
    """Cells at step 0 of the runs that this process has probed."""

    def __init__(self) -> None:
        self._cells: dict[tuple[str, CellKey], Cell] = {}

    def learn(self, reader: SnapshotReader, store: ResultStore) -> None:
        """Remember a run's cells at step 0.

        Args:
            reader: The run's snapshots.
            store: Its finished cells.
        """
        space = _examples(reader)
        first = (cell for cell in store.cells() if cell.key.place.step == _FIRST)
        self._cells |= {(space, cell.key): cell for cell in first if not cell.arrays_sha256}  # their file stays there

    def give(self, reader: SnapshotReader, wanted: Iterable[CellKey], store: ResultStore) -> None:
        """Add to a run's store those of the wanted cells that another run has finished on the same space.

        Args:
            reader: The run's snapshots.
            wanted: Keys of the cells that are going to be computed.
            store: The run's finished cells; written to.
        """
        space = _examples(reader)
        for key in wanted:
            if (space, key) in self._cells and key not in store:
                store.add(self._cells[space, key])


def _examples(reader: SnapshotReader) -> str:
    """Digest of the examples and labels of all stored splits."""
    content = "".join(f"{split}\n{reader.examples(split).to_csv(index=False)}" for split in sorted(reader.splits))
    return hashlib.sha256(content.encode("utf-8")).hexdigest()
