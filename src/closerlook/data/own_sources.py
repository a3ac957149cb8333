"""Where one's own data is: files by split, a folder, a saved dataset, or a dataset of the hub."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from closerlook.data.data_errors import DataError
from closerlook.data.readers.column_file import ENDINGS
from closerlook.data.readers.conllu import CONLLU, ConlluWord, Sentence
from closerlook.data.readers.table import Table
from closerlook.data.readers.table_files import TABLE_ENDINGS, ending_of, read_table
from closerlook.data.task_settings import TaskSettings
from closerlook.files import sha256_of

Part = Table | tuple[Sentence[ConlluWord], ...]
"""What one file holds: a table, or the sentences of a .conllu file."""

_WORD_ENDINGS = (".conllu", *ENDINGS)
_SPLIT_IN_NAME = re.compile(r"(?:^|[^a-z])(train|dev|devel|valid|validation|val|test)(?:ing|ation)?(?=[^a-z]|$)")


@dataclass(frozen=True)
class OwnSource:
    """What was found and read.

    Attributes:
        splits: Parts of each split, by the names that the source gives them; none of splits that no setting names.
        checksums: SHA-256 by file.
        notes: What the readers decided.
    """

    splits: dict[str, list[Part]]
    checksums: dict[str, str]
    notes: list[str] = field(default_factory=list)


def read_source(settings: TaskSettings) -> OwnSource:
    """Everything that the settings name.

    Raises:
        DataError: Neither ``dataset`` nor ``data_files``, or both; nothing there, or nothing that can be read.
    """
    files = {split: path for split, path in settings.data_files.items() if path is not None}
    if (settings.dataset is None) == (not files):
        raise DataError(
            f"task {settings.name} needs either task.dataset (a hub id, a folder or a file) or task.data_files "
            f"(a file for each split); got {'both' if files else 'neither'}"
        )
    if settings.dataset is None:
        return _read_files({split: [_find(path, settings)] for split, path in files.items()}, settings)
    path = _find(settings.dataset, settings)
    if path.is_dir():
        return _read_folder(path, settings)
    if path.is_file() or ending_of(path) in (*TABLE_ENDINGS, *_WORD_ENDINGS):
        return _read_files({settings.train_split: [path]}, settings)
    from closerlook.data.readers import hub_datasets  # 1.3 s, for `datasets`: most tasks do without

    tables = hub_datasets.read_hub(settings)
    used = {name: table for name, table in tables.items() if name in settings.split_names}
    checksums = {f"{settings.dataset}:{name}": hub_datasets.content_checksum(table) for name, table in used.items()}
    return OwnSource({name: [table] for name, table in tables.items()}, checksums)


def _read_folder(folder: Path, settings: TaskSettings) -> OwnSource:
    from closerlook.data.readers import hub_datasets  # 1.3 s, for `datasets`: most tasks do without

    if hub_datasets.is_saved(folder):
        tables = hub_datasets.read_saved(folder, settings)
    else:
        found = _files_by_name(folder, settings) or hub_datasets.files_of_folder(folder, settings)
        if all(ending_of(p) in (*TABLE_ENDINGS, *_WORD_ENDINGS) and p.is_file() for ps in found.values() for p in ps):
            return _read_files(found, settings, folder)
        tables = hub_datasets.read_other_folder(folder, settings)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    checksums = {path.relative_to(folder).as_posix(): sha256_of(path) for path in paths}
    return OwnSource({name: [table] for name, table in tables.items()}, checksums)


def _read_files(paths: dict[str, list[Path]], settings: TaskSettings, folder: Path | None = None) -> OwnSource:
    splits: dict[str, list[Part]] = {}
    for split, files in paths.items():
        splits[split] = [
            CONLLU.read(path, settings.encoding) if ending_of(path) == ".conllu" else read_table(path, settings)
            for path in (files if folder is None or split in settings.split_names else [])
        ]
    everything = [path for split, files in paths.items() if splits[split] for path in files]
    n_of_name = Counter(path.name for path in set(everything))
    checksums = {}
    for path in everything:
        name = path.relative_to(folder).as_posix() if folder else path.name
        checksums[name if folder or n_of_name[name] == 1 else str(path)] = sha256_of(path)
    notes = [note for parts in splits.values() for part in parts if isinstance(part, Table) for note in part.notes]
    return OwnSource(splits, checksums, list(dict.fromkeys(notes)))


def _files_by_name(folder: Path, settings: TaskSettings) -> dict[str, list[Path]]:
    """Files in a folder by the split that their name holds; nothing where the hub's conventions are needed.

    These know neither treebanks of Universal Dependencies nor one format for training and another for the test.
    """
    if (folder / "README.md").is_file():
        return {}
    names = {"dev": "validation", "devel": "validation", "valid": "validation", "val": "validation"}
    of_words = settings.read_as != "text_classification"
    for endings in ((".conllu",), TABLE_ENDINGS, ENDINGS) if of_words else (TABLE_ENDINGS,):
        found: dict[str, list[Path]] = {}
        paths = sorted(p for p in folder.iterdir() if p.is_file() and ending_of(p) in endings)
        for path in paths:
            if match := _SPLIT_IN_NAME.search(path.name.lower()):
                found.setdefault(names.get(match[1], match[1]), []).append(path)
        if found and sum(map(len, found.values())) == len(paths):
            return found
    return {}


def _find(path: str, settings: TaskSettings) -> Path:
    """A path from the working directory, else from ``data_dir``."""
    direct = Path(path).expanduser()
    if not direct.exists() and settings.data_dir is not None:
        inside = Path(settings.data_dir).expanduser() / path
        if inside.exists():
            return inside
    return direct
