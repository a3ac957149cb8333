"""CoNLL-U: sentences with words, part-of-speech tags and dependency heads.

Format: https://universaldependencies.org/format.html. Fields are parsed by the package ``conllu``; the checks
around it are ours, because that package accepts missing columns, double ids and broken trees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from closerlook.data.data_errors import DataFileError
from closerlook.data.readers.text_file import blocks, read_text

N_COLUMNS = 10


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
class ConlluSentence:
    """A sentence.

    Attributes:
        sent_id: Its ``# sent_id``, or ``s`` and its 1-based number in the file when there is none.
        words: Its syntactic words; word ``i`` has the id ``i + 1``.
        line: 1-based line of its first line in the file.
    """

    sent_id: str
    words: tuple[ConlluWord, ...]
    line: int


def read_conllu(path: Path) -> tuple[ConlluSentence, ...]:
    """Read a ``.conllu`` file.

    Lines of multiword tokens (``3-4``) and empty nodes (``3.1``) are checked and left out.

    Raises:
        DataFileError: Not UTF-8, a wrong number of columns, ids that are not 1, 2, 3, ..., a head that does
            not exist, a cycle, a sentence without words, a ``sent_id`` that stands twice, no sentence at all.
    """
    sentences: list[ConlluSentence] = []
    first_lines: dict[str, int] = {}
    for block in blocks(read_text(path)):
        sentence = _parse_sentence(path, block, number=len(sentences) + 1)
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
        raise DataFileError(path, None, "no sentence found; expected CoNLL-U (10 tab-separated columns a word)")
    return tuple(sentences)


def check_word_id(path: Path, line: int, word_id: Any, n_words: int) -> bool:
    """Whether a line holds a word (True) or a multiword token or empty node (False); its id must fit.

    Args:
        path: The file, for the error.
        line: The line, for the error.
        word_id: As ``conllu`` parses it: an int, or ``(first, "-", last)``, or ``(after, ".", number)``.
        n_words: Words of the sentence so far.

    Raises:
        DataFileError: The id is not the one that must come here.
    """
    if isinstance(word_id, int):
        expected = n_words + 1
        if word_id != expected:
            raise DataFileError(path, line, f"word id {word_id}; expected {expected} (ids count 1, 2, 3, ...)")
        return True
    if word_id is None:
        raise DataFileError(path, line, "no word id; expected a number, a range (3-4) or an empty node (3.1)")
    first, kind, _ = word_id
    expected = n_words + 1 if kind == "-" else n_words
    if first != expected:
        shown = "".join(map(str, word_id))
        raise DataFileError(path, line, f"id {shown}; expected it to begin with {expected} at this place")
    return False


def parse_fields(
    path: Path,
    line: int,
    text: str,
    fields: tuple[str, ...],
    parsers: dict[str, Any],
    may_be_empty: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """The columns of one line by name.

    Raises:
        DataFileError: A wrong number of columns, an empty one, or one that does not parse.
    """
    columns = text.split("\t")
    if len(columns) != len(fields):
        raise DataFileError(path, line, f"{len(columns)} tab-separated columns; expected {len(fields)}: {text[:60]!r}")
    values: dict[str, Any] = {}
    for name, column in zip(fields, columns, strict=True):
        if not column and name not in may_be_empty:
            raise DataFileError(path, line, f"column {name} is empty; expected a value or '_'")
        try:
            values[name] = parsers[name](column) if name in parsers else column
        except ValueError as error:  # includes conllu.exceptions.ParseException, made so by _strict
            raise DataFileError(path, line, f"column {name}: got {column[:40]!r}; {error}") from error
    return values


def word_parsers() -> dict[str, Any]:
    """Parsers of the columns whose text is not taken as it stands."""
    from conllu.exceptions import ParseException
    from conllu.parser import parse_id_value, parse_int_value, parse_nullable_value

    def strict(parse: Any, expected: str) -> Any:
        def parse_or_say(column: str) -> Any:
            try:
                return parse(column)
            except (ParseException, ValueError) as error:
                raise ValueError(f"expected {expected}") from error

        return parse_or_say

    nullable = dict.fromkeys(("upos", "xpos", "deprel"), parse_nullable_value)
    return {
        "id": strict(parse_id_value, "a number, a range (3-4) or an empty node (3.1)"),
        "head": strict(parse_int_value, "the id of the head, 0 for the root, or '_'"),
        **nullable,
    }


def comments(block: list[tuple[int, str]]) -> dict[str, str]:
    """The ``# key = value`` comments of a sentence."""
    pairs = (line[1:].split("=", 1) for _, line in block if line.startswith("#") and "=" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _parse_sentence(path: Path, block: list[tuple[int, str]], number: int) -> ConlluSentence:
    from conllu.parser import DEFAULT_FIELDS

    parsers = word_parsers()
    words: list[ConlluWord] = []
    last_of_range, range_line = 0, 0
    for line, text in block:
        if text.startswith("#"):
            continue
        values = parse_fields(path, line, text, DEFAULT_FIELDS, parsers)
        if check_word_id(path, line, values["id"], len(words)):
            words.append(
                ConlluWord(values["form"], values["upos"], values["xpos"], values["head"], values["deprel"], line)
            )
        elif values["id"][1] == "-":
            last_of_range, range_line = values["id"][2], line
    first_line = block[0][0]
    if not words:
        raise DataFileError(path, first_line, "a sentence without words; expected at least one word line")
    if last_of_range > len(words):
        raise DataFileError(
            path, range_line, f"multiword token ends at word {last_of_range}; expected at most {len(words)}"
        )
    check_tree(path, [(word.head, word.line) for word in words])
    sent_id = comments(block).get("sent_id") or f"s{number}"
    return ConlluSentence(sent_id, tuple(words), first_line)


def check_tree(path: Path, words: Sequence[tuple[int | None, int]]) -> None:
    """Heads exist and lead to the root; words without a head (``_``) are let be.

    Args:
        path: The file, for the error.
        words: Head (0 = root) and line of each word of a sentence.

    Raises:
        DataFileError: A head that does not exist, or a cycle.
    """
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
