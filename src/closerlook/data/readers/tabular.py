"""Tables from the Hugging Face hub or from local files, through the package ``datasets``."""

from __future__ import annotations

import csv
import hashlib
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from closerlook.data.data_errors import DataError, DataFileError
from closerlook.data.download import can_reach, offline_reason
from closerlook.data.source_files import file_checksum

BUILDERS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
}
"""Builder of ``datasets`` for each file ending."""


@dataclass(frozen=True)
class Table:
    """Columns of one split.

    Attributes:
        origin: File or dataset id with its split, for errors.
        columns: Values by column name; all columns are equally long.
        class_names: Names of the classes of columns that hold `ClassLabel` numbers (or lists of them).
    """

    origin: str
    columns: dict[str, list[Any]]
    class_names: dict[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))

    def require(self, column: str, setting: str) -> list[Any]:
        """A column by name.

        Raises:
            DataError: There is no such column; ``setting`` is what names it.
        """
        if column not in self.columns:
            raise DataError(
                f"{self.origin}: no column {column!r}; it has {', '.join(map(repr, self.columns)) or 'none'}. "
                f"Name the right one with task.{setting}"
            )
        return self.columns[column]

    def row_error(self, row: int, problem: str) -> DataError:
        """An error about a row, which is counted from 0 here and from 1 in the message."""
        return DataError(f"{self.origin}, row {row + 1}: {problem}. Mend the row or leave it out")


def read_table(path: Path) -> Table:
    """A local .csv, .tsv, .json, .jsonl or .parquet file.

    CSV values are text exactly as written: ``007`` and ``null`` stay what they are. Nothing is cached, so that a
    changed file is never read stale.

    Raises:
        DataError: Missing file, unknown ending, or content that does not fit the ending.
    """
    if not path.is_file():
        raise DataFileError(
            path, None, "there is no such file; expected one that exists", "Give its path in task.data_files"
        )
    if path.suffix.lower() not in BUILDERS:
        endings = ", ".join([*BUILDERS, ".conllu"])
        raise DataFileError(path, None, f"unknown ending {path.suffix!r}; expected one of {endings}", "Convert it")
    options = _csv_options(path) if BUILDERS[path.suffix.lower()] == "csv" else {}
    tables = _load(str(path), BUILDERS[path.suffix.lower()], data_files={"train": str(path)}, **options)
    return Table(str(path), tables["train"].columns, tables["train"].class_names)


def read_folder(folder: Path) -> dict[str, Table]:
    """A local folder that ``datasets`` understands: files named by split, or a README that lists them.

    Raises:
        DataError: Nothing in it can be read.
    """
    return _load(str(folder), str(folder))


def read_hub(dataset: str, config: str | None = None, revision: str | None = None) -> dict[str, Table]:
    """All splits of a dataset of the hub, or of its copy in the cache when there is no network.

    Loading scripts are never run.

    Raises:
        DataError: Unknown, not readable, or neither cached nor reachable; the answer comes within seconds.
    """
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    why_offline = offline_reason()
    if why_offline is None and not can_reach(endpoint):
        why_offline = f"{endpoint} does not answer"
    with _offline(why_offline is not None):
        try:
            return _load(dataset, dataset, name=config, revision=revision, cached=True)
        except DataError as error:
            if why_offline is None or not isinstance(error.__cause__, ConnectionError | FileNotFoundError):
                raise
            raise DataError(
                f"dataset {dataset!r} is not in the cache and was not looked for on the hub ({why_offline}). "
                "Check the id, load it once with a network, or give local files with task.data_files"
            ) from error


def folder_checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a folder, by its path in it."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_checksum(path) for path in paths}


def content_checksum(table: Table) -> str:
    """SHA-256 of a table's values: what identifies a split that came from the hub."""
    digest = hashlib.sha256()
    for name, values in sorted(table.columns.items()):
        digest.update(repr((name, table.class_names.get(name), values)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _load(origin: str, builder: str, cached: bool = False, **options: Any) -> dict[str, Table]:
    import datasets
    from pandas.errors import ParserWarning

    quiet = nullcontext() if cached else _quiet()
    with tempfile.TemporaryDirectory(prefix="closerlook-") as scratch, warnings.catch_warnings(), quiet:
        # pandas only warns when rows have more fields than the header and it throws the rest away
        warnings.simplefilter("error", ParserWarning)
        # the cache of `datasets` knows local files by path and time, and may serve an old version
        place = {} if cached else {"cache_dir": scratch}
        try:
            loaded = datasets.load_dataset(builder, keep_in_memory=True, **place, **options)
            splits = loaded if isinstance(loaded, Mapping) else {"train": loaded}
            return {str(name): _table(f"{origin} ({name})", split) for name, split in splits.items()}
        except Exception as error:  # the readers underneath raise whatever they please
            if "corresponds to no data" in str(error):
                raise DataError(f"{origin} has no rows; expected at least one. Check the file") from error
            raise DataError(
                f"{origin} cannot be read: {_first_cause(error)}. Expected UTF-8 text in the format of its ending, "
                "as many values in every row: mend the file, or give another copy of it"
                if not cached
                else f"{origin} cannot be read: {_first_cause(error)}. Check the dataset's id, configuration and files"
            ) from error


def _table(origin: str, split: Any) -> Table:
    import datasets

    class_names = {}
    for name, feature in split.features.items():
        inner = getattr(feature, "feature", feature)  # a list of ClassLabels
        if isinstance(inner, datasets.ClassLabel):
            class_names[name] = tuple(inner.names)
    plain = [name for name, feature in split.features.items() if not _is_media(feature)]
    return Table(origin, split.select_columns(plain)[:], class_names)


def _is_media(feature: Any) -> bool:
    return type(feature).__name__ in {"Image", "Audio", "Video", "Pdf", "Nifti"}


def _first_cause(error: BaseException) -> str:
    """What went wrong first: ``datasets`` wraps it in a sentence that says nothing."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}"


def _csv_options(path: Path) -> dict[str, Any]:
    from datasets import Features, Value

    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file, delimiter=delimiter), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataFileError(
            path, 1, f"the header cannot be read ({error}); expected UTF-8 text", "Convert the file first"
        ) from error
    if not header or len(set(header)) != len(header) or not all(name.strip() for name in header):
        raise DataFileError(path, 1, f"got the header {header[:10]}; expected different, non-empty column names")
    features = Features({name: Value("string") for name in header})
    return {"features": features, "delimiter": delimiter, "keep_default_na": False, "index_col": False}


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars and no log lines of ``datasets``: a bad file is told of once, in the error."""
    import datasets
    from datasets.utils import logging

    verbosity, bars = logging.get_verbosity(), datasets.are_progress_bars_disabled()
    logging.set_verbosity(logging.CRITICAL)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if not bars:
            datasets.enable_progress_bars()


@contextmanager
def _offline(active: bool) -> Iterator[None]:
    """Make the Hugging Face packages look in their caches only: their own retries take half a minute."""
    import datasets
    import huggingface_hub.constants as hub

    flags: Sequence[Any] = (datasets.config, hub) if active else ()
    before = [module.HF_HUB_OFFLINE for module in flags]
    try:
        for module in flags:
            module.HF_HUB_OFFLINE = True
        yield
    finally:
        for module, value in zip(flags, before, strict=True):
            module.HF_HUB_OFFLINE = value
