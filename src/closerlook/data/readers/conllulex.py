"""STREUSLE's ``.conllulex``: CoNLL-U and nine lexical-semantic columns, among them the supersenses.

Format: https://github.com/nert-nlp/streusle/blob/v4.2/CONLLULEX.md. Of its 19 columns this reader uses
1 ID, 2 FORM, 7 HEAD (checked only), 11 SMWE, 12 LEXCAT, 14 SS (scene role) and 15 SS2 (function).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from closerlook.data.data_errors import DataFileError
from closerlook.data.readers.conllu import check_tree, check_word_id, comments, parse_fields, word_parsers
from closerlook.data.readers.text_file import blocks, read_text

FIELDS = (
    *("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc"),
    *("smwe", "lexcat", "lexlemma", "ss", "ss2", "wmwe", "wcat", "wlemma", "lextag"),
)
TARGET_LEXCATS = frozenset({"P", "PRON.POSS", "INF.P", "POSS"})
"""Lexical categories of single words that carry a preposition supersense."""

_MAY_BE_EMPTY = frozenset({"form"})  # two punctuation marks of the training split have none

_SMWE = re.compile(r"[1-9][0-9]{0,8}:[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class ConllulexWord:
    """A word with its lexical-semantic columns. Columns that hold ``_`` are None.

    Attributes:
        form: The word as written.
        smwe: ``group:position`` of a strong multiword expression.
        lexcat: Lexical category.
        scene_role: SS, with its ``p.``, ``n.`` or ``v.``.
        function: SS2.
        line: 1-based line in the file.
    """

    form: str
    smwe: str | None
    lexcat: str | None
    scene_role: str | None
    function: str | None
    line: int

    @property
    def is_target(self) -> bool:
        """Whether this is a single-word adposition or possessive with a ``p.`` supersense."""
        # `?? and backtick labels are no supersenses; multiword targets are left out
        return self.smwe is None and (self.scene_role or "").startswith("p.")


@dataclass(frozen=True, slots=True)
class ConllulexSentence:
    """A sentence.

    Attributes:
        sent_id: Its ``# sent_id``.
        words: Its words.
        line: 1-based line of its first line in the file.
    """

    sent_id: str
    words: tuple[ConllulexWord, ...]
    line: int


def read_conllulex(path: Path) -> tuple[ConllulexSentence, ...]:
    """Read a ``.conllulex`` file.

    Raises:
        DataFileError: Not UTF-8, not 19 columns, wrong ids, heads that do not exist or run in a cycle, a sentence
            without words or ``sent_id``, a ``sent_id`` that stands twice, a target whose columns do not fit
            together, no sentence at all.
    """
    sentences: list[ConllulexSentence] = []
    first_lines: dict[str, int] = {}
    for block in blocks(read_text(path)):
        sentence = _parse_sentence(path, block)
        if sentence.sent_id in first_lines:
            earlier = first_lines[sentence.sent_id]
            raise DataFileError(
                path,
                sentence.line,
                f"sent_id {sentence.sent_id!r} stands twice (first at line {earlier}); expected unique ids",
            )
        first_lines[sentence.sent_id] = sentence.line
        sentences.append(sentence)
    if not sentences:
        raise DataFileError(path, None, f"no sentence found; expected .conllulex ({len(FIELDS)} columns a word)")
    return tuple(sentences)


def _parse_sentence(path: Path, block: list[tuple[int, str]]) -> ConllulexSentence:
    from conllu.parser import parse_nullable_value

    parsers: dict[str, Any] = {name: word_parsers()[name] for name in ("id", "head")}
    parsers |= dict.fromkeys(("smwe", "lexcat", "ss", "ss2"), parse_nullable_value)
    words: list[ConllulexWord] = []
    heads: list[tuple[int | None, int]] = []
    for line, text in block:
        if text.startswith("#"):
            continue
        v = parse_fields(path, line, text, FIELDS, parsers, may_be_empty=_MAY_BE_EMPTY)
        if check_word_id(path, line, v["id"], len(words)):
            word = ConllulexWord(v["form"], v["smwe"], v["lexcat"], v["ss"], v["ss2"], line)
            _check_word(path, word)
            words.append(word)
            heads.append((v["head"], line))
    first_line = block[0][0]
    if not words:
        raise DataFileError(path, first_line, "a sentence without words; expected at least one word line")
    check_tree(path, heads)  # nothing here uses the heads, but a broken tree is a sign of a broken file
    sent_id = comments(block).get("sent_id")
    if not sent_id:
        raise DataFileError(path, first_line, "a sentence without '# sent_id = ...'; expected one a sentence")
    return ConllulexSentence(sent_id, tuple(words), first_line)


def _check_word(path: Path, word: ConllulexWord) -> None:
    if word.smwe is not None and not _SMWE.fullmatch(word.smwe):
        raise DataFileError(path, word.line, f"column smwe: got {word.smwe!r}; expected group:position such as 2:1")
    if not word.is_target:
        return
    if word.lexcat not in TARGET_LEXCATS:
        raise DataFileError(
            path,
            word.line,
            f"supersense {word.scene_role} on lexical category {word.lexcat}; expected one of {sorted(TARGET_LEXCATS)}",
        )
    if not (word.function or "").startswith("p."):
        raise DataFileError(
            path,
            word.line,
            f"scene role {word.scene_role} but function {word.function}; expected a p. supersense in ss2",
        )
