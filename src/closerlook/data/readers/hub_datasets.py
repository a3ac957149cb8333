"""Datasets of the Hugging Face hub, and local folders in its layouts, through the package ``datasets``."""

from __future__ import annotations

import csv
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import datasets
import huggingface_hub.constants as hub
from datasets.utils import logging

from closerlook.data.data_errors import DataError
from closerlook.data.download import can_reach, offline_reason
from closerlook.data.readers.table import Table
from closerlook.data.readers.table_files import wanted_columns
from closerlook.data.task_settings import TaskSettings

T = TypeVar("T")


def read_hub(settings: TaskSettings) -> dict[str, Table]:
    """All splits of a dataset of the hub, or of its copy in the cache when there is no network.

    Loading scripts are never run. CSV files of the hub are read as text, like one's own.

    Raises:
        DataError: Unknown, not readable, or neither cached nor reachable; the answer comes within seconds.
    """
    dataset = str(settings.dataset)
    options = {"name": settings.dataset_config, "revision": settings.dataset_revision, "keep_in_memory": True}
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    why_offline = offline_reason()
    if why_offline is None and not can_reach(endpoint):
        why_offline = f"{endpoint} does not answer"
    with _offline(why_offline is not None):
        try:
            loaded = datasets.load_dataset(dataset, **options)
            first = next(iter(loaded.values()))
            if first.info.builder_name == "csv":
                _refuse_tsv(settings)
                if _was_guessed(first.features):
                    loaded = datasets.load_dataset(dataset, **options, **_as_text(first.column_names))
            return _tables(dataset, loaded, settings)
        except DataError:
            raise
        except Exception as error:
            if why_offline is None or not isinstance(error, ConnectionError | FileNotFoundError):
                advice = "Check the dataset's id, configuration (task.dataset_config) and files, or download them"
                raise DataError(f"{dataset} cannot be read: {_first_cause(error)}. {advice}") from error
            raise DataError(
                f"dataset {dataset!r} is not in the cache and was not looked for on the hub ({why_offline}). "
                "Check the id, load it once with a network, or give local files with task.data_files"
            ) from error


def read_saved(folder: Path, settings: TaskSettings) -> dict[str, Table]:
    """A ``Dataset`` or ``DatasetDict`` that ``save_to_disk`` wrote.

    Raises:
        DataError: It is damaged.
    """
    return _tables(str(folder), _quietly(folder, lambda _: datasets.load_from_disk(str(folder))), settings)


def is_saved(folder: Path) -> bool:
    """Whether ``save_to_disk`` made a folder."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def files_of_folder(folder: Path, settings: TaskSettings) -> dict[str, list[Path]]:
    """The data files of a local folder by split, as the hub's conventions find them (names, README).

    Raises:
        DataError: Nothing in it can be read.
    """

    def find(scratch: str) -> Any:
        return datasets.load_dataset_builder(str(folder), name=settings.dataset_config, cache_dir=scratch)

    found = _quietly(folder, find).config.data_files or {}
    return {str(split): [Path(name) for name in names] for split, names in found.items()}


def read_other_folder(folder: Path, settings: TaskSettings) -> dict[str, Table]:
    """A local folder whose files only ``datasets`` can read (.arrow, .zip, ...).

    Raises:
        DataError: Nothing in it can be read.
    """

    def load(scratch: str) -> Any:
        # its cache knows local files by path and time, and may serve an old version: hence the scratch folder
        name = settings.dataset_config
        return datasets.load_dataset(str(folder), name=name, keep_in_memory=True, cache_dir=scratch)

    return _tables(str(folder), _quietly(folder, load), settings)


def content_checksum(table: Table) -> str:
    """SHA-256 of a table's values: what identifies a split that came from the hub."""
    digest = hashlib.sha256()
    for name, values in sorted(table.columns.items()):
        digest.update(repr((name, table.class_names.get(name), values)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _tables(origin: str, loaded: Any, settings: TaskSettings) -> dict[str, Table]:
    splits = loaded if isinstance(loaded, Mapping) else {"train": loaded}
    return {
        str(name): _table(f"{origin} ({name})", split, name in settings.split_names, settings)
        for name, split in splits.items()
    }


def _table(origin: str, split: Any, used: bool, settings: TaskSettings) -> Table:
    class_names = {}
    for name, feature in split.features.items():
        inner = getattr(feature, "feature", feature)  # a list of ClassLabels
        if isinstance(inner, datasets.ClassLabel):
            class_names[name] = tuple(inner.names)
    wanted = [name for name in split.column_names if used and name in wanted_columns(settings)]
    columns = split.with_format(None).select_columns(wanted)[:] if wanted else {}
    return Table(origin, columns, class_names, all_names=tuple(split.column_names))


def _refuse_tsv(settings: TaskSettings) -> None:
    """``datasets`` reads .tsv files as CSV: a quotation mark within a text swallows the rows that follow."""
    name, revision = settings.dataset_config, settings.dataset_revision
    files = datasets.load_dataset_builder(str(settings.dataset), name=name, revision=revision).config.data_files
    if any(".tsv" in str(path).lower() for paths in (files or {}).values() for path in paths):
        raise DataError(
            f"dataset {settings.dataset!r} holds .tsv files, which its package reads as CSV; expected another format. "
            f"Download it (hf download --repo-type dataset --local-dir DIR {settings.dataset}), then task.dataset=DIR"
        )


def _was_guessed(features: Mapping[str, Any]) -> bool:
    """Whether pandas may have made numbers or nothing of texts such as ``01`` and ``NA``; a README names classes."""
    return not any(isinstance(feature, datasets.ClassLabel) for feature in features.values())


def _as_text(column_names: Sequence[str]) -> dict[str, Any]:
    features = datasets.Features({name: datasets.Value("string") for name in column_names})
    return {"features": features, "keep_default_na": False, "quoting": csv.QUOTE_MINIMAL}


def _quietly(folder: Path, load: Callable[[str], T]) -> T:
    """Call ``load`` with a scratch folder, without progress bars and log lines: the error says what is wrong."""
    verbosity, bars = logging.get_verbosity(), datasets.are_progress_bars_disabled()
    logging.set_verbosity(logging.CRITICAL)
    datasets.disable_progress_bars()
    try:
        with tempfile.TemporaryDirectory(prefix="closerlook-") as scratch:
            return load(scratch)
    except Exception as error:  # the readers underneath raise whatever they please
        advice = "Expected files named by split (train.csv, test.csv), or what save_to_disk wrote"
        raise DataError(f"{folder} cannot be read: {_first_cause(error)}. {advice}") from error
    finally:
        logging.set_verbosity(verbosity)
        if not bars:
            datasets.enable_progress_bars()


def _first_cause(error: BaseException) -> str:
    """What went wrong first: ``datasets`` wraps it in a sentence that says nothing."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {' '.join(str(error).split()):.300}"


@contextmanager
def _offline(active: bool) -> Iterator[None]:
    """Make the Hugging Face packages look in their caches only: their own retries take half a minute."""
    flags: Sequence[Any] = (datasets.config, hub) if active else ()
    before = [module.HF_HUB_OFFLINE for module in flags]
    try:
        for module in flags:
            module.HF_HUB_OFFLINE = True
        yield
    finally:
        for module, value in zip(flags, before, strict=True):
            module.HF_HUB_OFFLINE = value
