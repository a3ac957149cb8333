"""The paper's tasks, from the published files: parts of speech, dependencies, prepositions, questions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from closerlook.data.corpus import Corpus, LabeledText, Level, Target
from closerlook.data.data_errors import DataFileError
from closerlook.data.download import LocatedFile, locate
from closerlook.data.readers.conllu import CONLLU, ConlluWord, Sentence
from closerlook.data.readers.conllulex import CONLLULEX, ConllulexWord
from closerlook.data.readers.trec import read_trec
from closerlook.data.source_files import (
    PUD,
    STREUSLE_DEV,
    STREUSLE_TEST,
    STREUSLE_TRAIN,
    TREC_TEST,
    TREC_TRAIN,
    SourceFile,
)
from closerlook.data.splits import Texts, build_corpus
from closerlook.data.task_settings import TaskSettings

N_PUD_TRAIN = 800
"""The paper trains on the first 800 of PUD's 1,000 sentences and tests on the last 200."""


def parts_of_speech(settings: TaskSettings) -> Corpus:
    """pos: universal part of speech of every word of English PUD: 16,854 / 4,322 words, 17 labels.

    Raises:
        DataError: The file is missing or malformed, or a word has no tag.
    """
    return _pud_corpus(settings, "word", _tag_targets)


def dependencies(settings: TaskSettings) -> Corpus:
    """dep: relation of every (head, modifier) pair of English PUD, roots left out: 16,054 / 4,122 pairs, 46 labels.

    Raises:
        DataError: The file is missing or malformed, or a word has no head.
    """
    return _pud_corpus(settings, "pair", _relation_targets)


def prepositions(settings: TaskSettings) -> Corpus:
    """Scene role (ps_role, 46 labels) or function (ps_fxn, 40) of STREUSLE's adpositions and possessives.

    Single words only: 4,282 / 457 examples.

    Raises:
        DataError: A file is missing or malformed.
    """
    sources = {"train": STREUSLE_TRAIN, "validation": STREUSLE_DEV, "test": STREUSLE_TEST}
    found = _located(settings, sources)
    splits = {
        split: tuple(_preposition_text(settings, sentence) for sentence in CONLLULEX.read(located.path))
        for split, located in found.items()
    }
    return _corpus(settings, "word", splits, found)


def questions(settings: TaskSettings) -> Corpus:
    """Coarse (trec6) or fine (trec50) type of a question: 5,452 / 500 questions, 50 fine labels (42 in test).

    Raises:
        DataError: A file is missing or malformed.
    """
    found = _located(settings, {"train": TREC_TRAIN, "test": TREC_TEST})
    splits: dict[str, Texts] = {}
    for split, located in found.items():
        texts = []
        for question in read_trec(located.path):
            label = question.coarse if settings.name == "trec6" else question.fine
            texts.append(LabeledText(f"{split}-{question.line:04d}", (Target((), label),), text=question.text))
        splits[split] = tuple(texts)
    return _corpus(settings, "sentence", splits, found)


PAPER_TASKS: dict[str, Callable[[TaskSettings], Corpus]] = {
    "pos": parts_of_speech,
    "dep": dependencies,
    "ps_role": prepositions,
    "ps_fxn": prepositions,
    "trec50": questions,
    "trec6": questions,
}
"""Builders of the tasks that come from published files."""


def _located(settings: TaskSettings, sources: dict[str, SourceFile]) -> dict[str, LocatedFile]:
    return {split: locate(source, settings.data_dir, settings.download) for split, source in sources.items()}


def _corpus(settings: TaskSettings, level: Level, splits: dict[str, Texts], found: dict[str, LocatedFile]) -> Corpus:
    checksums = {located.path.name: located.checksum for located in found.values()}
    notes = [located.note for located in found.values() if located.note]
    return build_corpus(settings, level, splits, checksums, notes)


def _pud_corpus(
    settings: TaskSettings, level: Level, targets_of: Callable[[Path, Sentence[ConlluWord]], list[Target]]
) -> Corpus:
    found = _located(settings, {"all": PUD})
    path = found["all"].path
    texts = tuple(
        LabeledText(s.sent_id, tuple(targets_of(path, s)), words=tuple(word.form for word in s.words))
        for s in CONLLU.read(path)
    )
    if len(texts) <= N_PUD_TRAIN:
        raise DataFileError(path, None, f"{len(texts)} sentences; expected more than {N_PUD_TRAIN}, the training split")
    return _corpus(settings, level, {"train": texts[:N_PUD_TRAIN], "test": texts[N_PUD_TRAIN:]}, found)


def _tag_targets(path: Path, sentence: Sentence[ConlluWord]) -> list[Target]:
    targets = []
    for index, word in enumerate(sentence.words):
        if word.upos is None:
            raise DataFileError(path, word.line, "no UPOS tag ('_'); expected one on every word for the task pos")
        targets.append(Target((index,), word.upos))
    return targets


def _relation_targets(path: Path, sentence: Sentence[ConlluWord]) -> list[Target]:
    targets = []
    for index, word in enumerate(sentence.words):
        if word.head is None or word.deprel is None:
            problem = "no HEAD or DEPREL ('_'); expected both on every word for the task dep"
            raise DataFileError(path, word.line, problem)
        if word.head != 0:  # the root has no head word to be paired with
            targets.append(Target((word.head - 1, index), word.deprel))
    return targets


def _preposition_text(settings: TaskSettings, sentence: Sentence[ConllulexWord]) -> LabeledText:
    targets = []
    for index, word in enumerate(sentence.words):
        if word.is_target:
            label = word.scene_role if settings.name == "ps_role" else word.function
            # written without the p. that all of them share, as the paper does
            targets.append(Target((index,), (label or "").removeprefix("p.")))
    return LabeledText(sentence.sent_id, tuple(targets), words=tuple(word.form for word in sentence.words))
