"""Finished cells of a probe: an append-only file that survives being killed, and the tidy table of it."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from closerlook.files import replacing
from closerlook.results.rows import COLUMNS, ResultRow, as_table

CELLS_FILE = "cells.jsonl"
TABLE_FILE = "results.parquet"


@dataclass(frozen=True, slots=True)
class CellKey:
    """What one finished piece of work is about.

    Attributes:
        probe: The probe's name.
        layer: The layer it looked at.
        split: The split it looked at.
        step: The snapshot's step; None for work that spans all snapshots.
        digest: Digest of the probe's settings, its version and the checksums of the vectors it read.
    """

    probe: str
    layer: int
    split: str
    step: int | None
    digest: str


@dataclass(frozen=True)
class Cell:
    """A finished piece of work: its key, the seconds it took, and its rows."""

    key: CellKey
    seconds: float
    rows: tuple[ResultRow, ...]


class ResultStore:
    """Finished cells in ``<folder>/cells.jsonl``: one line a cell, each with its checksum.

    A line cut off by a killed process, or damaged on disk, fails its checksum; it is left out, counted in
    ``damaged``, and its cell is computed again. Nothing else is lost. When a cell was computed with two
    digests (other settings, other vectors), the later line stands.

    Args:
        folder: The run's results folder; made when the first cell is added.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.damaged = 0
        self._cells: dict[tuple[str, int, str, int | None], Cell] = {}
        self._read()

    def __contains__(self, key: CellKey) -> bool:
        cell = self._cells.get(_place(key))
        return cell is not None and cell.key == key

    def __len__(self) -> int:
        return len(self._cells)

    def add(self, cell: Cell) -> None:
        """Append one finished cell and flush it to disk."""
        self.folder.mkdir(parents=True, exist_ok=True)
        line = _encode(cell)
        path = self.folder / CELLS_FILE
        with path.open("ab") as handle:
            if handle.tell() and not _ends_with_newline(path):
                handle.write(b"\n")  # a killed process left half a line: close it, so that ours stands alone
            handle.write(line)
            handle.flush()
            os.fsync(handle.fileno())
        self._cells[_place(cell.key)] = cell

    def cells(self) -> list[Cell]:
        """All finished cells, ordered by probe, layer, split and step."""
        return [self._cells[place] for place in sorted(self._cells, key=_order)]

    def table(self, wanted: Iterable[CellKey] | None = None) -> pd.DataFrame:
        """The tidy table of all finished cells, or of the ones in ``wanted``; see :data:`COLUMNS`."""
        keys = None if wanted is None else set(wanted)
        chosen = [cell for cell in self.cells() if keys is None or cell.key in keys]
        return as_table([asdict(row) for cell in chosen for row in cell.rows])

    def write_table(self, wanted: Iterable[CellKey] | None = None) -> Path:
        """Write the tidy table as ``results.parquet``, all or nothing, and return its path."""
        path = self.folder / TABLE_FILE
        with replacing(path) as temporary:
            self.table(wanted).to_parquet(temporary, index=False)
        return path

    def _read(self) -> None:
        path = self.folder / CELLS_FILE
        if not path.exists():
            return
        for line in path.read_bytes().split(b"\n"):
            if not line:
                continue
            cell = _decode(line)
            if cell is None:
                self.damaged += 1
            else:
                self._cells[_place(cell.key)] = cell


def _place(key: CellKey) -> tuple[str, int, str, int | None]:
    return (key.probe, key.layer, key.split, key.step)


def _order(place: tuple[str, int, str, int | None]) -> tuple[str, int, str, int]:
    return (*place[:3], -1 if place[3] is None else place[3])


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as handle:
        handle.seek(-1, os.SEEK_END)
        return handle.read(1) == b"\n"


def _encode(cell: Cell) -> bytes:
    columns = {name: [getattr(row, name) for row in cell.rows] for name in COLUMNS}
    body = json.dumps({"key": asdict(cell.key), "seconds": cell.seconds, "rows": columns}, ensure_ascii=False)
    data = body.encode("utf-8")
    return f"{zlib.crc32(data):08x} ".encode("ascii") + data + b"\n"


def _decode(line: bytes) -> Cell | None:
    """The cell of a line; None when it is cut, damaged (its checksum says so) or of another version."""
    checksum, _, data = line.partition(b" ")
    if checksum != f"{zlib.crc32(data):08x}".encode("ascii"):
        return None
    try:
        content = json.loads(data)
        columns = content["rows"]
        rows = tuple(
            ResultRow(**dict(zip(COLUMNS, row, strict=True)))
            for row in zip(*(columns[c] for c in COLUMNS), strict=True)
        )
        return Cell(CellKey(**content["key"]), content["seconds"], rows)
    except (ValueError, KeyError, TypeError):  # another version's columns
        return None
