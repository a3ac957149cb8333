"""Vectors of one's own in each format, and what is said about broken files."""

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
        ("pickled.npz", "y.txt", {}, "holds Python objects"),
        ("broken.safetensors", "y.txt", {}, "as safetensors"),
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
    with pytest.raises(ValueError, match=message):
        read_vectors(files / vectors, None if labels is None else files / labels, **keys)


def test_a_missing_file_is_named(files):
    with pytest.raises(FileNotFoundError, match=r"none\.npy is missing"):
        read_vectors(files / "none.npy", files / "y.txt")
