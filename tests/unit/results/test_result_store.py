import math
from pathlib import Path

import pandas as pd
import pytest

from closerlook.results.rows import COLUMNS, Place, ResultRow, to_table
from closerlook.results.store import CELLS_FILE, Cell, CellKey, ResultStore


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
