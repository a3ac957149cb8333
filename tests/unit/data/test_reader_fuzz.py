"""Whatever the bytes are: a reader parses them, or says what is wrong. It never falls over."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from closerlook.data.data_errors import DataError
from closerlook.data.readers.conllu import read_conllu
from closerlook.data.readers.conllulex import read_conllulex
from closerlook.data.readers.trec import read_trec

FIXTURES = Path(__file__).parents[2] / "fixtures" / "data"
READERS: dict[str, tuple[Callable[[Path], Any], bytes]] = {
    "conllu": (read_conllu, (FIXTURES / "mini.conllu").read_bytes()),
    "conllulex": (read_conllulex, (FIXTURES / "mini.conllulex").read_bytes()),
    "trec": (read_trec, (FIXTURES / "mini.label").read_bytes()),
}
bounded = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def read(name: str, data: bytes, tmp_path: Path) -> Any:
    path = tmp_path / "fuzz"
    path.write_bytes(data)
    with contextlib.suppress(DataError):
        return READERS[name][0](path)
    return None


@pytest.mark.parametrize("name", READERS)
@given(data=st.binary(max_size=300))
@bounded
def test_any_bytes(name: str, data: bytes, tmp_path: Path) -> None:
    read(name, data, tmp_path)


cells = st.one_of(
    st.sampled_from(["_", "1", "2", "0", "1-2", "1.1", "2-1", "-1", "p.Time", "P", "1:1", "??", "# sent_id = s", ""]),
    st.text(max_size=4),
)
lines = st.lists(st.one_of(st.lists(cells, min_size=10, max_size=10), st.lists(cells, min_size=19, max_size=19)))


@pytest.mark.parametrize("name", READERS)
@given(rows=lines, end=st.sampled_from(["\n", "\r\n", "\r"]))
@bounded
def test_rows_of_likely_cells(name: str, rows: list[list[str]], end: str, tmp_path: Path) -> None:
    text = end.join(["# sent_id = s", *("\t".join(row) for row in rows)])
    read(name, text.encode("utf-8", "surrogatepass"), tmp_path)


@pytest.mark.parametrize("name", READERS)
@given(where=st.integers(0, 10_000), n_removed=st.integers(0, 40), inserted=st.binary(max_size=4))
@bounded
def test_damaged_files(name: str, where: int, n_removed: int, inserted: bytes, tmp_path: Path) -> None:
    good = READERS[name][1]
    where %= len(good)
    read(name, good[:where] + inserted + good[where + n_removed :], tmp_path)


@pytest.mark.parametrize("name", READERS)
def test_the_undamaged_file_is_read(name: str, tmp_path: Path) -> None:
    assert read(name, READERS[name][1], tmp_path)


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
@given(data=st.one_of(st.binary(max_size=60), st.text(alphabet='a,"\n{}:[]1 \t', max_size=40).map(str.encode)))
@settings(bounded, max_examples=12)
def test_any_bytes_in_a_table(ending: str, data: bytes, tmp_path: Path) -> None:
    from closerlook.data.readers.tabular import read_table

    path = tmp_path / f"fuzz{ending}"
    path.write_bytes(data)
    with contextlib.suppress(DataError):
        read_table(path)
