"""Whatever the bytes are: a reader parses them, or says what is wrong. It never falls over."""

from __future__ import annotations

import contextlib
import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from closerlook.data.data_errors import DataError
from closerlook.data.readers.conllu import CONLLU
from closerlook.data.readers.conllulex import CONLLULEX
from closerlook.data.readers.table_files import read_table
from closerlook.data.readers.trec import read_trec
from closerlook.data.task_settings import TaskSettings
from closerlook.data.tasks import load_corpus
from closerlook.data.written_lists import parse_written_list

FIXTURES = Path(__file__).parents[2] / "fixtures" / "data"
READERS: dict[str, tuple[Callable[[Path], Any], bytes]] = {
    "conllu": (CONLLU.read, (FIXTURES / "mini.conllu").read_bytes()),
    "conllulex": (CONLLULEX.read, (FIXTURES / "mini.conllulex").read_bytes()),
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


ENDINGS = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".conll", ".csv.gz")
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 9),
    st.floats(),
    st.text(max_size=6),
    st.lists(st.text(max_size=3)),
    st.sampled_from(["['a', 'b']", "['a' 'b'", "O B-PER", "1.0", "NA", '"x', "a\tb", "\ud800", "-1"]),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)


def whole(task: str, path: Path, **others: Any) -> None:
    """All that stands between a file and a corpus: right, or one error."""
    columns = {"text_column": "a", "label_column": "b"} if task == "text_classification" else {}
    columns = columns or {"words_column": "a", "labels_column": "b"}
    files = {"train": str(path), "test": str(path)}
    with contextlib.suppress(DataError):
        load_corpus(TaskSettings(name=task, data_files=files, **columns, **others))


@pytest.mark.parametrize("ending", ENDINGS)
@given(data=st.one_of(st.binary(max_size=60), st.text(alphabet='ab,;"\n\r{}:[]1 \t\0', max_size=40).map(str.encode)))
@settings(bounded, max_examples=40)
def test_any_bytes_in_a_table(ending: str, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"fuzz{ending}"
    path.write_bytes(data)
    whole("token_classification" if ending == ".conll" else "text_classification", path)


@pytest.mark.parametrize("task", ["text_classification", "token_classification"])
@given(
    rows=st.lists(st.fixed_dictionaries({"a": values, "b": values}), max_size=5),
    on_empty=st.sampled_from(["error", "skip"]),
    allow_dropped_words=st.booleans(),
)
@bounded
def test_any_values_in_rows(
    task: str, rows: list[dict[str, Any]], on_empty: str, allow_dropped_words: bool, tmp_path: Path
) -> None:
    path = tmp_path / "fuzz.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    whole(task, path, on_empty=on_empty, allow_dropped_words=allow_dropped_words)


cell = st.text(alphabet="ab1.\"' ,;\n\t\r\x85\u2028é#-", min_size=1, max_size=8).filter(str.strip)


@given(rows=st.lists(st.tuples(cell, cell), min_size=1, max_size=6), delimiter=st.sampled_from(",;|"))
@bounded
def test_what_a_csv_writer_writes_comes_back(rows: list[tuple[str, str]], delimiter: str, tmp_path: Path) -> None:
    path = tmp_path / "fuzz.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([("a", "b"), *rows])
    table = read_table(path, TaskSettings())
    assert list(zip(table.columns["a"], table.columns["b"], strict=True)) == rows


@given(rows=st.lists(st.tuples(cell, cell), min_size=1, max_size=6))
@bounded
def test_lines_of_a_tsv_come_back_as_they_are(rows: list[tuple[str, str]], tmp_path: Path) -> None:
    rows = [tuple(re.sub(r"[\t\n\r]", "_", value) for value in row) for row in rows]  # what no TSV can hold
    path = tmp_path / "fuzz.tsv"
    path.write_bytes("".join(f"{a}\t{b}\n" for a, b in [("a", "b"), *rows]).encode())
    table = read_table(path, TaskSettings())
    assert list(zip(table.columns["a"], table.columns["b"], strict=True)) == rows


@given(words=st.lists(st.text(max_size=6).filter(lambda w: "\0" not in w), min_size=1, max_size=8))
@bounded
def test_lists_written_by_python_and_numpy_come_back(words: list[str]) -> None:
    assert parse_written_list(str(words)) == words
    assert parse_written_list("[" + " ".join(map(repr, words)) + "]") == words
    assert parse_written_list(str(np.array(words, dtype=object))) == words


@given(text=st.text(max_size=30))
@bounded
def test_any_text_as_a_written_list(text: str) -> None:
    for written in (text, f"[{text}]", f"['{text}']"):
        found = parse_written_list(written)
        assert found is None or isinstance(found, list)
