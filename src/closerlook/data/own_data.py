"""The user's own data: labelled texts, labelled words, and labelled pairs of words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from closerlook.data.corpus import Corpus, LabeledText, Level, Target
from closerlook.data.data_errors import DataError
from closerlook.data.pairs import PAIR_FORMATS, text_at, words_at
from closerlook.data.readers.conllu import ConlluSentence, ConlluWord, read_conllu
from closerlook.data.readers.tabular import (
    Table,
    content_checksum,
    folder_checksums,
    read_folder,
    read_hub,
    read_table,
)
from closerlook.data.source_files import file_checksum
from closerlook.data.splits import SplitOptions, build_corpus, carve
from closerlook.data.task_settings import TaskSettings

Split = Table | tuple[ConlluSentence, ...]
"""One split as it is read: a table, or the sentences of a .conllu file."""

CONLLU_LABELS = ("upos", "xpos", "deprel")


@dataclass
class _Source:
    """What was read: splits by the names the source gives them, and checksums by file."""

    splits: dict[str, Split]
    checksums: dict[str, str]
    left_out: Counter[str] = field(default_factory=Counter)


def text_classification(settings: TaskSettings) -> Corpus:
    """Labelled texts from columns ``text_column`` and ``label_column``.

    Raises:
        DataError: The data cannot be read, a column is missing, a text is empty, a row has no label.
    """

    def rows(table: Table, split: str, source: _Source) -> Iterator[LabeledText]:
        texts = table.require(settings.text_column, "text_column")
        labels = _labels(table, settings)
        for row, (text, label) in enumerate(zip(texts, labels, strict=True)):
            targets = _unless_ignored([Target((), label)], settings, source)
            yield LabeledText(f"{split}-{row + 1:06d}", targets, text=text_at(table, row, text))

    return _corpus(settings, "sentence", rows, None)


def token_classification(settings: TaskSettings) -> Corpus:
    """Labelled words from list columns ``words_column`` and ``labels_column``, or from CoNLL-U.

    Words labelled -100 (the habit of Hugging Face) or ``_`` (of CoNLL-U) are no examples.

    Raises:
        DataError: The data cannot be read, a column is missing, words and labels differ in number.
    """

    def rows(table: Table, split: str, source: _Source) -> Iterator[LabeledText]:
        all_words = table.require(settings.words_column, "words_column")
        all_labels = table.require(settings.labels_column, "labels_column")
        names = table.class_names.get(settings.labels_column)
        for row, (words, labels) in enumerate(zip(all_words, all_labels, strict=True)):
            words = words_at(table, row, words)
            if not isinstance(labels, list) or len(labels) != len(words):
                got = f"{len(labels)} labels" if isinstance(labels, list) else f"labels {labels!r:.40}"
                raise table.row_error(row, f"{got} for {len(words)} words; expected a list with one a word")
            targets = []
            for i, label in enumerate(labels):
                if label == -100:
                    source.left_out["-100"] += 1
                else:
                    targets.append(Target((i,), _label_name(table, row, label, names)))
            yield LabeledText(f"{split}-{row + 1:06d}", _unless_ignored(targets, settings, source), words=words)

    def sentence(split: str, parsed: ConlluSentence, source: _Source) -> LabeledText:
        column = settings.labels_column
        if column not in CONLLU_LABELS:
            raise DataError(
                f"CoNLL-U has no label column {column!r}; expected task.labels_column to be one of "
                f"{', '.join(CONLLU_LABELS)}"
            )
        targets = []
        for i, word in enumerate(parsed.words):
            label: str | None = getattr(word, column)
            if label is None:
                source.left_out["_"] += 1
            else:
                targets.append(Target((i,), label))
        return _conllu_text(split, parsed, _unless_ignored(targets, settings, source))

    return _corpus(settings, "word", rows, sentence)


def pair_classification(settings: TaskSettings) -> Corpus:
    """Labelled pairs of words, one a row; in CoNLL-U every (head, modifier) pair with its relation.

    ``pair_format`` says how a row gives its two words. A phrase of several words counts as one unit, whose vector
    is the mean over all of its subwords.

    Raises:
        DataError: The data cannot be read, a column is missing, positions out of range, markers not in place.
    """
    if settings.pair_format not in PAIR_FORMATS:
        raise DataError(f"pair_format is {settings.pair_format!r}; expected one of {', '.join(PAIR_FORMATS)}")

    def rows(table: Table, split: str, source: _Source) -> Iterator[LabeledText]:
        pair_of = PAIR_FORMATS[settings.pair_format](table, settings)
        for row, label in enumerate(_labels(table, settings)):
            words, pair = pair_of(row)
            targets = _unless_ignored([Target(pair, label)], settings, source)
            yield LabeledText(f"{split}-{row + 1:06d}", targets, words=words)

    def sentence(split: str, parsed: ConlluSentence, source: _Source) -> LabeledText:
        targets = []
        for i, word in enumerate(parsed.words):
            if word.head is None or word.deprel is None:
                source.left_out["_"] += 1
            elif word.head != 0:
                targets.append(Target((word.head - 1, i), word.deprel))
        return _conllu_text(split, parsed, _unless_ignored(targets, settings, source))

    return _corpus(settings, "pair", rows, sentence)


OWN_DATA_TASKS: dict[str, Callable[[TaskSettings], Corpus]] = {
    "text_classification": text_classification,
    "token_classification": token_classification,
    "pair_classification": pair_classification,
}
"""Builders of the tasks for one's own data."""

_RowsOf = Callable[[Table, str, _Source], Iterator[LabeledText]]
_TextOf = Callable[[str, ConlluSentence, _Source], LabeledText]


