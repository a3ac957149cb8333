from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from closerlook.data.bbc_topics import topics_of_articles
from closerlook.data.data_errors import DataError, DataFileError
from closerlook.data.readers.bbc import bbc_folder, read_bbc
from closerlook.data.readers.trec import read_trec
from closerlook.data.task_settings import TaskSettings


def test_trec_lines_in_latin_1_and_in_utf_8(fixture_dir: Path, tmp_path: Path) -> None:
    questions = read_trec(fixture_dir / "mini.label")
    assert [(q.coarse, q.fine) for q in questions] == [("NUM", "NUM:date"), ("HUM", "HUM:ind"), ("NUM", "NUM:date")]
    assert questions[1].text == "Who met José at noon ?"
    converted = tmp_path / "utf8.label"
    text = (fixture_dir / "mini.label").read_bytes().decode("iso-8859-1")
    converted.write_bytes(text.strip().replace("\n", "\r\n").encode())
    assert read_trec(converted) == questions


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("NUM:date When ?\nno label here\n", 2, "expected 'LABEL:fine question'"),
        ("NUM:date\n", 1, "expected 'LABEL:fine question'"),
        ("\n", None, "no question found"),
    ],
)
def test_malformed_trec(tmp_path: Path, text: str, line: int | None, message: str) -> None:
    path = tmp_path / "x.label"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataFileError, match=message) as caught:
        read_trec(path)
    assert caught.value.line == line


def test_bbc_articles_of_the_package() -> None:
    articles, checksum = read_bbc(bbc_folder())
    assert Counter(a.topic for a in articles) == {
        "business": 510,
        "entertainment": 386,
        "politics": 417,
        "sports": 511,
        "tech": 401,
    }
    assert articles[0].headline == "Ad sales boost Time Warner profit"
    assert all(a.text.startswith(a.headline) for a in articles)
    assert len(checksum) == 64
    # the one article that is not UTF-8
    assert next(a for a in articles if a.article_id == "sports/199").text.count("£") == 1


def write_articles(folder: Path, articles: dict[str, str]) -> Path:
    for name, text in articles.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_repeated_headlines_are_one_example_and_share_a_split(tmp_path: Path) -> None:
    articles = {f"{topic}/{i:03d}.txt": f"{topic} story {i // 2}\n\nBody {i}" for topic in "ab" for i in range(40)}
    corpus = topics_of_articles(TaskSettings(), write_articles(tmp_path, articles))
    assert (corpus.n_examples("train"), corpus.n_examples("test")) == (32, 8)
    assert corpus.label_counts("test") == {"a": 4, "b": 4}
    assert corpus.notes == ("40 of 80 articles repeat an earlier headline and are left out.",)
    whole = topics_of_articles(TaskSettings(text_part="article"), tmp_path)
    heads = {split: {(t.text or "").split(" Body")[0] for t in whole.splits[split]} for split in whole.splits}
    assert (whole.n_examples("train"), whole.n_examples("test")) == (64, 16)
    assert not heads["train"] & heads["test"]
    assert heads["test"] == {t.text for t in corpus.splits["test"]}


def test_one_headline_under_two_topics_is_kept_twice_in_one_split(tmp_path: Path) -> None:
    articles = {f"{topic}/{i:03d}.txt": f"story {i}\n\nBody {topic}" for topic in "ab" for i in range(20)}
    corpus = topics_of_articles(TaskSettings(), write_articles(tmp_path, articles))
    assert corpus.n_examples("train") + corpus.n_examples("test") == 40
    assert not {t.text for t in corpus.splits["train"]} & {t.text for t in corpus.splits["test"]}


def test_bad_bbc_input(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="no articles found"):
        read_bbc(tmp_path)
    with pytest.raises(DataFileError, match="an empty article"):
        read_bbc(write_articles(tmp_path, {"a/1.txt": " \n"}))
    with pytest.raises(DataError, match="text_part is 'body'; expected 'headline' or 'article'"):
        topics_of_articles(TaskSettings(text_part="body"), tmp_path)
