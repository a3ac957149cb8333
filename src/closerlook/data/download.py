"""Finding source files on disk, or fetching them: verified, resumable, atomic, and never waiting long."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pooch
import requests
from filelock import FileLock
from requests.exceptions import ConnectionError, ReadTimeout
from urllib3.exceptions import HTTPError

from closerlook.data.data_errors import DownloadError
from closerlook.data.source_files import SourceFile, file_checksum

CONNECT_TIMEOUT, READ_TIMEOUT = 4.0, 10.0
"""Seconds to wait for a connection, and for the next bytes."""

MAX_ATTEMPTS = 4
"""How often a transfer that was cut is taken up again where it stopped."""

OFFLINE_VARIABLES = ("CLOSERLOOK_OFFLINE", "HF_HUB_OFFLINE")


@dataclass(frozen=True)
class LocatedFile:
    """A source file on this machine.

    Attributes:
        path: Where it is.
        checksum: Its SHA-256, or its Git blob id with ``blob:`` before it.
        note: What the user should know about this version of the file; None for the published one.
    """

    path: Path
    checksum: str
    note: str | None = None


def offline_reason() -> str | None:
    """Which environment variable forbids the network; None when none does."""
    for name in OFFLINE_VARIABLES:
        if os.environ.get(name, "").strip().lower() in {"1", "true", "yes", "on"}:
            return f"{name}={os.environ[name]}"
    return None


def can_reach(address: str) -> bool:
    """Whether a server answers at all, within a few seconds; proxies of the environment are used."""
    try:
        requests.head(address, timeout=CONNECT_TIMEOUT).close()
    except requests.exceptions.RequestException:
        return False
    return True


def locate(source: SourceFile, data_dir: str | Path | None, download: bool) -> LocatedFile:
    """The file from the data folder or the cache, else from its address.

    Looked for as ``data_dir/relative_path``, ``data_dir/name`` and in the cache. A file in ``data_dir`` with
    an unknown checksum is taken, with a note: users may edit their data. A download must have the known one.

    Args:
        source: The file wanted.
        data_dir: The user's data folder; None looks in the cache only.
        download: Whether the network may be used.

    Raises:
        DownloadError: Not on disk, and not to be had: names the file, the address and where to put it.
    """
    if data_dir is not None:
        folder = Path(data_dir).expanduser()
        for candidate in (folder / source.relative_path, folder / source.name):
            if candidate.is_file():
                return _describe(source, candidate)
    target = cache_dir(data_dir) / source.relative_path
    if target.is_file() and (located := _describe(source, target)).note is None:
        return located
    reason = "downloads are switched off (task.download=false)" if not download else offline_reason()
    if reason is not None:
        raise DownloadError(_missing(source, data_dir, f"not downloaded because of {reason}"))
    with _lock(target):
        if not target.is_file() or _describe(source, target).note is not None:
            target.unlink(missing_ok=True)  # a damaged file of the cache; the user's folder was looked at above
            _fetch(source, target, data_dir)
    return _describe(source, target)


def cache_dir(data_dir: str | Path | None) -> Path:
    """Where downloads go: ``data_dir`` where it can be written, else the user's cache folder."""
    if data_dir is not None:
        folder = Path(data_dir).expanduser()
        existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
        if existing.is_dir() and os.access(existing, os.W_OK):
            return folder
    return Path(pooch.os_cache("closerlook"))


def _describe(source: SourceFile, path: Path) -> LocatedFile:
    checksum = file_checksum(path, like=source.checksum)
    if checksum == source.checksum:
        return LocatedFile(path, checksum)
    sha256 = file_checksum(path)
    if sha256 in source.other_versions:
        return LocatedFile(path, sha256, f"{source.name} is not the released file: {source.other_versions[sha256]}.")
    return LocatedFile(
        path,
        sha256,
        f"{source.name} is not a known version (SHA-256 {sha256[:12]}..., "
        f"expected {source.checksum[:17]}...): edited or damaged? Counts may differ from the paper's.",
    )