def _corpus(settings: TaskSettings, level: Level, rows: _RowsOf, sentence: _TextOf | None) -> Corpus:
    source = _read_source(settings)
    names = _split_names(settings, source)
    splits = {}
    for split, name in names.items():
        content = source.splits[name]
        if isinstance(content, Table):
            splits[split] = tuple(rows(content, split, source))
        elif sentence is not None:
            splits[split] = tuple(sentence(split, parsed, source) for parsed in content)
        else:
            raise DataError(
                f"task {settings.name} reads no .conllu files, but got one; expected a table with a text column. "
                "For CoNLL-U use task=token_classification or task=pair_classification"
            )
    if "test" not in splits:
        splits["train"], splits["test"] = carve(splits["train"], settings.test_fraction, settings.split_seed)
    notes = [f"{n} examples labelled {label} are left out." for label, n in sorted(source.left_out.items())]
    return build_corpus(
        settings.name,
        level,
        splits,
        options=split_options(settings),
        checksums=source.checksums,
        notes=notes,
    )


def split_options(settings: TaskSettings) -> SplitOptions:
    """The settings that say how splits are carved and limited."""
    return SplitOptions(**{f.name: getattr(settings, f.name) for f in fields(SplitOptions)})


def _read_source(settings: TaskSettings) -> _Source:
    files = {split: path for split, path in settings.data_files.items() if path is not None}
    if (settings.dataset is None) == (not files):
        raise DataError(
            f"task {settings.name} needs either task.dataset (a hub id, a folder or a file) or task.data_files "
            f"(a file for each split); got {'both' if files else 'neither'}"
        )
    if settings.dataset is None:
        paths = {split: _find(path, settings.data_dir) for split, path in files.items()}
        return _read_files(paths)
    path = _find(settings.dataset, settings.data_dir)
    if path.is_dir():
        return _Source(dict(read_folder(path)), folder_checksums(path))
    if path.is_file() or path.suffix.lower() in {".csv", ".tsv", ".json", ".jsonl", ".parquet", ".conllu"}:
        return _read_files({settings.train_split: path})
    tables = read_hub(settings.dataset, settings.dataset_config, settings.dataset_revision)
    return _Source(dict(tables), {f"{settings.dataset}:{name}": content_checksum(t) for name, t in tables.items()})


def _read_files(paths: dict[str, Path]) -> _Source:
    splits: dict[str, Split] = {}
    for split, path in paths.items():
        splits[split] = read_conllu(path) if path.suffix.lower() == ".conllu" else read_table(path)
    return _Source(splits, {path.name: file_checksum(path) for path in paths.values()})


def _find(path: str, data_dir: str | None) -> Path:
    """A path from the working directory, else from ``data_dir``."""
    direct = Path(path).expanduser()
    if not direct.exists() and data_dir is not None:
        inside = Path(data_dir).expanduser() / path
        if inside.exists():
            return inside
    return direct


def _split_names(settings: TaskSettings, source: _Source) -> dict[str, str]:
    """The source's name of each of our splits; test is missing where it is to be carved."""
    wanted = {"train": settings.train_split, "validation": settings.validation_split, "test": settings.test_split}
    if settings.data_files.get("validation") and settings.validation_split is None:
        wanted["validation"] = "validation"
    names = {split: name for split, name in wanted.items() if name is not None}
    for split, name in names.items():
        if name not in source.splits:
            hint = "" if split == "train" else f", or carve it out: task.{split}_split=null task.{split}_fraction=0.2"
            raise DataError(
                f"task {settings.name}: no split {name!r}; the data has {', '.join(map(repr, source.splits))}. "
                f"Name one with task.{split}_split{hint}"
            )
    if "test" not in names and not settings.test_fraction:
        raise DataError(
            f"task {settings.name}: got no test split and test_fraction is 0; expected one of the two. "
            "Set task.test_split, or task.test_fraction=0.2"
        )
    return names


def _unless_ignored(targets: list[Target], settings: TaskSettings, source: _Source) -> tuple[Target, ...]:
    kept = tuple(target for target in targets if target.label not in settings.ignore_labels)
    source.left_out.update(target.label for target in targets if target.label in settings.ignore_labels)
    return kept


def _conllu_text(split: str, parsed: ConlluSentence, targets: tuple[Target, ...]) -> LabeledText:
    words: tuple[ConlluWord, ...] = parsed.words
    return LabeledText(f"{split}/{parsed.sent_id}", targets, words=tuple(word.form for word in words))


def _labels(table: Table, settings: TaskSettings) -> Iterator[str]:
    labels = table.require(settings.label_column, "label_column")
    names = table.class_names.get(settings.label_column)
    if labels and all(label in (None, "", -1) for label in labels):
        raise DataError(
            f"{table.origin}: column {settings.label_column!r} has no label at all, as the test splits of "
            "benchmarks often do; choose another split, such as task.test_split=validation"
        )
    return (_label_name(table, row, label, names) for row, label in enumerate(labels))


def _label_name(table: Table, row: int, label: Any, names: tuple[str, ...] | None) -> str:
    if names is not None and isinstance(label, int):
        if not 0 <= label < len(names):
            raise table.row_error(row, f"class {label}; expected 0 to {len(names) - 1}")
        return names[label]
    if isinstance(label, float) and not math.isnan(label) and label.is_integer():
        label = int(label)
    if isinstance(label, bool | int) or (isinstance(label, str) and label.strip()):
        return str(label).strip()
    raise table.row_error(row, f"label {label!r}; expected a name or a whole number")
