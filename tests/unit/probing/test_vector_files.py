"""Vectors of one's own in each format, and what is said about broken files."""

import zipfile

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from closerlook.probing import read_vectors

X = np.arange(12, dtype=np.float32).reshape(4, 3)
Y = np.array(["a", "b", "b", "ä"])


@pytest.fixture
def files(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.savez(tmp_path / "x.npz", X=X, y=Y)
    np.savez(tmp_path / "two.npz", first=X, second=X * 2)
    save_file({"embeddings": X}, tmp_path / "x.safetensors")
    pd.DataFrame({"vector": list(X), "label": Y}).to_parquet(tmp_path / "x.parquet")
    pd.DataFrame({"f0": X[:, 0], "f1": X[:, 1], "f2": X[:, 2], "label": [1, 2, 2, 3]}).to_parquet(
        tmp_path / "columns.parquet"
    )
    (tmp_path / "y.txt").write_text("\n".join(Y) + "\n", encoding="utf-8")
    np.save(tmp_path / "y.npy", Y)
    pd.DataFrame({"text": list("wxyz"), "label": Y}).to_csv(tmp_path / "y.csv", index=False)
    return tmp_path


@pytest.mark.parametrize("labels", ["y.txt", "y.npy", "y.csv", "x.npz", "x.parquet"])
@pytest.mark.parametrize("vectors", ["x.npy", "x.npz", "x.safetensors", "x.parquet"])
def test_every_format_goes_with_every_file_of_labels(files, vectors, labels):
    read = read_vectors(files / vectors, files / labels)
    assert (read.X == X).all()
    assert read.y.tolist() == Y.tolist()


@pytest.mark.parametrize("vectors", ["x.npz", "x.parquet"])
def test_labels_may_be_inside(files, vectors):
    assert read_vectors(files / vectors).y.tolist() == Y.tolist()


def test_the_precision_of_the_file_is_kept(files):
    assert read_vectors(files / "x.npy", files / "y.txt").X.dtype == np.float32


def test_numeric_columns_without_the_label(files):
    read = read_vectors(files / "columns.parquet")
    assert (read.X == X).all()
    assert read.y.tolist() == [1, 2, 2, 3]


def test_names_can_be_given(files):
    read = read_vectors(files / "two.npz", files / "y.csv", vectors_key="second", labels_key="text")
    assert (read.X == 2 * X).all()
    assert read.y.tolist() == list("wxyz")


def _write_claims(files):
    """Files of a few bytes that say they hold petabytes, or unpack to gigabytes."""
    header = np.lib.format.header_data_from_array_1_0(np.zeros((1, 1))) | {"shape": (10**12, 1000)}
    with (files / "claims.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    with zipfile.ZipFile(files / "claims.npz", "w") as archive:
        archive.write(files / "claims.npy", "X.npy")
    with zipfile.ZipFile(files / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(files / "claims.npy", "X.npy")
    data = (files / "bomb.npz").read_bytes()  # the table of contents says how large the member is
    size = (files / "claims.npy").stat().st_size.to_bytes(4, "little")
    at = data.rindex(b"PK\x01\x02") + 24
    assert data[at : at + 4] == size
    (files / "bomb.npz").write_bytes(data[:at] + (4_200_000_000).to_bytes(4, "little") + data[at + 4 :])


@pytest.mark.parametrize("name", ["bom.txt", "bom.csv", "column.npy"])
def test_labels_as_other_programs_write_them(files, name):
    """A byte order mark is no part of the first label; one column is one label a row."""
    (files / "bom.txt").write_text("\n".join(Y), encoding="utf-8-sig")
    (files / "bom.csv").write_text("label\n" + "\n".join(Y), encoding="utf-8-sig")
    np.save(files / "column.npy", Y[:, None])
    assert read_vectors(files / "x.npy", files / name).y.tolist() == Y.tolist()


@pytest.mark.parametrize(
    ("vectors", "labels", "keys", "message"),
    [
        ("two.npz", "y.txt", {}, r"0 of the usual names .* it holds \['first', 'second'\]"),
        ("two.npz", "y.txt", {"vectors_key": "third"}, "has no 'third'"),
        ("x.parquet", "y.txt", {"vectors_key": "third"}, "no column 'third'"),
        ("y.csv", "y.txt", {}, "Cannot read .*y.csv: expected one of .npy, .npz"),
        ("x.npy", "x.safetensors", {}, "expected one of .txt, .npy"),
        ("x.npy", None, {}, "x.npy holds no labels"),
        ("y.npy", "y.txt", {}, "Expected a table of numbers"),
        ("nan.npy", "y.txt", {}, "row 2 has NaN or infinite values"),
        ("x.npy", "short.txt", {}, r"one label per vector \(4 in .*got labels of shape \(3,\)"),
        ("x.npy", "hole.parquet", {}, "row 1 of column 'label' has no label"),
        ("ragged.parquet", None, {}, "differ in length"),
        ("pickled.npy", "y.txt", {}, "not a plain array"),
        ("pickled.npz", "y.txt", {}, "not an archive of plain arrays"),
        ("broken.safetensors", "y.txt", {}, "as safetensors"),
        ("broken.parquet", "y.txt", {}, "as Parquet"),
        ("complex.npy", "y.txt", {}, "Expected a table of numbers .* got complex64"),
        ("x.npy", "nan.npy", {}, "row 2 has no label"),
        ("x.npy", "complex.npy", {}, "Expected labels that are text or whole numbers .*, got complex64"),
        ("x.npy", "table.npy", {}, r"got labels of shape \(4, 3\)"),
        ("claims.npy", "y.txt", {}, r"its header claims shape \(1000000000000, 1000\) of float64"),
        ("claims.npz", "y.txt", {}, r"its header claims shape \(1000000000000, 1000\) of float64"),
        ("bomb.npz", "y.txt", {}, "it unpacks to 4 GB, .* times its size"),
    ],
)
def test_broken_files_are_named(files, vectors, labels, keys, message):
    bad = X.copy()
    bad[2, 1] = np.nan
    np.save(files / "nan.npy", bad)
    (files / "short.txt").write_text("a\nb\nc\n", encoding="utf-8")
    pd.DataFrame({"label": ["a", None, "b", "c"]}).to_parquet(files / "hole.parquet")
    pd.DataFrame({"vector": [[1.0], [1.0, 2.0]], "label": [0, 1]}).to_parquet(files / "ragged.parquet")
    np.save(files / "pickled.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.savez(files / "pickled.npz", X=np.array([{"a": 1}], dtype=object))
    (files / "broken.safetensors").write_bytes(b"not tensors")
    (files / "broken.parquet").write_bytes(b"PAR1 and nothing else PAR1")
    np.save(files / "complex.npy", X[:, 0] + 1j if labels == "complex.npy" else X + 1j)
    if labels == "nan.npy":
        np.save(files / "nan.npy", bad[:, 1])
    np.save(files / "table.npy", X)
    _write_claims(files)
    with pytest.raises(ValueError, match=message):
        read_vectors(files / vectors, None if labels is None else files / labels, **keys)


def test_a_missing_file_is_named(files):
    with pytest.raises(FileNotFoundError, match=r"none\.npy is missing"):
        read_vectors(files / "none.npy", files / "y.txt")
