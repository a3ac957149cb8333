import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from closerlook.files import sha256_of
from closerlook.representations.format import HEAD_FILE, MANIFEST_FILE, SnapshotError, TunedHead, step_folder
from closerlook.representations.reader import SnapshotReader
from closerlook.representations.writer import SnapshotWriter, discard_unfinished, publish, write_examples

N, D, LAYERS = 7, 3, (0, 2)


def examples(n: int = N) -> pd.DataFrame:
    ids = [f"t{i}" for i in range(n)]
    labels = ["AB"[i % 2] for i in range(n)]
    return pd.DataFrame({"example_id": ids, "text_id": ids, "label": labels, "form": ids})


def vectors(seed: int = 0) -> dict[int, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {layer: rng.normal(size=(N, D)).astype(np.float32) for layer in LAYERS}


def store(
    root: Path,
    step: int,
    values: dict[int, np.ndarray],
    *,
    parts: int = 1,
    dtype: str = "float32",
    head: TunedHead | None = None,
) -> None:
    rng = np.random.default_rng(step)
    for part in range(parts):
        rows = range(N * part // parts, N * (part + 1) // parts)
        writer = SnapshotWriter(
            root, step, layers=LAYERS, dtype=dtype, rows={"train": rows}, n_features={"train": D}, part=part
        )
        order = rng.permutation(np.arange(rows.start, rows.stop))
        for chunk in np.array_split(order, 2):
            writer.write("train", chunk, {layer: values[layer][chunk] for layer in LAYERS})
        writer.close()
    publish(
        root, step, epoch=step / 10, layers=LAYERS, dtype=dtype, n_features={"train": D}, n_examples={"train": N},
        n_parts=parts, head=head,
    )  # fmt: skip


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_rows_written_in_any_order_come_back_in_place(tmp_path: Path, parts: int) -> None:
    write_examples(tmp_path, "train", examples())
    values = vectors()
    store(tmp_path, 10, values, parts=parts)
    reader = SnapshotReader(tmp_path)
    assert reader.steps == (10,)
    assert reader.layers == LAYERS
    assert reader.splits == ("train",)
    assert reader.epoch(10) == 1.0
    for layer in LAYERS:
        np.testing.assert_array_equal(reader.vectors(10, "train", layer), values[layer])
    assert reader.labels("train").tolist() == examples().label.tolist()
    reader.verify(10)


def test_one_layer_is_a_read_only_memory_map(tmp_path: Path) -> None:
    store(tmp_path, 0, vectors())
    array = SnapshotReader(tmp_path).vectors(0, "train", 2)
    assert isinstance(array, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1


def test_the_head_that_was_tuned_with_a_space_is_kept_beside_it(tmp_path: Path) -> None:
    head = TunedHead(2, np.array(["A", "B"]), np.arange(6.0).reshape(2, 3), np.array([0.5, -0.5]))
    store(tmp_path, 0, vectors())
    store(tmp_path, 10, vectors(), head=head)
    reader = SnapshotReader(tmp_path)
    assert reader.head(0) is None
    found = reader.head(10)
    assert found is not None
    assert (found.layer, found.classes.tolist(), found.bias.tolist()) == (2, ["A", "B"], [0.5, -0.5])
    np.testing.assert_array_equal(found.weights, head.weights)
    path = tmp_path / step_folder(10) / HEAD_FILE
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(SnapshotError, match=r"head\.npz is damaged"):
        SnapshotReader(tmp_path).head(10)
    with pytest.raises(SnapshotError, match=r"head\.npz is damaged"):
        SnapshotReader(tmp_path).verify(10)


def test_half_precision_keeps_three_digits(tmp_path: Path) -> None:
    values = vectors()
    store(tmp_path, 0, values, dtype="float16")
    got = SnapshotReader(tmp_path).vectors(0, "train", 0)
    assert got.dtype == np.float16
    np.testing.assert_allclose(got, values[0], rtol=1e-3)


def test_unpublished_snapshot_is_invisible_and_cleared(tmp_path: Path) -> None:
    store(tmp_path, 0, vectors())
    writer = SnapshotWriter(
        tmp_path, 5, layers=LAYERS, dtype="float32", rows={"train": range(N)}, n_features={"train": D}
    )
    writer.write("train", np.arange(N), vectors())
    assert SnapshotReader(tmp_path).steps == (0,)
    assert discard_unfinished(tmp_path) == [".writing-step-00000005"]
    assert SnapshotReader(tmp_path).steps == (0,)
    assert not list(tmp_path.glob(".writing*"))


def test_missing_rows_are_not_passed_over(tmp_path: Path) -> None:
    writer = SnapshotWriter(
        tmp_path, 5, layers=LAYERS, dtype="float32", rows={"train": range(N)}, n_features={"train": D}
    )
    first = np.arange(3)
    writer.write("train", first, {layer: v[:3] for layer, v in vectors().items()})
    with pytest.raises(SnapshotError, match="misses 4 of 7 train examples"):
        writer.close()


def test_publishing_before_every_process_is_done_fails(tmp_path: Path) -> None:
    writer = SnapshotWriter(
        tmp_path, 5, layers=LAYERS, dtype="float32", rows={"train": range(N)}, n_features={"train": D}
    )
    writer.write("train", np.arange(N), vectors())
    writer.close()
    with pytest.raises(SnapshotError, match="process 1 of 2 has not finished"):
        publish(
            tmp_path, 5, epoch=0, layers=LAYERS, dtype="float32", n_features={"train": D}, n_examples={"train": N},
            n_parts=2,
        )  # fmt: skip


@pytest.mark.parametrize(("bad", "dtype"), [(np.nan, "float32"), (np.inf, "float32"), (1e6, "float16")])
def test_vectors_that_are_not_finite_name_the_example(tmp_path: Path, bad: float, dtype: str) -> None:
    values = vectors()
    values[2][4, 1] = bad
    with pytest.raises(SnapshotError, match=r"train example 4 at layer 2 is not finite"):
        store(tmp_path, 0, values, dtype=dtype)


def test_flipped_byte_is_found_and_named(tmp_path: Path) -> None:
    store(tmp_path, 0, vectors())
    path = tmp_path / step_folder(0) / "train" / "layer-02.part-000.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    reader = SnapshotReader(tmp_path)
    reader.vectors(0, "train", 0)
    with pytest.raises(SnapshotError, match=r"layer-02\.part-000\.npy is damaged"):
        reader.verify(0)


def test_truncated_array_is_named(tmp_path: Path) -> None:
    store(tmp_path, 0, vectors())
    path = tmp_path / step_folder(0) / "train" / "layer-00.part-000.npy"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(SnapshotError, match=r"layer-00\.part-000\.npy is damaged or missing: expected the bytes of"):
        SnapshotReader(tmp_path).vectors(0, "train", 0)


def test_other_format_version_is_refused(tmp_path: Path) -> None:
    store(tmp_path, 0, vectors())
    path = tmp_path / step_folder(0) / MANIFEST_FILE
    content = json.loads(path.read_text()) | {"format_version": 99}
    del content["checksum"]
    path.write_text(json.dumps(content))
    with pytest.raises(SnapshotError, match="format version 99, this code reads 1"):
        SnapshotReader(tmp_path)


def test_pickled_array_is_never_loaded(tmp_path: Path) -> None:
    """Not even by someone who writes the checksums anew."""
    store(tmp_path, 0, vectors())
    path = tmp_path / step_folder(0) / "train" / "layer-00.part-000.npy"
    before = sha256_of(path)
    np.save(path, np.array([{"a": 1}] * N, dtype=object), allow_pickle=True)
    manifest = tmp_path / step_folder(0) / MANIFEST_FILE
    content = json.loads(manifest.read_text().replace(before, sha256_of(path)))
    del content["checksum"]
    manifest.write_text(json.dumps(content))
    with pytest.raises(SnapshotError, match=r"cannot be read .*Python objects"):
        SnapshotReader(tmp_path).vectors(0, "train", 0)


def test_asking_for_what_is_not_stored_lists_what_is(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="no complete snapshot"):
        SnapshotReader(tmp_path / "nothing")
    store(tmp_path, 0, vectors())
    reader = SnapshotReader(tmp_path)
    with pytest.raises(SnapshotError, match=r"no layer 1 of split 'train': got layers \[0, 2\]"):
        reader.vectors(0, "train", 1)
    with pytest.raises(SnapshotError, match=r"no snapshot at step 3 .* got steps \[0\]"):
        reader.vectors(3, "train", 0)
    with pytest.raises(SnapshotError, match="no split 'dev'"):
        reader.examples("dev")


def test_other_examples_in_the_same_folder_are_refused(tmp_path: Path) -> None:
    write_examples(tmp_path, "train", examples())
    write_examples(tmp_path, "train", examples())  # the same ones: a resumed run
    with pytest.raises(SnapshotError, match="lists other examples"):
        write_examples(tmp_path, "train", examples(6))


def test_sentences_are_stored_and_tables_of_earlier_versions_without_them_are_read(tmp_path: Path) -> None:
    write_examples(tmp_path, "train", examples().assign(context="a b c"))
    store(tmp_path, 0, vectors())
    assert SnapshotReader(tmp_path).examples("train")["context"].tolist() == ["a b c"] * N
    examples().to_parquet(tmp_path / "old.parquet", index=False)
    (tmp_path / "old.parquet").replace(tmp_path / "examples" / "train.parquet")
    write_examples(tmp_path, "train", examples().assign(context="a b c"))  # a run of an earlier version goes on
    store(tmp_path, 0, vectors())
    assert SnapshotReader(tmp_path).examples("train")["context"].tolist() == [""] * N


def test_same_step_again_replaces_the_snapshot(tmp_path: Path) -> None:
    store(tmp_path, 3, vectors(0))
    store(tmp_path, 3, vectors(1))
    np.testing.assert_array_equal(SnapshotReader(tmp_path).vectors(3, "train", 0), vectors(1)[0])
