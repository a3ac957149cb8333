"""Downloads from a server of our own that serves well, lies, breaks off, forgets, or is not there."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from closerlook.data import download
from closerlook.data.data_errors import DownloadError
from closerlook.data.download import cache_dir, can_reach, locate
from closerlook.data.source_files import SourceFile, file_checksum

CONTENT = bytes(range(256)) * 2_000
BLOB = "blob:" + hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT, usedforsecurity=False).hexdigest()


class Handler(BaseHTTPRequestHandler):
    ranges: list[str | None] = []  # noqa: RUF012 - reset by the fixture
    cut_after: list[int] = []  # noqa: RUF012

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.ranges.append(wanted)
        if self.path.startswith("/missing"):
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and "norange" not in self.path else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        body = b"<html>Please log in</html>" if self.path.startswith("/wrong") else CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.path.startswith("/cut") and self.cut_after:
            body = body[: self.cut_after.pop(0)]
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in download.OFFLINE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    Handler.ranges, Handler.cut_after = [], []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}/"
        httpd.shutdown()
        thread.join()


def source(url: str, checksum: str | None = None) -> SourceFile:
    return SourceFile("SET/some.txt", url, checksum or hashlib.sha256(CONTENT).hexdigest())


@pytest.mark.parametrize("checksum", [None, BLOB])
def test_a_good_download_is_verified_and_kept(server: str, tmp_path: Path, checksum: str | None) -> None:
    wanted = source(server + "good", checksum)
    located = locate(wanted, tmp_path, download=True)
    assert located.path == tmp_path / "SET" / "some.txt"
    assert located.path.read_bytes() == CONTENT
    assert (located.checksum, located.note) == (wanted.checksum, None)
    assert locate(wanted, tmp_path, download=True) == located
    assert len(Handler.ranges) == 1  # the second call took the file from the folder
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("checksum", [None, BLOB])
def test_a_wrong_file_is_thrown_away(server: str, tmp_path: Path, checksum: str | None) -> None:
    with pytest.raises(DownloadError, match=r"wrong: got a file with checksum .*; expected .*thrown away"):
        locate(source(server + "wrong", checksum), tmp_path, download=True)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".lock"] == []


def test_a_cut_connection_is_taken_up_where_it_stopped(server: str, tmp_path: Path) -> None:
    Handler.cut_after = [100_000, 200_000]
    assert locate(source(server + "cut"), tmp_path, download=True).path.read_bytes() == CONTENT
    assert Handler.ranges == [None, "bytes=100000-", "bytes=300000-"]


def test_a_broken_transfer_is_never_taken_for_whole_and_resumes_in_the_next_run(server: str, tmp_path: Path) -> None:
    Handler.cut_after = [1_000] * download.MAX_ATTEMPTS
    with pytest.raises(DownloadError, match=r"some\.txt is not in .*could not be had from .*cut"):
        locate(source(server + "cut"), tmp_path, download=True)
    assert not (tmp_path / "SET" / "some.txt").exists()
    assert (tmp_path / "SET" / "some.txt.part").stat().st_size == 1_000 * download.MAX_ATTEMPTS
    Handler.ranges = []
    assert locate(source(server + "cut"), tmp_path, download=True).path.read_bytes() == CONTENT
    assert Handler.ranges == [f"bytes={1_000 * download.MAX_ATTEMPTS}-"]


def test_a_beginning_of_another_version_is_started_anew(server: str, tmp_path: Path) -> None:
    part = tmp_path / "SET" / "some.txt.part"
    part.parent.mkdir()
    part.write_bytes(b"another version")
    assert locate(source(server + "good"), tmp_path, download=True).path.read_bytes() == CONTENT
    assert Handler.ranges == ["bytes=15-", None]
    # a whole .part, of a process killed before it could rename
    (tmp_path / "SET" / "some.txt").rename(part)
    assert locate(source(server + "good"), tmp_path, download=True).path.read_bytes() == CONTENT


def test_servers_without_ranges(server: str, tmp_path: Path) -> None:
    Handler.cut_after = [5_000]
    assert locate(source(server + "cut-norange"), tmp_path, download=True).path.read_bytes() == CONTENT


def test_not_found_names_file_address_and_place(server: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError) as caught:
        locate(source(server + "missing"), tmp_path, download=True)
    message = str(caught.value)
    assert message.startswith(f"some.txt is not in {tmp_path}, and could not be had from {server}missing")
    assert "the server answered 404" in message
    assert f"put it at {tmp_path / 'SET' / 'some.txt'}" in message
    assert len(Handler.ranges) == 1


def refusing_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/"


def test_no_network_is_one_error_within_seconds(server: str, tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(DownloadError, match=r"ConnectionError, is there a network\?.*CLOSERLOOK_DATA_DIR"):
        locate(source(refusing_address() + "x"), tmp_path, download=True)
    assert time.monotonic() - started < 5
    assert can_reach(server)
    assert not can_reach(refusing_address())


@pytest.mark.parametrize("name", download.OFFLINE_VARIABLES)
def test_offline_means_not_even_trying(server: str, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(DownloadError, match=f"not downloaded because of {name}=1"):
        locate(source(server + "good"), tmp_path, download=True)
    monkeypatch.setenv(name, "0")
    with pytest.raises(DownloadError, match="downloads are switched off"):
        locate(source(server + "good"), tmp_path, download=False)
    assert Handler.ranges == []


def test_files_of_the_user_are_found_in_both_layouts_and_never_overwritten(server: str, tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text("mine")
    located = locate(source(server + "good"), tmp_path, download=True)
    assert located.path == tmp_path / "some.txt"
    assert located.note is not None
    assert located.note.startswith("some.txt is not a known version (SHA-256 ")
    wanted = replace(source(server), other_versions={file_checksum(tmp_path / "some.txt"): "an older one"})
    assert locate(wanted, tmp_path, download=True).note == "some.txt is not the released file: an older one."
    (tmp_path / "SET").mkdir()
    (tmp_path / "SET" / "some.txt").write_bytes(CONTENT)
    assert locate(source(server + "good"), tmp_path, download=True).note is None
    assert Handler.ranges == []


def test_where_downloads_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    import pooch

    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    assert cache_dir(tmp_path / "new" / "folder") == tmp_path / "new" / "folder"
    assert cache_dir(None) == tmp_path / "cache" / "closerlook"
    monkeypatch.setattr(download.os, "access", lambda path, mode: False)
    assert cache_dir(tmp_path) == tmp_path / "cache" / "closerlook"
    # a damaged file of the cache is fetched again
    damaged = cache_dir(None) / "SET" / "some.txt"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(CONTENT[:-1])
    assert locate(source(server + "good", BLOB), None, download=True).path.read_bytes() == CONTENT
    (tmp_path / "file").write_text("")
    monkeypatch.undo()
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "file" / name)
    with pytest.raises(DownloadError, match="cannot make the folder"):
        locate(source(server + "good"), None, download=True)