def _missing(source: SourceFile, data_dir: str | Path | None, why: str) -> str:
    place = Path(data_dir).expanduser() if data_dir is not None else cache_dir(None)
    return (
        f"{source.name} is not in {place}, and could not be had from {source.url}: {why}. "
        f"Download it from that address and put it at {place / source.relative_path}, "
        "or set paths.data_dir (environment: CLOSERLOOK_DATA_DIR) to the folder that holds it"
    )


def _fetch(source: SourceFile, target: Path, data_dir: str | Path | None) -> None:
    sha256 = None if source.checksum.startswith("blob:") else source.checksum
    try:
        # pooch checks the SHA-256 and renames into place; the downloader resumes and checks Git blob ids
        pooch.retrieve(
            source.url,
            known_hash=sha256,
            fname=target.name,
            path=target.parent,
            downloader=ResumingDownloader(target.with_name(target.name + ".part"), source.checksum),
        )
    except requests.exceptions.RequestException as error:
        raise DownloadError(_missing(source, data_dir, _network_reason(error))) from error
    except OSError as error:
        raise DownloadError(_missing(source, data_dir, f"{error.strerror or error} ({target})")) from error


def _network_reason(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"the server answered {response.status_code} {response.reason}"
    return f"{type(error).__name__}, is there a network?"


class ResumingDownloader:
    """A downloader for pooch that keeps what it got in a ``.part`` file and goes on from there.

    Args:
        part: The file that collects the bytes; it stays after a broken transfer.
        checksum: What the whole file must have.
    """

    def __init__(self, part: Path, checksum: str) -> None:
        self.part = part
        self.checksum = checksum

    def __call__(self, url: str, output_file: Any, _: Any) -> None:
        """Fetch ``url`` into ``output_file``.

        Raises:
            requests.exceptions.RequestException: The server refuses, or keeps breaking off.
            DownloadError: The file has another checksum; the partial file is removed.
        """
        resumed = self.part.is_file()
        self._collect(url)
        if resumed and file_checksum(self.part, like=self.checksum) != self.checksum:
            self.part.unlink()  # the old beginning may be of another version: once more from the start
            self._collect(url)
        got = file_checksum(self.part, like=self.checksum)
        if got != self.checksum:
            self.part.unlink()
            raise DownloadError(
                f"{url}: got a file with checksum {got}; expected {self.checksum}. It was thrown away: "
                "the published file has changed, or something on the way answers in its place"
            )
        os.replace(self.part, output_file)

    def _collect(self, url: str) -> None:
        for attempt in range(1, MAX_ATTEMPTS + 1):
            before = self._n_bytes()
            try:
                self._transfer(url)
                return
            except (ConnectionError, ReadTimeout):
                # go on only where the last attempt brought something: a dead address is not asked again
                if attempt == MAX_ATTEMPTS or self._n_bytes() <= before:
                    raise

    def _n_bytes(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _transfer(self, url: str) -> None:
        have = self._n_bytes()
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        timeout = (CONNECT_TIMEOUT, READ_TIMEOUT)
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                return  # nothing is missing; the checksum decides
            response.raise_for_status()
            # a server that ignores ranges sends the whole file again
            mode = "ab" if response.status_code == requests.codes.partial_content else "wb"
            with self.part.open(mode) as file:
                for chunk in _chunks(response):
                    file.write(chunk)


def _chunks(response: Any) -> Iterator[bytes]:
    """The body as it comes in. `iter_content` would throw the last bytes before a cut away."""
    try:
        while chunk := response.raw.read1(1 << 16):
            yield chunk
    except HTTPError as error:  # IncompleteRead, ReadTimeoutError, ...
        raise ConnectionError(error) from error


@contextmanager
def _lock(target: Path) -> Iterator[None]:
    """One process downloads, the others wait: ranks of one training, or jobs of one sweep."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(f"cannot make the folder {target.parent} for {target.name}: {error.strerror}") from error
    with FileLock(str(target) + ".lock", timeout=600):
        yield
