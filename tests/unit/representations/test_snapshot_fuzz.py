"""Whatever happens to the bytes of a run: an error that names the file, or the numbers that were stored."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from closerlook.representations.format import SnapshotError
from closerlook.representations.reader import SnapshotReader
from closerlook.representations.writer import SnapshotWriter, publish, write_examples
from closerlook.results.rows import LabelPairs, Place, ResultRow, table_of
from closerlook.results.run import RunError, RunInfo
from closerlook.results.run_dir import RunDir
from closerlook.results.store import CELLS_FILE, Cell, CellKey, ResultStore

N, D, LAYERS, STEPS = 6, 4, (0, 1), (0, 30)
FUZZ = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])

Damage = Callable[[bytes], bytes]


def _flip(data: bytes, where: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[where % len(data)] ^= 1 << bit
    return bytes(changed)


def _overwrite(data: bytes, where: int, junk: bytes) -> bytes:
    where %= len(data)
    return data[:where] + junk + data[where + len(junk) :]


damages: st.SearchStrategy[Damage] = st.one_of(
    st.tuples(st.integers(0, 10**6), st.integers(0, 7)).map(lambda a: lambda data: _flip(data, *a)),
    st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=9)).map(
        lambda a: lambda data: _overwrite(data, *a)
    ),
    st.integers(0, 10**6).map(lambda cut: lambda data: data[: cut % len(data)]),
    st.binary(max_size=40).map(lambda junk: lambda data: junk),
    st.binary(min_size=1, max_size=20).map(lambda junk: lambda data: data + junk),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def _write_run(root: Path) -> None:
    names = [f"e{i}" for i in range(N)]
    table = {"example_id": names, "text_id": names, "label": list("ABABAB"), "form": names}
    write_examples(root, "train", pd.DataFrame(table))
    for step in STEPS:
        for part in range(2):
            rows = range(N * part // 2, N * (part + 1) // 2)
            writer = SnapshotWriter(
                root, step, layers=LAYERS, dtype="float32", rows={"train": rows}, n_features={"train": D}, part=part
            )
            vectors = np.random.default_rng([step, part]).normal(size=(len(rows), D)).astype(np.float32)
            writer.write("train", np.array(rows), dict.fromkeys(LAYERS, vectors))
            writer.close()
        publish(
            root, step, epoch=step / 10, layers=LAYERS, dtype="float32", n_features={"train": D},
            n_examples={"train": N}, n_parts=2,
        )  # fmt: skip


def _read_all(root: Path) -> dict[str, Any]:
    reader = SnapshotReader(root)
    read: dict[str, Any] = {"moments": [(step, reader.epoch(step)) for step in reader.steps], "splits": reader.splits}
    read["examples"] = reader.examples("train").to_dict("list")
    for step in reader.steps:
        for layer in reader.layers:
            read[f"{step}/{layer}"] = reader.vectors(step, "train", layer).tolist()
    return read


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[Path]]:
    root = tmp_path_factory.mktemp("fuzz") / "snapshots"
    _write_run(root)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    assert len(files) == 1 + len(STEPS) * (1 + len(LAYERS) * 2)
    return root, _read_all(root), files


@pytest.mark.parametrize(
    "kind", ["examples/train.parquet", "step-00000030/manifest.json", "step-00000030/train/layer-01.part-001.npy"]
)
@given(damage=damages)
@settings(FUZZ, max_examples=80)
def test_a_damaged_file_is_named_or_changes_nothing(
    kind: str, damage: Damage, stored: tuple[Path, dict[str, Any], list[Path]]
) -> None:
    root, whole, files = stored
    path = next(file for file in files if file.relative_to(root).as_posix() == kind)
    before = path.read_bytes()
    path.write_bytes(damage(before))
    message = ""
    try:
        assert _read_all(root) == whole
        assert path.read_bytes() == before or json.loads(path.read_bytes()) == json.loads(before)
    except SnapshotError as error:
        message = str(error)
    finally:
        path.write_bytes(before)
    assert not message or (path.name in message and ("train.py" in message or "the version of" in message)), message


@given(content=json_values)
@settings(FUZZ, max_examples=30)
def test_any_json_in_place_of_a_manifest(content: Any, stored: tuple[Path, dict[str, Any], list[Path]]) -> None:
    root, _, files = stored
    path = next(file for file in files if file.name == "manifest.json")
    before = path.read_bytes()
    for text in (json.dumps(content), json.dumps(json.loads(before) | {"parts": content}), "[" * 100_000):
        path.write_text(text)
        try:
            with pytest.raises(SnapshotError, match=r"manifest\.json (is damaged|has format version)"):
                SnapshotReader(root)
        finally:
            path.write_bytes(before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step": 30}, "it is of step 30, expected that of its folder"),
        ({"format_version": 2}, "has format version 2, this code reads 1"),
        ({"colour": "red"}, "colour"),
        (
            {"parts": {"train/layer-00": [{"file": "../x.npy", "start": 0, "n_rows": 6, "sha256": ""}]}},
            "one below",
        ),
        (
            {"parts": {"train/layer-00": [{"file": "/x.npy", "start": 0, "n_rows": 6, "sha256": ""}]}},
            "below its folder",
        ),
    ],
)
def test_a_manifest_edited_by_hand(
    change: dict[str, Any], message: str, stored: tuple[Path, dict[str, Any], list[Path]]
) -> None:
    root, _, _ = stored
    path = root / "step-00000000" / "manifest.json"
    before = path.read_text()
    content = json.loads(before)
    del content["checksum"]
    path.write_text(json.dumps(content | change))
    try:
        with pytest.raises(SnapshotError, match=message):
            SnapshotReader(root)
    finally:
        path.write_text(before)


def _cell(place: Place) -> Cell:
    step = place.step or 0
    pairs = LabelPairs(place, step / 10, "label_distance", ("a", "b", "c"), np.array([1.5, np.nan, step]), "why")
    row = ResultRow(place, step / 10, "n_clusters", value=place.layer + step + 0.25)
    return Cell.of(CellKey(place, f"digest{step}"), 0.5, [row, pairs])


def _cells() -> list[Cell]:
    return [_cell(Place("direct", layer, "train", step)) for layer in LAYERS for step in STEPS]


@given(damage=damages)
@settings(FUZZ, max_examples=80)
def test_damaged_results_are_left_out_and_computed_again(damage: Damage, tmp_path: Path) -> None:
    path = tmp_path / CELLS_FILE
    path.unlink(missing_ok=True)
    whole = ResultStore(tmp_path)
    for cell in _cells():
        whole.add(cell)
    path.write_bytes(damage(path.read_bytes()))
    store = ResultStore(tmp_path)
    kept = [cell for cell in _cells() if cell.key in store]
    pd.testing.assert_frame_equal(store.table(), table_of(part for cell in kept for part in cell.parts()))
    missing = [cell for cell in _cells() if cell.key not in store]
    for cell in missing:
        store.add(cell)
    again = ResultStore(tmp_path)
    pd.testing.assert_frame_equal(again.table(), whole.table())


def test_results_of_another_version_are_computed_again(tmp_path: Path) -> None:
    import zlib

    store = ResultStore(tmp_path)
    store.add(_cells()[0])
    line = (tmp_path / CELLS_FILE).read_bytes().rstrip(b"\n").split(b" ", 1)[1]
    old = line.replace(b'"control"', b'"baseline"')
    assert old != line
    (tmp_path / CELLS_FILE).write_bytes(f"{zlib.crc32(old):08x} ".encode() + old + b"\n")
    store = ResultStore(tmp_path)
    assert (len(store), store.damaged, store.foreign) == (0, 0, 1)
    assert store.left_out == "1 line(s) of another version"
    store.mend()
    assert ResultStore(tmp_path).left_out == ""


RUN_FILES: dict[str, Callable[[Path], Any]] = {
    "run.json": lambda folder: RunDir(folder).info(),
    "config.yaml": lambda folder: RunDir(folder).config(),
    "metrics.csv": lambda folder: RunDir(folder).history(),
}
INFO = RunInfo("pos", "word", "m", "x", "1", 0, ("a", "b"), 2, 8, 6, 3, 1, 9, "2025-01-02T03:04:05+00:00")
CONTENT = {
    "run.json": json.dumps(asdict(INFO)).encode(),
    "config.yaml": b"task:\n  name: pos\nseed: 0\nrun_dir: ${task.name}\n",
    "metrics.csv": b"step,epoch,train/loss\n0,0.0,1.5\n9,1.0,\n",
}


@pytest.mark.parametrize("name", list(RUN_FILES))
@given(damage=damages)
@settings(FUZZ, max_examples=60)
def test_damaged_files_of_a_run_are_named(name: str, damage: Damage, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(CONTENT[name])
    RUN_FILES[name](tmp_path)
    (tmp_path / name).write_bytes(damage(CONTENT[name]))
    with contextlib.suppress(RunError):
        RUN_FILES[name](tmp_path)


@given(damage=damages)
@settings(FUZZ, max_examples=80)
def test_a_damaged_checkpoint_is_refused_or_holds_the_same_weights(damage: Damage, tmp_path: Path) -> None:
    import pickle

    import torch

    from closerlook.callbacks.checkpoint_file import check_checkpoint

    path = tmp_path / "last.ckpt"
    weights = {"a": torch.arange(6.0), "b": torch.arange(6.0) + 1}
    torch.save({"state_dict": weights, "global_step": 7}, path)
    check_checkpoint(path)
    path.write_bytes(damage(path.read_bytes()))
    try:
        check_checkpoint(path)
        found = torch.load(path, weights_only=True)
    except (RunError, RuntimeError, pickle.UnpicklingError):  # the last two become a RunError in pipelines.fine_tune
        return
    assert found["global_step"] == 7
    assert all(torch.equal(found["state_dict"][name], weights[name]) for name in weights)
