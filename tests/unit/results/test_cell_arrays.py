"""Arrays beside cells: they come back as they were, and a cell without its file is no finished cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from closerlook.errors import UserError
from closerlook.results.cell_arrays import ARRAYS_FOLDER, CellArrays, arrays_file
from closerlook.results.rows import Place, ResultRow
from closerlook.results.store import Cell, CellKey, ResultStore

PLACE = Place("../film", 1, "train-test", None)


def cell(digest: str, value: float = 1.0) -> Cell:
    row = ResultRow(PLACE._replace(step=5), 1.0, "accuracy", value=value)
    return Cell.of(
        CellKey(PLACE, digest), 0.1, [row, CellArrays({"xy": np.full((2, 3), value), "names": np.array(["a"])})]
    )


def test_arrays_come_back_beside_rows_and_stay_inside_the_folder(tmp_path: Path):
    ResultStore(tmp_path / "results").add(cell("one"))
    store = ResultStore(tmp_path / "results")
    (found,) = store.cells()
    arrays = store.arrays(found)
    np.testing.assert_array_equal(arrays["xy"], np.ones((2, 3)))
    assert arrays["names"].tolist() == ["a"]
    assert [row.value for row in found.rows()] == [1.0]
    assert len(store.table()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"results"}, "a probe's name is no path"


def test_the_file_of_a_cell_that_is_computed_otherwise_goes(tmp_path: Path):
    store = ResultStore(tmp_path)
    store.add(cell("one"))
    store.add(cell("two", 2.0))
    assert [path.suffix for path in (tmp_path / ARRAYS_FOLDER).iterdir()] == [".npz"]
    assert store.arrays(store.cells()[0])["xy"][0, 0] == 2.0


def test_without_its_file_a_cell_is_computed_again(tmp_path: Path):
    store = ResultStore(tmp_path)
    store.add(cell("one"))
    path = arrays_file(tmp_path, store.cells()[0].key)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"!")
    with pytest.raises(UserError, match=r"is damaged or missing: expected the arrays"):
        store.arrays(store.cells()[0])
    path.unlink()
    again = ResultStore(tmp_path)
    assert cell("one").key not in again
    assert again.damaged == again.foreign == 0
    again.add(cell("one"))
    assert cell("one").key in ResultStore(tmp_path)


def test_a_cell_without_arrays_has_none(tmp_path: Path):
    store = ResultStore(tmp_path)
    store.add(Cell.of(CellKey(PLACE, "one"), 0.1, []))
    assert store.arrays(store.cells()[0]) == {}
    assert not (tmp_path / ARRAYS_FOLDER).exists()
