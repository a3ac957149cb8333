"""One file of one's own as a table, by its ending."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from closerlook.data.data_errors import DataFileError
from closerlook.data.readers.column_file import ENDINGS, read_columns
from closerlook.data.readers.delimited import read_delimited
from closerlook.data.readers.json_rows import read_json
from closerlook.data.readers.table import Table
from closerlook.data.task_settings import TaskSettings

TABLE_ENDINGS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet")
"""Endings of tables. All but .parquet may have .gz behind them."""


def ending_of(path: Path) -> str:
    """The ending that says the format, in lower case; ``.gz`` does not count."""
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


def read_table(path: Path, settings: TaskSettings) -> Table:
    """A .csv, .tsv, .json, .jsonl or .parquet file, or a file of words in columns.

    Raises:
        DataFileError: Missing file, unknown ending, or content that does not fit the ending.
    """
    ending = ending_of(path)
    if not path.is_file():
        raise DataFileError(
            path, None, "there is no such file; expected one that exists", "Give its path in task.data_files"
        )
    if settings.column_names and ending not in (".csv", ".tsv"):
        advice = "Leave task.column_names out"
        raise DataFileError(path, None, "task.column_names is for .csv and .tsv files without a header", advice)
    if ending in (".csv", ".tsv"):
        return read_delimited(path, ending == ".tsv", settings)
    if ending in (".json", ".jsonl", ".ndjson"):
        return read_json(path, ending != ".json", settings.encoding)
    if ending == ".parquet":
        return read_parquet(path, settings)
    if ending in ENDINGS and settings.read_as == "token_classification":
        return read_columns(path, settings)
    known = ", ".join([*TABLE_ENDINGS, ".conllu", *ENDINGS])
    what = "one word a line, for task=token_classification" if ending in ENDINGS else f"unknown ending {path.suffix!r}"
    raise DataFileError(path, None, f"{what}; expected one of {known}", "Save it as one of these (Excel: CSV UTF-8)")


def read_parquet(path: Path, settings: TaskSettings) -> Table:
    """The columns of a .parquet file that the settings name.

    Raises:
        DataFileError: No Parquet, or no rows.
    """
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            twice = [name for name in wanted_columns(settings) if schema.names.count(name) > 1]
            if twice:
                raise DataFileError(path, None, f"has column {twice[0]!r} twice; expected different names")
            found = file.read(columns=[name for name in schema.names if name in wanted_columns(settings)])
            n_rows = file.metadata.num_rows
            columns = {name: found.column(name).to_pylist() for name in found.column_names}
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataFileError(path, None, f"cannot be read as Parquet ({' '.join(str(error).split()):.200})") from error
    if not n_rows:
        raise DataFileError(path, None, "has no rows; expected at least one", "Check the file")
    return Table(str(path), columns, _class_names(schema), all_names=tuple(schema.names))


def wanted_columns(settings: TaskSettings) -> set[str]:
    """Names of all columns that the settings speak of: others (images, say) are not read."""
    return {str(getattr(settings, f.name)) for f in fields(settings) if f.name.endswith("_column")}


def _class_names(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """Names of the classes that ``datasets`` writes into a file's metadata."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    found = {name: _names_in(feature) for name, feature in features.items()}
    return {name: names for name, names in found.items() if names}


def _names_in(feature: Any) -> tuple[str, ...]:
    """The class names of a feature, or of the items of a list: older versions write ``[feature]``."""
    if isinstance(feature, list) and feature:
        return _names_in(feature[0])
    if not isinstance(feature, dict):
        return ()
    if feature.get("_type") == "ClassLabel":
        return tuple(feature.get("names") or ())
    return _names_in(feature.get("feature"))
