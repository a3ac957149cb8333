"""Every task by its name: settings in, a checked `Corpus` out."""

from __future__ import annotations

from dataclasses import fields

from closerlook.data.bbc_topics import bbc_topics
from closerlook.data.corpus import Corpus
from closerlook.data.data_errors import DataError
from closerlook.data.own_data import own_corpus
from closerlook.data.paper_tasks import PAPER_TASKS
from closerlook.data.task_settings import TaskSettings

_COMMON_SETTINGS = {
    *("name", "data_dir", "download", "validation_fraction", "split_seed", "limit_train_texts"),
    *("limit_test_texts", "max_length", "allow_truncation", "allow_dropped_words"),
}
_OWN_SETTINGS = {
    *("kind", "test_fraction", "dataset", "dataset_config", "dataset_revision", "data_files", "train_split"),
    *("validation_split", "test_split", "ignore_labels", "encoding", "quoting", "column_names", "on_empty"),
}
_PAIR_SETTINGS = {
    *("pair_format", "words_column", "text_column", "label_column", "first_column", "second_column", "markers"),
    *("first_start_column", "first_end_column", "second_start_column", "second_end_column"),
}
_OWN_TASKS = {
    "text_classification": _OWN_SETTINGS | {"text_column", "text_pair_column", "label_column"},
    "token_classification": _OWN_SETTINGS | {"words_column", "labels_column", "sentence_column", "tags"},
    "pair_classification": _OWN_SETTINGS | _PAIR_SETTINGS,
}

TASKS = {**PAPER_TASKS, "bbc_topics": bbc_topics, **dict.fromkeys(_OWN_TASKS, own_corpus)}
"""Builder of each task's corpus, by the task's name."""


def load_corpus(settings: TaskSettings) -> Corpus:
    """The corpus of a task.

    Args:
        settings: The task's name and settings.

    Raises:
        DataError: An unknown task, a setting that the task does not use, or anything its builder raises.
    """
    if settings.kind is not None and settings.kind not in _OWN_TASKS:
        raise DataError(f"task.kind is {settings.kind!r}; expected one of {', '.join(_OWN_TASKS)}, or null")
    if settings.read_as not in TASKS:
        raise DataError(
            f"unknown task {settings.name!r}; expected one of {', '.join(sorted(TASKS))}. For your own data under a "
            "name of its own, say task.kind=text_classification"
        )
    _refuse_unused(settings)
    return TASKS[settings.read_as](settings)


def _refuse_unused(settings: TaskSettings) -> None:
    """A setting that has no effect is a mistake worth saying, not one to pass over."""
    defaults = TaskSettings()
    changed = [f.name for f in fields(settings) if getattr(settings, f.name) != getattr(defaults, f.name)]
    used = {"bbc_topics": {"text_part"}, **_OWN_TASKS}.get(settings.read_as, set()) | _COMMON_SETTINGS
    unused = [name for name in changed if name not in used]
    if unused:
        own = "" if settings.read_as in _OWN_TASKS else f" Your own data has the tasks {', '.join(sorted(_OWN_TASKS))}"
        raise DataError(f"task {settings.name} does not use {', '.join(unused)}; leave it out.{own}")
