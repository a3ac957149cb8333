from __future__ import annotations

from pathlib import Path

import pytest

from closerlook.data.data_errors import DataFileError
from closerlook.data.readers.conllulex import CONLLULEX


def word(i: object, form: str, smwe: str = "_", lexcat: str = "N", ss: str = "_", ss2: str = "_") -> str:
    return "\t".join([str(i), form, *["_"] * 8, smwe, lexcat, "_", ss, ss2, *["_"] * 4])


def test_targets_are_single_words_with_a_preposition_supersense(fixture_dir: Path) -> None:
    first, second = CONLLULEX.read(fixture_dir / "mini.conllulex")
    found = [(w.form, w.scene_role, w.function) for s in (first, second) for w in s.words if w.is_target]
    # not: "In spite of" (multiword), n. and v. supersenses, ??, `i
    assert found == [("my", "p.SocialRel", "p.Gestalt"), ("at", "p.Time", "p.Locus"), ("to", "p.Purpose", "p.Goal")]
    assert len(second.words) == 5


def test_crlf_and_missing_final_newline_change_nothing(fixture_dir: Path, tmp_path: Path) -> None:
    plain = (fixture_dir / "mini.conllulex").read_bytes()
    other = tmp_path / "crlf.conllulex"
    other.write_bytes(plain.strip().replace(b"\n", b"\r\n"))
    assert CONLLULEX.read(other) == CONLLULEX.read(fixture_dir / "mini.conllulex")


@pytest.mark.parametrize(
    ("lines", "line", "message"),
    [
        (["# sent_id = s", "1\ta"], 2, "2 tab-separated columns; expected 19"),
        (["# sent_id = s", word(1, "a"), word(3, "b")], 3, "word id 3; expected 2"),
        (["# sent_id = s", word(1, "a"), word(1, "b")], 3, "word id 1; expected 2"),
        (["# sent_id = s", word(1, "a", smwe="x")], 2, "column smwe: got 'x'; expected group:position"),
        (["# sent_id = s", word(1, "at", lexcat="N", ss="p.Time", ss2="p.Time")], 2, "p.Time on lexical category N"),
        (["# sent_id = s", word(1, "at", lexcat="P", ss="p.Time")], 2, "p.Time but function None"),
        ([word(1, "a")], 1, "a sentence without '# sent_id"),
        (["# sent_id = s"], 1, "a sentence without words"),
        (["# sent_id = s", word(1, "a"), "", "# sent_id = s", word(1, "a")], 4, "stands twice"),
        ([""], None, "no sentence found"),
    ],
)
def test_malformed_files_name_file_line_and_expectation(
    tmp_path: Path, lines: list[str], line: int | None, message: str
) -> None:
    path = tmp_path / "x.conllulex"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(DataFileError, match=message) as caught:
        CONLLULEX.read(path)
    assert caught.value.line == line
    assert str(path) in str(caught.value)


def test_wrong_encoding(tmp_path: Path) -> None:
    path = tmp_path / "x.conllulex"
    path.write_bytes(b"# sent_id = s\n" + word(1, "caf\xe9").encode("iso-8859-1"))
    with pytest.raises(DataFileError, match="line 2: byte 0xE9 is not UTF-8"):
        CONLLULEX.read(path)
