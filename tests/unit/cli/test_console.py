"""Text of files in the terminal, and where the log of probe.py goes."""

from __future__ import annotations

import io
import os
import stat
import tempfile
from pathlib import Path

import pytest
from rich.markup import escape
from rich.table import Table

from closerlook.cli.console import Console, printable
from closerlook.config import _log_directory


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ümlaut 日本", "plain ümlaut 日本"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\rb\x07", "a\\rb\\x07"),
        ("\u202ea", "\\u202ea"),
    ],
)
def test_control_characters_are_spelled_out(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable("two\nlines\tand") == "two\nlines\tand"
    out = io.StringIO()
    table = Table("label")
    table.add_row(escape(text))
    console = Console(file=out, force_terminal=True, color_system=None, width=60)
    console.print(escape(text))
    console.print(table)
    assert out.getvalue().count(shown) == 2
    assert "\x1b[2J" not in out.getvalue()


def test_the_log_never_goes_through_a_link_or_into_a_file_of_somebody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(shared))
    run = tmp_path / "run"
    run.mkdir()
    assert _log_directory(str(run), None, None) == str(run)
    assert _log_directory(str(run), str(tmp_path / "out"), None) == str(tmp_path / "out")
    (run / "probe.log").symlink_to(tmp_path / "victim")
    private = Path(_log_directory(str(run), None, None))
    assert private == shared / f"closerlook-{os.getuid()}"
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert _log_directory(str(tmp_path / "mistyped"), None, None) == str(private)
    private.rmdir()
    private.symlink_to(tmp_path)  # prepared by another user
    assert Path(_log_directory(str(tmp_path / "mistyped"), None, None)).parent == shared
    assert not Path(_log_directory(str(tmp_path / "mistyped"), None, None)).is_symlink()
