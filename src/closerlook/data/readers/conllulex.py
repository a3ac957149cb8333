"""STREUSLE's ``.conllulex``: CoNLL-U and nine lexical-semantic columns, among them the supersenses.

Format: https://github.com/nert-nlp/streusle/blob/v4.2/CONLLULEX.md. Of its 19 columns this reader uses
1 ID, 2 FORM, 7 HEAD (checked only), 11 SMWE, 12 LEXCAT, 14 SS (scene role) and 15 SS2 (function).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from conllu.parser import DEFAULT_FIELDS, parse_nullable_value

from closerlook.data.data_errors import DataFileError
from closerlook.data.readers.conllu import NUMBER_PARSERS, Values, WordLines

TARGET_LEXCATS = frozenset({"P", "PRON.POSS", "INF.P", "POSS"})
"""Lexical categories of single words that carry a preposition supersense."""

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
    """

    form: str
    smwe: str | None
    lexcat: str | None
    scene_role: str | None
    function: str | None

    @property
    def is_target(self) -> bool:
        """Whether this is a single-word adposition or possessive with a ``p.`` supersense."""
        # `?? and backtick labels are no supersenses; multiword targets are left out
        return self.smwe is None and (self.scene_role or "").startswith("p.")


def _conllulex_word(path: Path, v: Values, line: int) -> ConllulexWord:
    word = ConllulexWord(v["form"], v["smwe"], v["lexcat"], v["ss"], v["ss2"])
    if word.smwe is not None and not _SMWE.fullmatch(word.smwe):
        raise DataFileError(path, line, f"column smwe: got {word.smwe!r}; expected group:position such as 2:1")
    if word.is_target and word.lexcat not in TARGET_LEXCATS:
        problem = f"supersense {word.scene_role} on lexical category {word.lexcat}"
        raise DataFileError(path, line, f"{problem}; expected one of {sorted(TARGET_LEXCATS)}")
    if word.is_target and not (word.function or "").startswith("p."):
        problem = f"scene role {word.scene_role} but function {word.function}; expected a p. supersense in ss2"
        raise DataFileError(path, line, problem)
    return word


CONLLULEX = WordLines(
    (*DEFAULT_FIELDS, "smwe", "lexcat", "lexlemma", "ss", "ss2", "wmwe", "wcat", "wlemma", "lextag"),
    NUMBER_PARSERS | dict.fromkeys(("smwe", "lexcat", "ss", "ss2"), parse_nullable_value),
    _conllulex_word,
    may_be_empty=frozenset({"form"}),  # two punctuation marks of the training split have none
    needs_id=True,
)
"""The format of STREUSLE."""
