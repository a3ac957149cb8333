"""The paper's tasks, from the published files: parts of speech, dependencies, prepositions, questions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from closerlook.data.corpus import Corpus, LabeledText, Level, Target
from closerlook.data.data_errors import DataFileError
from closerlook.data.download import LocatedFile, locate
from closerlook.data.readers.conllu import ConlluSentence, read_conllu
from closerlook.data.readers.conllulex import ConllulexSentence, read_conllulex
from closerlook.data.readers.trec import Question, read_trec
from closerlook.data.source_files import (
    PUD,
    STREUSLE_DEV,
    STREUSLE_TEST,
    STREUSLE_TRAIN,
    TREC_TEST,
    TREC_TRAIN,
    SourceFile,
)
from closerlook.data.splits import SplitOptions, build_corpus

N_PUD_TRAIN = 800
"""The paper trains on the first 800 of PUD's 1,000 sentences and tests on the last 200."""


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


PAPER_TASKS: dict[str, Callable[[str | Path | None, bool, SplitOptions | None], Corpus]] = {
    "pos": pos,
    "dep": dep,
    "ps_role": ps_role,
    "ps_fxn": ps_fxn,
    "trec50": trec50,
    "trec6": trec6,
}
"""Builders of the tasks that come from published files."""


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
    return build_corpus(
        name, level, {"train": texts[:N_PUD_TRAIN], "test": texts[N_PUD_TRAIN:]}, options, *_provenance(found)
    )


def _pos_text(path: Path, sentence: ConlluSentence) -> LabeledText:
    targets = []
    for index, word in enumerate(sentence.words):
        if word.upos is None:
            raise DataFileError(path, word.line, "no UPOS tag ('_'); expected one on every word for the task pos")
        targets.append(Target((index,), word.upos))
    return LabeledText(sentence.sent_id, tuple(targets), words=tuple(word.form for word in sentence.words))


def _dep_text(path: Path, sentence: ConlluSentence) -> LabeledText:
    targets = []
    for index, word in enumerate(sentence.words):
        if word.head is None or word.deprel is None:
            raise DataFileError(
                path, word.line, "no HEAD or DEPREL ('_'); expected both on every word for the task dep"
            )
        if word.head != 0:  # the root has no head word to be paired with
            targets.append(Target((word.head - 1, index), word.deprel))
    return LabeledText(sentence.sent_id, tuple(targets), words=tuple(word.form for word in sentence.words))


def _streusle_corpus(name: str, data_dir: str | Path | None, download: bool, options: SplitOptions | None) -> Corpus:
    sources = {"train": STREUSLE_TRAIN, "validation": STREUSLE_DEV, "test": STREUSLE_TEST}
    found = _located(sources, data_dir, download)
    make_text = _ps_role_text if name == "ps_role" else _ps_fxn_text
    splits = {split: tuple(make_text(s) for s in read_conllulex(f.path)) for split, f in found.items()}
    return build_corpus(name, "word", splits, options, *_provenance(found))


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
    return build_corpus(name, "sentence", splits, options, *_provenance(found))


def _trec_text(name: str, split: str, question: Question) -> LabeledText:
    label = question.coarse if name == "trec6" else question.fine
    return LabeledText(f"{split}-{question.line:04d}", (Target((), label),), text=question.text)
