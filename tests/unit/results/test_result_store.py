import json
import math
import os
import zlib
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from closerlook.results.rows import COLUMNS, LabelPairs, Place, ResultRow, to_table
from closerlook.results.store import CELLS_FILE, TABLE_FILE, Cell, CellKey, ResultStore


def make_cell(step: int = 0, value: float | None = 1.5, digest: str = "d", label: str = "NOUN") -> Cell:
    place = Place("direct", 6, "train", step)
    row = ResultRow(place, 0.5, "min_distance", label, value=value, note="" if value else "why")
    return Cell.of(CellKey(place, digest), 0.1, [row])


def test_cells_survive_reopening(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    store.add(make_cell(0))
    store.add(make_cell(10, None))
    again = ResultStore(tmp_path)
    assert [cell.rows() for cell in again.cells()] == [cell.rows() for cell in store.cells()]
    assert make_cell(10).key in again
    assert again.damaged == 0


def test_missing_value_is_nan_with_its_reason(tmp_path: Path) -> None:
    table = to_table(make_cell(0, None).rows())
    assert math.isnan(table.value[0])
    assert table.note[0] == "why"
    assert tuple(table.columns) == COLUMNS


def test_cell_with_another_digest_is_not_finished(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    store.add(make_cell(0, 1.0, "old"))
    assert make_cell(0, digest="new").key not in store
    store.add(make_cell(0, 2.0, "new"))
    assert len(ResultStore(tmp_path)) == 1
    assert ResultStore(tmp_path).table().value.tolist() == [2.0]


@pytest.mark.parametrize("kept_bytes", [1, 20, -3])
def test_line_cut_by_a_killed_process_is_computed_again_and_nothing_else_is_lost(
    tmp_path: Path, kept_bytes: int
) -> None:
    store = ResultStore(tmp_path)
    store.add(make_cell(0))
    whole = (tmp_path / CELLS_FILE).read_bytes()
    store.add(make_cell(10))
    both = (tmp_path / CELLS_FILE).read_bytes()
    end = len(whole) + kept_bytes if kept_bytes > 0 else len(both) + kept_bytes
    (tmp_path / CELLS_FILE).write_bytes(both[:end])
    cut = ResultStore(tmp_path)
    assert cut.damaged == 1
    assert make_cell(0).key in cut
    assert make_cell(10).key not in cut
    cut.add(make_cell(10))
    assert len(ResultStore(tmp_path)) == 2


def test_flipped_bit_is_noticed(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    store.add(make_cell(0))
    data = bytearray((tmp_path / CELLS_FILE).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / CELLS_FILE).write_bytes(bytes(data))
    assert ResultStore(tmp_path).damaged == 1
    assert len(ResultStore(tmp_path)) == 0


def test_table_round_trips_through_parquet(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    store.add(make_cell(0, label="ümlaut, <b>\n"))
    store.add(make_cell(10, None))
    read = pd.read_parquet(store.write_table())
    pd.testing.assert_frame_equal(read.astype(store.table().dtypes), store.table())
    assert not list(tmp_path.glob(".*tmp"))


def test_table_can_be_limited_to_some_cells(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    store.add(make_cell(0))
    store.add(make_cell(10))
    assert store.table([make_cell(10).key]).step.tolist() == [10]
    assert store.table([]).empty


def add_many(folder: Path, layer: int, n: int) -> None:
    store = ResultStore(folder)
    for step in range(n):
        place = Place("direct", layer, "train", step)
        store.add(Cell.of(CellKey(place, "d"), 0.0, [ResultRow(place, 0.0, "x", value=float(layer))]))
    store.write_table()


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    jobs = [get_context("fork").Process(target=add_many, args=(tmp_path, layer, 40)) for layer in range(3)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    store = ResultStore(tmp_path)
    assert (len(store), store.damaged) == (120, 0)
    assert len(pd.read_parquet(tmp_path / TABLE_FILE)) == 120  # the table is of the disk, not of one's own memory


def test_what_a_killed_process_left_behind_is_cleared(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    store.add(make_cell(0))
    (tmp_path / ".results.parquet.12345.tmp").write_bytes(b"half")
    store.write_table()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "cells.jsonl", "made.json", "results.parquet"]


def test_the_table_is_of_the_disk(tmp_path: Path) -> None:
    slow, quick = ResultStore(tmp_path), ResultStore(tmp_path)
    quick.add(make_cell(0))
    slow.add(make_cell(10))
    assert pd.read_parquet(slow.write_table()).step.tolist() == [0, 10]


def test_cells_of_vanished_snapshots_are_left_out(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results", tmp_path / "snapshots")
    store.add(make_cell(0))
    store.add(make_cell(10))
    assert store.table().step.tolist() == [0, 10]  # no snapshots at all: they were deleted to save space
    manifest = tmp_path / "snapshots" / "step-00000010" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.touch()
    assert store.table().step.tolist() == [10]
    assert pd.read_parquet(store.write_table()).step.tolist() == [10]


def test_what_was_made_is_compared_by_content(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    store.add(make_cell(0))
    report = tmp_path / "report.html"
    report.write_text("a")
    store.record_made(report)
    store.write_table()
    os.utime(report, (2e9, 2e9))  # a clock that is ahead says nothing
    assert store.is_current(report)
    assert store.is_current(store.table_file)
    report.write_text("b")
    assert not store.is_current(report)
    assert store.is_current(store.table_file)
    store.add(make_cell(10))
    assert not store.is_current(store.table_file)
    data = bytearray(store.write_table().read_bytes())
    data[40] ^= 1
    store.table_file.write_bytes(bytes(data))
    assert not store.is_current(store.table_file)


def test_damaged_lines_are_counted_and_mended(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    store.add(make_cell(0))
    store.add(make_cell(10))
    data = bytearray(store.path.read_bytes())
    data[20] ^= 1
    store.path.write_bytes(bytes(data))
    again = ResultStore(tmp_path)
    assert again.left_out == "1 cut or damaged line(s)"
    again.mend()
    assert ResultStore(tmp_path).left_out == ""
    assert ResultStore(tmp_path).table().step.tolist() == [10]


def line_of(content: object) -> bytes:
    data = json.dumps(content).encode()
    return f"{zlib.crc32(data):08x} ".encode() + data + b"\n"


def stored() -> dict[str, Any]:
    cell = make_cell(0)
    return {"key": cell.key.place._asdict() | {"digest": "d"}, "seconds": 0.1, "rows": dict(cell.columns)}


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("rows", {"value": 1.0}),  # one value that stands for any number of rows
        ("rows", {"value": [1.0] * 3, "label": ["a"]}),
        ("rows", {"value": ["1.0"]}),
        ("rows", {"step": [10**40]}),
        ("rows", {"probe": {"a": 1}}),
        ("key", {"step": "0"}),
        ("key", {"probe": ["direct"]}),
        ("pairs", [{"labels": ["a", "b"], "values": "AAAA"}]),
    ],
)
def test_hostile_cells_are_left_out(tmp_path: Path, part: str, change: Any) -> None:
    content = stored()
    content[part] = content[part] | change if isinstance(change, dict) else change
    (tmp_path / CELLS_FILE).write_bytes(line_of(stored()) + line_of(content))
    store = ResultStore(tmp_path)
    assert (store.foreign, len(store.table())) == (1, 1)


def test_lists_in_lists_without_end_are_left_out(tmp_path: Path) -> None:
    data = b'{"key": ' + b"[" * 100_000
    (tmp_path / CELLS_FILE).write_bytes(f"{zlib.crc32(data):08x} ".encode() + data + b"\n")
    assert ResultStore(tmp_path).foreign == 1


def test_lines_of_the_first_version_are_read(tmp_path: Path) -> None:
    """All columns as lists, without pairs."""
    content = stored()
    content["rows"] = {
        name: values if isinstance(values, list) else [values] for name, values in content["rows"].items()
    }
    (tmp_path / CELLS_FILE).write_bytes(line_of(content))
    pd.testing.assert_frame_equal(ResultStore(tmp_path).table(), to_table(make_cell(0).rows()))


def pairs_of(n: int) -> LabelPairs:
    values = np.random.default_rng(0).uniform(1, 2, size=n * (n - 1) // 2)
    values[0] = np.nan
    return LabelPairs(
        Place("direct", 1, "train", 5), 0.5, "label_distance", tuple(f"l{i:04d}" for i in range(n)), values, "why"
    )


def test_pairs_of_labels_are_kept_as_one_vector_and_listed_as_rows(tmp_path: Path) -> None:
    pairs = pairs_of(20)
    store = ResultStore(tmp_path)
    store.add(Cell.of(CellKey(pairs.place, "d"), 0.0, [pairs]))
    table = ResultStore(tmp_path).table()
    assert list(zip(table.label, table.other, strict=True)) == list(combinations(pairs.labels, 2))
    np.testing.assert_array_equal(table.value.to_numpy(), pairs.values)
    assert table.note.tolist() == ["why"] + [""] * 189
    np.testing.assert_array_equal(ResultStore(tmp_path).cells()[0].pairs[0].matrix(), pairs.matrix())
    assert (
        pairs.matrix()[3, 7]
        == pairs.matrix()[7, 3]
        == table[(table.label == "l0003") & (table.other == "l0007")].value.item()
    )


def test_of_many_labels_the_nearest_pairs_are_listed_and_all_are_kept(tmp_path: Path) -> None:
    pairs = pairs_of(500)
    store = ResultStore(tmp_path)
    store.add(Cell.of(CellKey(pairs.place, "d"), 0.0, [pairs]))
    assert store.path.stat().st_size < 12 * len(pairs.values)  # 8 bytes a pair, in base64
    table = store.table()
    square = pairs.matrix()
    np.fill_diagonal(square, np.inf)
    for i in (0, 3, 499):
        own = table[(table.label == pairs.labels[i]) | (table.other == pairs.labels[i])]
        nearest = np.sort(np.nan_to_num(square[i], nan=np.inf))[:10]
        assert set(nearest) <= set(own.value)
    assert 500 * 10 / 2 <= len(table) <= 500 * 10
    assert table.note[0] == "of 500 labels, the 10 nearest to each are listed"
