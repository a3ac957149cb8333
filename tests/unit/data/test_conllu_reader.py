from __future__ import annotations

from pathlib import Path

import pytest

from closerlook.data.data_errors import DataFileError
from closerlook.data.readers.conllu import CONLLU


def word(i: object, form: str, head: object = 0, deprel: str = "root") -> str:
    return f"{i}\t{form}\t_\tNOUN\t_\t_\t{head}\t{deprel}\t_\t_"


def write(tmp_path: Path, *lines: str, end: str = "\n") -> Path:
    path = tmp_path / "x.conllu"
    path.write_bytes((end.join(lines) + end).encode())
    return path


def test_words_heads_and_ids_without_ranges_and_empty_nodes(fixture_dir: Path) -> None:
    first, second, third = CONLLU.read(fixture_dir / "mini.conllu")
    assert [w.form for w in first.words] == ["I", "ca", "n't", "see", "it", "."]
    assert [w.head for w in first.words] == [4, 4, 4, 0, 4, 4]
    assert [w.upos for w in second.words] == ["ADJ", "NOUN", "VERB", "NOUN", "PUNCT"]
    assert [w.deprel for w in second.words] == ["amod", "nsubj", "root", "obj", "punct"]
    assert (first.sent_id, first.line, first.words[0].line) == ("notes-1", 1, 4)
    assert len(third.words) == 1


def test_crlf_byte_order_mark_and_missing_final_newline_change_nothing(fixture_dir: Path, tmp_path: Path) -> None:
    plain = (fixture_dir / "mini.conllu").read_bytes()
    other = tmp_path / "crlf.conllu"
    other.write_bytes(b"\xef\xbb\xbf" + plain.strip().replace(b"\n", b"\r\n"))
    assert CONLLU.read(other) == CONLLU.read(fixture_dir / "mini.conllu")


def test_white_space_that_is_no_line_end_is_data(tmp_path: Path) -> None:
    path = write(tmp_path, word(1, "new\u2028line", 0), word(2, "ice  cream\x85", 1, "obj"), "")
    (sentence,) = CONLLU.read(path)
    assert [w.form for w in sentence.words] == ["new\u2028line", "ice  cream\x85"]


def test_sentences_without_id_are_numbered_and_heads_may_be_missing(tmp_path: Path) -> None:
    path = write(tmp_path, word(1, "a", "_", "_"), "", "", word(1, "b"))
    first, second = CONLLU.read(path)
    assert (first.sent_id, second.sent_id) == ("s1", "s2")
    assert (first.words[0].head, first.words[0].deprel) == (None, None)


@pytest.mark.parametrize(
    ("lines", "line", "message"),
    [
        (["1\ta\t_\tNOUN"], 1, "4 tab-separated columns; expected 10"),
        ([word(1, "a"), word(2, "b", 1, "x") + "\t_"], 2, "11 tab-separated columns; expected 10"),
        (["1 a _ NOUN _ _ 0 root _ _"], 1, "1 tab-separated columns; expected 10"),
        ([word(1, "")], 1, "column form is empty"),
        ([word(2, "a")], 1, "word id 2; expected 1"),
        ([word(1, "a"), word(1, "b")], 2, "word id 1; expected 2"),
        ([word(1, "a"), word(3, "b")], 2, "word id 3; expected 2"),
        ([word("x", "a")], 1, "column id: got 'x'; expected a number"),
        ([word("_", "a")], 1, "no word id"),
        ([word("1-2", "ab"), word(1, "a")], 1, "multiword token ends at word 2; expected at most 1"),
        ([word("2-3", "ab"), word(1, "a")], 1, "id 2-3; expected it to begin with 1"),
        ([word(1, "a"), word("3.1", "b")], 2, "id 3.1; expected it to begin with 1"),
        ([word(1, "a", "one")], 1, "column head: got 'one'"),
        ([word(1, "a", "9" * 5000)], 1, "column head"),
        ([word(1, "a"), word(2, "b", 3, "x")], 2, "head 3; expected 0 to 2"),
        ([word(1, "a", -1, "x")], 1, "head -1; expected 0 to 1"),
        ([word(1, "a", 1, "x")], 1, r"heads of words \[1\] form a cycle"),
        ([word(1, "a"), word(2, "b", 3, "x"), word(3, "c", 2, "x")], 2, r"words \[2, 3\] form a cycle"),
        ([word(1, "a"), "", "# only = a comment", ""], 3, "a sentence without words"),
        (["# sent_id = s", word(1, "a"), "", "# sent_id = s", word(1, "b")], 4, "'s' stands twice .first at line 1"),
        (["a\0b"], 1, "NUL byte"),
        (["", ""], None, "no sentence found"),
    ],
)
def test_malformed_files_name_file_line_and_expectation(
    tmp_path: Path, lines: list[str], line: int | None, message: str
) -> None:
    path = write(tmp_path, *lines)
    with pytest.raises(DataFileError, match=message) as caught:
        CONLLU.read(path)
    assert caught.value.line == line
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1"])
def test_wrong_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "x.conllu"
    path.write_bytes((word(1, "a") + "\n" + word(2, "é", 1) + "\n").encode(encoding))
    with pytest.raises(DataFileError, match="is not UTF-8; expected a UTF-8 file"):
        CONLLU.read(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"cannot be read \(No such file"):
        CONLLU.read(tmp_path / "none.conllu")
