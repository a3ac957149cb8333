"""Labelled vectors of one's own: .npy, .npz, Parquet or safetensors, with labels beside or inside.

Nothing is unpickled: a file can hold numbers and strings only.
"""

import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

_VECTOR_NAMES = ("X", "vectors", "embeddings", "vector", "embedding")
_LABEL_NAMES = ("y", "labels", "label")
_MOST_UNPACKED = 4 * 10**9
_MOST_GROWTH = 20
"""An archive may unpack to so many bytes, or to so many times its size: vectors do not compress better."""


@dataclass(frozen=True, eq=False)
class LabelledVectors:
    """Vectors and their labels.

    Attributes:
        X: (n_samples, n_features) floating point, in the precision of the file.
        y: (n_samples,) labels.
    """

    X: NDArray[np.floating[Any]]
    y: NDArray[Any]


def read_vectors(
    path: str | Path,
    labels: str | Path | None = None,
    *,
    vectors_key: str | None = None,
    labels_key: str | None = None,
) -> LabelledVectors:
    """Read vectors and labels.

    Args:
        path: .npy (one 2-D array), .npz, .safetensors (named arrays) or .parquet (a column of lists, or
            numeric columns).
        labels: .txt (a label a line), .npy, .npz, .csv or .parquet; None if `path` (.npz, .parquet) has them.
        vectors_key: name of the array or column of vectors; None for the only one, or one of X, vectors,
            embeddings, vector, embedding. For Parquet without such a column: all numeric columns.
        labels_key: name of the array or column of labels; None for the only one, or one of y, labels, label.

    Returns:
        The vectors and labels.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if the format is unknown, a name is missing or leaves a choice, the vectors are not a finite
            table of numbers, or there is not one label per vector.
    """
    path = _existing(path)
    readers = {
        ".npy": lambda: _load(path),
        ".npz": lambda: _pick(path, _archive(path), vectors_key, _VECTOR_NAMES),
        ".safetensors": lambda: _pick(path, _tensors(path), vectors_key, _VECTOR_NAMES),
        ".parquet": lambda: _parquet_vectors(path, vectors_key, labels_key if labels is None else None),
    }
    X = _checked(_by_suffix(path, readers), path)
    where = path if labels is None else _existing(labels)
    y = _checked_labels(_read_labels(where, labels_key, own=labels is None), where)
    if y.shape != (len(X),):
        msg = f"Expected one label per vector ({len(X)} in {path}), got labels of shape {y.shape} from {where}."
        raise ValueError(msg)
    return LabelledVectors(X, y)


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        msg = f"{path} is missing or not a file."
        raise FileNotFoundError(msg)
    return path


def _by_suffix(path: Path, readers: dict[str, Any]) -> Any:
    if path.suffix.lower() not in readers:
        msg = f"Cannot read {path}: expected one of {', '.join(readers)}."
        raise ValueError(msg)
    return readers[path.suffix.lower()]()


def _load(path: Path) -> NDArray[Any]:
    try:
        with path.open("rb") as file:
            _require_size(file, path.stat().st_size)
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OverflowError) as error:
        msg = f"{path} is not a plain array: {error}. Save it without Python objects (strings as dtype 'U')."
        raise ValueError(msg) from error


