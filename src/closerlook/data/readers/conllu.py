"""CoNLL-U: sentences with words, part-of-speech tags and dependency heads.

Format: https://universaldependencies.org/format.html. Fields are parsed by the package ``conllu``; the checks
around it are ours, because that package accepts missing columns, double ids and broken trees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from conllu.exceptions import ParseException
from conllu.parser import DEFAULT_FIELDS, parse_id_value, parse_int_value, parse_nullable_value

from closerlook.data.data_errors import DataFileError
from closerlook.data.readers.text_file import Block, blocks, read_text

Word = TypeVar("Word")
Values = dict[str, Any]
"""The columns of one line by name."""


@dataclass(frozen=True, slots=True)
class ConlluWord:
    """A syntactic word. Columns that hold ``_`` are None.

    Attributes:
        form: The word as written.
        upos: Universal part of speech.
        xpos: Language-specific part of speech.
        head: 0 for the root, else the 1-based id of the head.
        deprel: Relation to the head.
        line: 1-based line in the file.
    """

    form: str
    upos: str | None
    xpos: str | None
    head: int | None
    deprel: str | None
    line: int


@dataclass(frozen=True, slots=True)
class Sentence(Generic[Word]):
    """A sentence.

    Attributes:
        sent_id: Its ``# sent_id``, or ``s`` and its 1-based number in the file when there is none.
        words: Its syntactic words; word ``i`` has the id ``i + 1``.
        line: 1-based line of its first line in the file.
    """

    sent_id: str
    words: tuple[Word, ...]
    line: int


@dataclass(frozen=True)
class WordLines(Generic[Word]):
    """A format with one word a line, in tab-separated columns like those of CoNLL-U.

    Attributes:
        fields: Names of the columns.
        parsers: Parsers of the columns whose text is not taken as it stands; ``id`` and ``head`` among them.
        make_word: Makes a word of the file, the columns of a line and its number.
        may_be_empty: Columns that may hold nothing at all.
        needs_id: Whether a sentence must have a ``# sent_id``.
    """

    fields: tuple[str, ...]
    parsers: dict[str, Callable[[str], Any]]
    make_word: Callable[[Path, Values, int], Word]
    may_be_empty: frozenset[str] = frozenset()
    needs_id: bool = False

    def read(self, path: Path, encoding: str = "utf-8") -> tuple[Sentence[Word], ...]:
        """All sentences of a file. Multiword tokens (``3-4``) and empty nodes (``3.1``) are checked and left out.

        Raises:
            DataFileError: Another encoding, a wrong number of columns, ids that are not 1, 2, 3, ..., a head that
                does not exist, a cycle, a sentence without words, a ``sent_id`` that stands twice or is missing
                where it must be, no sentence at all.
        """
        sentences: list[Sentence[Word]] = []
        first_lines: dict[str, int] = {}
        for block in blocks(read_text(path, encoding)):
            sentence = self._sentence(path, block, number=len(sentences) + 1)
            earlier = first_lines.setdefault(sentence.sent_id, sentence.line)
            if earlier != sentence.line:
                problem = f"sent_id {sentence.sent_id!r} stands twice (first at line {earlier}); expected unique ids"
                raise DataFileError(path, sentence.line, problem)
            sentences.append(sentence)
        if not sentences:
            raise DataFileError(
                path, None, f"no sentence found; expected {len(self.fields)} tab-separated columns a word"
            )
        return tuple(sentences)

    def _sentence(self, path: Path, block: Block, number: int) -> Sentence[Word]:
        words: list[Word] = []
        heads: list[tuple[int | None, int]] = []
        range_end, range_line = 0, 0
        for line, text in block:
            if text.startswith("#"):
                continue
            values = self._values(path, line, text)
            if _is_word(path, line, values["id"], len(words)):
                words.append(self.make_word(path, values, line))
                heads.append((values["head"], line))
            elif values["id"][1] == "-":
                range_end, range_line = values["id"][2], line
        first_line = block[0][0]
        if not words:
            raise DataFileError(path, first_line, "a sentence without words; expected at least one word line")
        if range_end > len(words):
            problem = f"multiword token ends at word {range_end}; expected at most {len(words)}"
            raise DataFileError(path, range_line, problem)
        _check_tree(path, heads)
        sent_id = _comments(block).get("sent_id")
        if self.needs_id and not sent_id:
            raise DataFileError(path, first_line, "a sentence without '# sent_id = ...'; expected one a sentence")
        return Sentence(sent_id or f"s{number}", tuple(words), first_line)

    def _values(self, path: Path, line: int, text: str) -> Values:
        columns = text.split("\t")
        if len(columns) != len(self.fields):
            problem = f"{len(columns)} tab-separated columns; expected {len(self.fields)}: {text[:60]!r}"
            raise DataFileError(path, line, problem)
        values: Values = {}
        for name, column in zip(self.fields, columns, strict=True):
            if not column and name not in self.may_be_empty:
                raise DataFileError(path, line, f"column {name} is empty; expected a value or '_'")
            try:
                values[name] = self.parsers.get(name, str)(column)
            except (ParseException, ValueError) as error:
                raise DataFileError(
                    path, line, f"column {name}: got {column[:40]!r}; expected {_EXPECTED.get(name, 'another value')}"
                ) from error
        return values


NUMBER_PARSERS: dict[str, Callable[[str], Any]] = {"id": parse_id_value, "head": parse_int_value}
"""Parsers of the columns that hold numbers."""

_EXPECTED = {
    "id": "a number, a range (3-4) or an empty node (3.1)",
    "head": "the id of the head, 0 for the root, or '_'",
}


def _conllu_word(path: Path, v: Values, line: int) -> ConlluWord:
    return ConlluWord(v["form"], v["upos"], v["xpos"], v["head"], v["deprel"], line)


CONLLU = WordLines(
    DEFAULT_FIELDS, NUMBER_PARSERS | dict.fromkeys(("upos", "xpos", "deprel"), parse_nullable_value), _conllu_word
)
"""The format of Universal Dependencies."""


def _is_word(path: Path, line: int, word_id: Any, n_words: int) -> bool:
    """Whether a line holds a word (True) or a multiword token or empty node (False); its id must fit.

    ``word_id`` is an int, or ``(first, "-", last)``, or ``(after, ".", number)``, or None for ``_``.
    """
    if word_id is None:
        raise DataFileError(path, line, f"no word id; expected {_EXPECTED['id']}")
    if isinstance(word_id, int):
        if word_id != n_words + 1:
            raise DataFileError(path, line, f"word id {word_id}; expected {n_words + 1} (ids count 1, 2, 3, ...)")
        return True
    first, kind, _ = word_id
    expected = n_words + 1 if kind == "-" else n_words
    if first != expected:
        shown = "".join(map(str, word_id))
        raise DataFileError(path, line, f"id {shown}; expected it to begin with {expected} at this place")
    return False


def _comments(block: Block) -> dict[str, str]:
    """The ``# key = value`` comments of a sentence."""
    pairs = (line[1:].split("=", 1) for _, line in block if line.startswith("#") and "=" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _check_tree(path: Path, words: Sequence[tuple[int | None, int]]) -> None:
    """Heads (0 = root) exist and lead to the root; words without a head (``_``) may stand."""
    for head, line in words:
        if head is not None and not 0 <= head <= len(words):
            raise DataFileError(path, line, f"head {head}; expected 0 to {len(words)}")
    safe: set[int] = {0}  # ids known to lead to the root or to a word without a head
    for start in range(1, len(words) + 1):
        path_up: list[int] = []
        at = start
        while at not in safe:
            if at in path_up:
                cycle = path_up[path_up.index(at) :]
                raise DataFileError(path, words[at - 1][1], f"the heads of words {cycle} form a cycle; expected a tree")
            path_up.append(at)
            at = words[at - 1][0] or 0
        safe.update(path_up)
