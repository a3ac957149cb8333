"""Finished cells of a run: an append-only file that survives being killed, and the tidy table of it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from closerlook.errors import UserError
from closerlook.files import replacing, sha256_of
from closerlook.locks import locked
from closerlook.results.cell_arrays import CellArrays, arrays_file, read_arrays, write_arrays
from closerlook.results.rows import (
    COLUMNS,
    FLOATS,
    OF_WEIGHTS,
    TEXT,
    LabelPairs,
    Place,
    ResultRow,
    columns_of,
    table_of,
)
from closerlook.results.sealed import read_sealed, write_sealed

CELLS_FILE = "cells.jsonl"
TABLE_FILE = "results.parquet"
RANDOM_ENCODER = "_random_encoder"
"""What the names of probes on an untrained encoder end with."""

_MADE_FILE = "made.json"
_SYNC_SECONDS = 1.0
_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


class CellKey(NamedTuple):
    """What one finished piece of work is about.

    Attributes:
        place: Where; without a step when it spans all snapshots.
        digest: Digest of the probe's settings, its version and the checksums of the vectors it read.
    """

    place: Place
    digest: str


@dataclass(frozen=True, eq=False)
class Cell:
    """A finished piece of work.

    Attributes:
        key: What it is about.
        seconds: The time it took.
        columns: Its rows by column, see :func:`closerlook.results.rows.columns_of`.
        pairs: Its measures of all pairs of labels.
        arrays: Its arrays, until it is in a store.
        arrays_sha256: Checksum of the file that its arrays are in, see :meth:`ResultStore.arrays`; empty without any.
    """

    key: CellKey
    seconds: float
    columns: dict[str, Any]
    pairs: tuple[LabelPairs, ...] = ()
    arrays: dict[str, np.ndarray] | None = None
    arrays_sha256: str = ""

    @classmethod
    def of(cls, key: CellKey, seconds: float, found: Sequence[ResultRow | LabelPairs | CellArrays]) -> Cell:
        """A cell of what a probe found."""
        rows = [one for one in found if isinstance(one, ResultRow)]
        arrays = {name: array for one in found if isinstance(one, CellArrays) for name, array in one.content.items()}
        pairs = tuple(one for one in found if isinstance(one, LabelPairs))
        return cls(key, seconds, columns_of(rows), pairs, arrays or None)

    def rows(self, measure: str | None = None) -> list[ResultRow]:
        """Its rows, or those of one measure; pairs of labels are in ``pairs``."""
        n = len(self.columns["value"])
        lists = [v if isinstance(v, list) else [v] * n for v in (self.columns[name] for name in COLUMNS)]
        plain = (dict(zip(COLUMNS, values, strict=True)) for values in zip(*lists, strict=True))
        return [
            ResultRow(Place(*(row.pop(name) for name in Place._fields)), **row)
            for row in plain
            if measure is None or row["measure"] == measure
        ]

    def parts(self) -> Iterator[dict[str, Any]]:
        """Its share of the tidy table, see :func:`closerlook.results.rows.table_of`."""
        yield self.columns
        for pairs in self.pairs:
            yield pairs.columns()


class ResultStore:
    """Finished cells in ``<folder>/cells.jsonl``: one line a cell, each with its checksum.

    A line cut off by a killed process, or damaged on disk, fails its checksum; it is left out, counted in
    ``damaged``, and its cell is computed again; so is one of another version, counted in ``foreign``. Nothing else is
    lost. When a cell was computed with two digests (other settings, other vectors), the later line stands. Several
    processes may add cells at once.

    Args:
        folder: The run's results folder; made when the first cell is added.
        snapshots: The run's snapshots folder: cells of snapshots that are gone are left out of tables. None keeps all.
    """

    def __init__(self, folder: Path, snapshots: Path | None = None) -> None:
        self.folder = Path(folder)
        self.snapshots = snapshots
        self.damaged = 0
        self.foreign = 0
        self._cells: dict[Place, Cell] = {}
        self._synced = 0.0
        self._read()

    @property
    def path(self) -> Path:
        """The file of finished cells."""
        return self.folder / CELLS_FILE

    @property
    def table_file(self) -> Path:
        """The tidy table."""
        return self.folder / TABLE_FILE

    @property
    def left_out(self) -> str:
        """What could not be read, in words; empty when all could."""
        damaged = f"{self.damaged} cut or damaged line(s)" if self.damaged else ""
        foreign = f"{self.foreign} line(s) of another version" if self.foreign else ""
        return " and ".join(filter(None, (damaged, foreign)))

    def __contains__(self, key: CellKey) -> bool:
        cell = self._cells.get(key.place)
        return cell is not None and cell.key == key

    def __len__(self) -> int:
        return len(self._cells)

    def add(self, cell: Cell) -> None:
        """Append one finished cell; it outlives this process at once, and a power cut after a second."""
        if self.path.is_symlink():
            raise UserError(f"{self.path} is a symbolic link, expected a file: nothing is written through links")
        cell, former = self._with_file(cell), self._cells.get(cell.key.place)
        with self._locked(), self.path.open("ab") as handle:
            end = handle.tell()
            try:
                if end and not _ends_with_newline(self.path):
                    handle.write(b"\n")  # a killed process left half a line: close it, so that ours stands alone
                handle.write(_encode(cell))
                handle.flush()
            except OSError:  # a full disk: no half line stays
                os.truncate(self.path, end)
                raise
            if time.monotonic() - self._synced > _SYNC_SECONDS:
                os.fsync(handle.fileno())
                self._synced = time.monotonic()
        self._cells[cell.key.place] = cell
        if former is not None and former.arrays_sha256 and former.key != cell.key:
            arrays_file(self.folder, former.key).unlink(missing_ok=True)

    def arrays(self, cell: Cell) -> dict[str, np.ndarray]:
        """The arrays of a finished cell by name; empty when it has none.

        Raises:
            UserError: Their file is missing or damaged.
        """
        return read_arrays(arrays_file(self.folder, cell.key), cell.arrays_sha256) if cell.arrays_sha256 else {}

    def cells(self) -> list[Cell]:
        """All finished cells, ordered by probe, layer, split and step."""
        return [self._cells[place] for place in sorted(self._cells, key=_order)]

    def table(self, wanted: Iterable[CellKey] | None = None) -> pd.DataFrame:
        """The tidy table of all finished cells, or of the ones in ``wanted``; see :data:`COLUMNS`."""
        keys = None if wanted is None else set(wanted)
        chosen = [cell for cell in self._current() if keys is None or cell.key in keys]
        return table_of(part for cell in chosen for part in cell.parts())

    def write_table(self) -> Path:
        """Write the tidy table of what is on disk now as ``results.parquet``, all or nothing, and return its path."""
        with self._locked():
            for leftover in self.folder.glob(".*.tmp"):  # of a killed process: whoever writes here holds the lock
                leftover.unlink()
            self._read()  # other processes may have added cells
            with replacing(self.table_file) as temporary:
                self.table().to_parquet(temporary, index=False)
        self.record_made(self.table_file)
        return self.table_file

    def mend(self) -> None:
        """Take the lines that cannot be read out of the file; their cells are computed again."""
        if not self.damaged + self.foreign:
            return
        with self._locked():
            self._read()
            with replacing(self.path) as temporary:
                temporary.write_bytes(b"".join(map(_encode, self._cells.values())))
        self.damaged = self.foreign = 0

    def record_made(self, *files: Path) -> None:
        """Note that files were made from the cells as they are on disk now."""
        content = {"cells": self._digest(), "files": {self._name(path): sha256_of(path) for path in files}}
        with self._locked():
            before = self._made()
            if before.get("cells") == content["cells"]:
                content["files"] = before["files"] | content["files"]
            write_sealed(self.folder / _MADE_FILE, content)

    def is_current(self, file: Path) -> bool:
        """Whether a file was made from the cells as they are on disk now, and has not changed since."""
        made = self._made()
        expected = made.get("files", {}).get(self._name(file)) if made.get("cells") == self._digest() else None
        return expected is not None and file.is_file() and sha256_of(file) == expected

    def _made(self) -> dict[str, Any]:
        try:
            return read_sealed(self.folder / _MADE_FILE)
        except (OSError, ValueError):  # missing or damaged: the files are made again
            return {}

    def _name(self, file: Path) -> str:
        return os.path.relpath(file, self.folder)

    def _digest(self) -> str:
        """Digest of the cells on disk and of the snapshots that tables show."""
        cells = sha256_of(self.path) if self.path.exists() else ""
        return hashlib.sha256(f"{cells} {sorted(self._stored_steps() or ())}".encode()).hexdigest()

    def _locked(self) -> Any:
        return locked(self.folder / ".lock")

    def _current(self) -> list[Cell]:
        """The finished cells whose snapshots are still there."""
        steps = self._stored_steps()
        if steps is None:
            return self.cells()
        return [cell for cell in self.cells() if cell.key.place.step in steps or _spans_snapshots(cell)]

    def _stored_steps(self) -> set[int] | None:
        """Steps of the stored snapshots; None when there are none, as where they were deleted to save space."""
        if self.snapshots is None:
            return None
        names = [path.parent.name.removeprefix("step-") for path in self.snapshots.glob("step-*/manifest.json")]
        return {int(name) for name in names if name.isdigit()} or None

    def _with_file(self, cell: Cell) -> Cell:
        """The cell with its arrays on disk, where it has any."""
        if cell.arrays is None:
            return cell
        sha256 = write_arrays(arrays_file(self.folder, cell.key), cell.arrays)
        return replace(cell, arrays=None, arrays_sha256=sha256)

    def _read(self) -> None:
        self._cells.clear()
        self.damaged = self.foreign = 0
        if not self.path.exists():
            return
        with self.path.open("rb") as handle:
            for line in handle:
                self._take(line.rstrip(b"\n"))

    def _take(self, line: bytes) -> None:
        if not line:
            return
        checksum, _, data = line.partition(b" ")
        if checksum != f"{zlib.crc32(data):08x}".encode("ascii"):
            self.damaged += 1
            return
        try:
            cell = _decode(json.loads(data))
            if cell.arrays_sha256 and not arrays_file(self.folder, cell.key).is_file():
                return  # the cell is computed again
            self._cells[cell.key.place] = cell
        except _MALFORMED:
            self.foreign += 1


def _spans_snapshots(cell: Cell) -> bool:
    """Whether a cell is of all snapshots at once, of an encoder that no snapshot is of, or of weights."""
    place = cell.key.place
    return place.step is None or place.probe.endswith(RANDOM_ENCODER) or place.split == OF_WEIGHTS


def _order(place: Place) -> tuple[str, int, str, int]:
    return place.probe, place.layer, place.split, -1 if place.step is None else place.step


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as handle:
        handle.seek(-1, os.SEEK_END)
        return handle.read(1) == b"\n"


def _encode(cell: Cell) -> bytes:
    content: dict[str, Any] = {
        "key": cell.key.place._asdict() | {"digest": cell.key.digest},
        "seconds": cell.seconds,
        "rows": cell.columns,
    }
    if cell.pairs:
        content["pairs"] = [_encode_pairs(pairs) for pairs in cell.pairs]
    if cell.arrays_sha256:
        content["arrays"] = cell.arrays_sha256
    data = json.dumps(content, ensure_ascii=False).encode("utf-8")
    return f"{zlib.crc32(data):08x} ".encode("ascii") + data + b"\n"


def _encode_pairs(pairs: LabelPairs) -> dict[str, Any]:
    values = base64.b64encode(np.ascontiguousarray(pairs.values, dtype="<f8").tobytes()).decode("ascii")
    return pairs.place._asdict() | {
        "epoch": pairs.epoch,
        "measure": pairs.measure,
        "labels": pairs.labels,
        "values": values,
        "note": pairs.note,
    }


def _decode(content: dict[str, Any]) -> Cell:
    """The cell of a line.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: It is not as this version writes it.
    """
    key = content["key"]
    place = Place(*(key[name] for name in Place._fields))
    _check_place(place._replace(step=place.step or 0))
    columns = {name: content["rows"][name] for name in COLUMNS}
    n = len(_checked("value", columns["value"]))
    for name, values in columns.items():
        if len(_checked(name, values if isinstance(values, list) else [values] * n)) != n:
            raise ValueError(f"{name}: got {len(values)} values, expected {n}")
    pairs = tuple(_decode_pairs(one) for one in content.get("pairs", ()))
    arrays = str(content.get("arrays", ""))
    return Cell(CellKey(place, str(key["digest"])), float(content["seconds"]), columns, pairs, arrays_sha256=arrays)


def _decode_pairs(content: dict[str, Any]) -> LabelPairs:
    labels = tuple(_checked("label", content["labels"]))
    values = np.frombuffer(base64.b64decode(content["values"], validate=True), dtype="<f8")
    if len(values) != len(labels) * (len(labels) - 1) // 2:
        raise ValueError(f"got {len(values)} values of {len(labels)} labels, expected one a pair")
    place = Place(*(content[name] for name in Place._fields))
    _check_place(place)
    measure, note = _checked("note", [content["measure"], content["note"]])
    return LabelPairs(place, float(content["epoch"]), measure, labels, values, note)


_NUMBERS: set[type] = {float, int, type(None)}
_KINDS: dict[str, set[type]] = {"step": {int}, "layer": {int}, "n": {int, type(None)}}
_KINDS |= dict.fromkeys(FLOATS, _NUMBERS)
_KINDS |= {name: {str} for name in TEXT}
_LARGEST = 2**62


def _check_place(place: Place) -> None:
    for name, value in place._asdict().items():
        _checked(name, [value])


def _checked(name: str, values: list[Any]) -> list[Any]:
    kinds = set(map(type, values))
    if not kinds <= _KINDS[name] or (int in kinds and any(abs(v) > _LARGEST for v in values if type(v) is int)):
        raise ValueError(f"{name}: got {kinds}, expected {_KINDS[name]}")
    return values