def _archive(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            unpacked = sum(member.file_size for member in members)
            if unpacked > max(_MOST_UNPACKED, _MOST_GROWTH * path.stat().st_size):
                msg = f"it unpacks to {unpacked / 1e9:.0f} GB, {unpacked // path.stat().st_size} times its size"
                raise ValueError(msg)
            for member in members:
                with archive.open(member) as file:
                    _require_size(file, member.file_size)
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays}
    except (ValueError, EOFError, OverflowError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        msg = f"{path} is not an archive of plain arrays: {error}. Save strings as dtype 'U', not 'object'."
        raise ValueError(msg) from error


def _require_size(file: IO[bytes], n_bytes: int) -> None:
    """Refuse an array whose header claims more than the file holds: numpy would ask for that much memory first."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    claimed = math.prod(shape) * dtype.itemsize
    if claimed > n_bytes:
        msg = f"its header claims shape {shape} of {dtype}, {claimed} bytes, and the file holds {n_bytes}"
        raise ValueError(msg)


def _tensors(path: Path) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (SafetensorError, KeyError) as error:
        msg = f"Cannot read {path} as safetensors of a numpy type: {error}."
        raise ValueError(msg) from error


def _pick(path: Path, arrays: dict[str, Any], key: str | None, usual: tuple[str, ...]) -> Any:
    if key is None and len(arrays) == 1:
        return next(iter(arrays.values()))
    names = [name for name in ([key] if key is not None else usual) if name in arrays]
    if len(names) != 1:
        asked = f"no {key!r}" if key is not None else f"{len(names)} of the usual names {', '.join(usual)}"
        msg = f"{path} has {asked}; it holds {list(arrays)}. Name the one to read."
        raise ValueError(msg)
    return arrays[names[0]]


def _parquet_vectors(path: Path, key: str | None, labels_key: str | None) -> NDArray[Any]:
    table = _read_parquet(path)
    names = [name for name in ([key] if key is not None else _VECTOR_NAMES) if name in table.columns]
    if names:
        rows = [np.asarray(row, dtype=np.float64) for row in table[_only(path, names)]]
        if len({row.shape for row in rows}) > 1:
            msg = f"{path}: the vectors of column {names[0]!r} differ in length."
            raise ValueError(msg)
        return np.stack(rows) if rows else np.empty((0, 0))
    if key is not None:
        msg = f"{path} has no column {key!r}; it holds {list(table.columns)}."
        raise ValueError(msg)
    unwanted = {labels_key, *_LABEL_NAMES}
    return table[[name for name in table.columns if name not in unwanted]].select_dtypes("number").to_numpy()


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        metadata = pq.read_metadata(path)
        unpacked = 8 * metadata.num_rows * metadata.num_columns
        if unpacked > max(_MOST_UNPACKED, _MOST_GROWTH * path.stat().st_size):
            msg = f"it unpacks to {unpacked / 1e9:.0f} GB, {unpacked // path.stat().st_size} times its size"
            raise ValueError(msg)
        return pd.read_parquet(path)
    except (ValueError, OSError, KeyError) as error:  # pyarrow's errors are ValueErrors and OSErrors
        msg = f"Cannot read {path} as Parquet: {error}."
        raise ValueError(msg) from error


def _only(path: Path, names: list[str]) -> str:
    if len(names) > 1:
        msg = f"{path} has several columns of vectors, {names}: name the one to read."
        raise ValueError(msg)
    return names[0]


def _checked(X: Any, path: Path) -> NDArray[np.floating[Any]]:
    X = np.asarray(X)
    if X.ndim != 2 or 0 in X.shape or X.dtype.kind not in "fiub":  # complex numbers are no points of a real space
        msg = f"Expected a table of numbers (n_samples, n_features) in {path}, got {X.dtype} of shape {X.shape}."
        raise ValueError(msg)
    X = X if X.dtype.kind == "f" else X.astype(np.float64)
    if not np.isfinite(X).all():
        row = int(np.flatnonzero(~np.isfinite(X).all(axis=1))[0])
        msg = f"{path}: row {row} has NaN or infinite values; remove or replace it."
        raise ValueError(msg)
    return X


def _read_labels(path: Path, key: str | None, *, own: bool) -> NDArray[Any]:
    if own and path.suffix.lower() not in (".npz", ".parquet"):
        msg = f"{path} holds no labels: name a file of labels (.txt, .npy, .npz, .csv or .parquet)."
        raise ValueError(msg)
    readers = {
        ".txt": lambda: np.array([line for line in path.read_text("utf-8-sig").splitlines() if line.strip()]),
        ".npy": lambda: _load(path),
        ".npz": lambda: _pick(path, _archive(path), key, _LABEL_NAMES),
        ".csv": lambda: _column(path, pd.read_csv(path, keep_default_na=False, encoding="utf-8-sig"), key),
        ".parquet": lambda: _column(path, _read_parquet(path), key),
    }
    return np.asarray(_by_suffix(path, readers))


def _checked_labels(y: NDArray[Any], path: Path) -> NDArray[Any]:
    """Labels as one dimension: text, or numbers that are there."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.dtype.kind not in "iufbUST":
        msg = f"Expected labels that are text or whole numbers in {path}, got {y.dtype}."
        raise ValueError(msg)
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        msg = f"{path}: row {int(np.flatnonzero(~np.isfinite(y).reshape(len(y), -1).all(axis=1))[0])} has no label."
        raise ValueError(msg)
    return y


def _column(path: Path, table: pd.DataFrame, key: str | None) -> NDArray[Any]:
    column = _pick(path, {str(name): table[name] for name in table.columns}, key, _LABEL_NAMES)
    if column.isna().any():
        msg = f"{path}: row {int(np.flatnonzero(column.isna())[0])} of column {column.name!r} has no label."
        raise ValueError(msg)
    values = column.to_numpy()
    return values if values.dtype.kind in "iufb" else values.astype(str)
