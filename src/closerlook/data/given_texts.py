"""Texts and labels that a program holds in memory, as a corpus: the way in for other people's training loops."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from closerlook.data.corpus import Corpus
from closerlook.data.data_errors import DataError
from closerlook.data.own_data import corpus_of
from closerlook.data.own_sources import OwnSource
from closerlook.data.readers.table import Table
from closerlook.data.task_settings import TaskSettings

SPLITS = ("train", "validation", "test")

Given = Sequence[Any] | Mapping[str, Sequence[Any]]
"""One value a text, or such sequences by split (train, test, validation)."""


def given_corpus(
    texts: Given,
    labels: Given,
    *,
    name: str,
    label_names: Sequence[str] = (),
    test_fraction: float = 0.2,
    allow_dropped_words: bool = False,
) -> Corpus:
    """Labelled texts, pairs of texts, or lists of words with lists of labels.

    Args:
        texts: Texts; pairs of texts (tuples); or lists of words, where ``labels`` are lists of labels. By split, or all
            in one sequence.
        labels: A label a text (a name or a number), or a list with one a word; -100 is no label. Split as ``texts``.
        name: The task's name.
        label_names: Names of labels that are numbers from 0.
        test_fraction: Share of the texts that becomes the test split where none is given, chosen by content.
        allow_dropped_words: Leave out empty words, with their labels.

    Raises:
        DataError: The two do not go together, a value is not what it must be, or there is one label only.
    """
    texts_by_split, labels_by_split = by_split(texts), by_split(labels)
    _require_same_splits(texts_by_split, labels_by_split)
    of_words = any(isinstance(one, list | tuple) for one in next(iter(labels_by_split.values())))
    settings = TaskSettings(
        name=name,
        kind="token_classification" if of_words else "text_classification",
        test_split="test" if "test" in texts_by_split else None,
        validation_split="validation" if "validation" in texts_by_split else None,
        test_fraction=0.0 if "test" in texts_by_split else test_fraction,
        allow_dropped_words=allow_dropped_words,
    )
    tables = {}
    for split, values in texts_by_split.items():
        columns = _columns(values, labels_by_split[split], settings, split)
        named = {settings.labels_column if of_words else settings.label_column: tuple(label_names)}
        tables[split] = Table(f"the {split} texts", columns, named if label_names else {})
    if "second" in next(iter(tables.values())).columns:
        settings.text_pair_column = "second"
    content = json.dumps([texts_by_split, labels_by_split], default=str, sort_keys=True).encode("utf-8", "replace")
    source = OwnSource(
        {split: [table] for split, table in tables.items()}, {"texts": hashlib.sha256(content).hexdigest()}
    )
    if "test" not in tables:
        source.notes.append(f"No test texts were given: {test_fraction:.0%} of the texts became the test.")
    return corpus_of(settings, source)


def by_split(given: Given) -> dict[str, list[Any]]:
    """The values by split, as plain Python values; all in one sequence are ``train``.

    Raises:
        DataError: There is another split, or no ``train``.
    """
    splits = given if isinstance(given, Mapping) else {"train": given}
    if "train" not in splits or not set(splits) <= set(SPLITS):
        found = ", ".join(map(repr, splits)) or "none"
        raise DataError(
            f"texts and labels by split: got the splits {found}; expected 'train' and, as you have them, 'test' and "
            "'validation'. Rename the keys"
        )
    return {split: _plain(values) for split, values in splits.items()}


def _plain(values: Any) -> list[Any]:
    if isinstance(values, str):
        raise DataError(f"texts: got one text ({values[:40]!r}); expected a sequence of them: put it into a list")
    values = values.tolist() if hasattr(values, "tolist") else list(values)  # of numpy, pandas and torch
    return [one.tolist() if hasattr(one, "tolist") else one for one in values]


def _require_same_splits(texts: dict[str, list[Any]], labels: dict[str, list[Any]]) -> None:
    if set(texts) != set(labels):
        raise DataError(
            f"texts are of the splits {', '.join(texts)}, labels of {', '.join(labels)}; expected the same: give both "
            "as mappings with the same keys, or both as sequences"
        )
    for split, values in texts.items():
        if len(values) != len(labels[split]):
            raise DataError(
                f"got {len(values)} {split} texts and {len(labels[split])} labels; expected as many labels as texts. "
                "Give one label (or one list of labels) for each text"
            )


def _columns(texts: list[Any], labels: list[Any], settings: TaskSettings, split: str) -> dict[str, list[Any]]:
    if settings.read_as == "token_classification":
        words = [list(one) if isinstance(one, tuple) else one for one in texts]
        tags = [list(one) if isinstance(one, tuple) else one for one in labels]
        return {settings.words_column: words, settings.labels_column: tags}
    pairs = [isinstance(one, tuple) and len(one) == 2 for one in texts]
    if any(pairs) and not all(pairs):
        raise DataError(
            f"text {pairs.index(False) + 1} of the {split} texts is {texts[pairs.index(False)]!r:.40}, others are "
            "pairs of texts; expected pairs everywhere. Give each as a tuple of two texts"
        )
    if texts and all(pairs):
        return {"text": [a for a, _ in texts], "second": [b for _, b in texts], "label": labels}
    return {"text": texts, "label": labels}
