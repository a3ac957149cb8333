"""The local page: it shows what is there, and gives nothing to anybody else."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.e2e


class Page:
    """A real server of probe.py in a process of its own."""

    def __init__(self, project: Path, root: Path) -> None:
        command = [sys.executable, str(project / "probe.py"), f"runs={root}", "serve=true", "port=0"]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        cwd=root, env=environment)  # fmt: skip
        assert self.process.stdout is not None
        self.said = ""
        for line in self.process.stdout:
            self.said += line
            if found := re.search(r"(http://127\.0\.0\.1:\d+/[\w-]+/)", line):
                self.url = found[1]
                break
        else:
            self.stop(signal.SIGKILL)
            raise AssertionError(self.said)
        parts = urlsplit(self.url)
        self.port, self.token = int(parts.port or 0), parts.path

    def stop(self, signum: int) -> int:
        """End it; its exit status."""
        self.process.send_signal(signum)
        status = self.process.wait(30)
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            self.said += stream.read()
        return status

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, dict[str, str]]:
        """Status, text and headers; the path goes out as it is, with its dots."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8"), dict(answer.getheaders())
        finally:
            connection.close()


@pytest.fixture(scope="module")
def root(digits_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, a failed one with a hostile message, one that links out, and a secret outside."""
    base = tmp_path_factory.mktemp("serve")
    (base / "secret.html").write_text("TOPSECRET")
    root = base / "runs"
    shutil.copytree(digits_run, root / "digits" / "seed-0")
    (root / "digits" / "seed-0" / "report.html").write_text("<p>a report</p>")
    failed = root / "<b>bad" / "seed 1"
    failed.mkdir(parents=True)
    error = "<script>alert(1)</script> api_key=abcdefgh12345678"
    (failed / "state.json").write_text(json.dumps({"status": "failed", "error": error}))
    (failed / ".hydra").mkdir()
    (failed / ".hydra" / "overrides.yaml").write_text("- task=pos\n- seed=1\n")
    (failed / ".hydra" / "hydra.yaml").write_text("hydra: {overrides: {hydra: [hydra.run.dir=/there, hydra.mode=RUN]}}")
    linked = root / "linked" / "seed-0"
    linked.mkdir(parents=True)
    shutil.copy(digits_run / "run.json", linked / "run.json")
    (linked / "report.html").symlink_to(base / "secret.html")
    (root / "out").symlink_to(base)
    return root


@pytest.fixture(scope="module")
def page(project: Path, root: Path) -> Iterator[Page]:
    found = Page(project, root)
    yield found
    assert found.stop(signal.SIGINT) == 0
    assert "Traceback" not in found.said


def test_runs_are_listed_and_shown(page: Page) -> None:
    status, text, headers = page.ask(page.token)
    assert status == 200
    assert "digits/seed-0" in text
    assert "TOPSECRET" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert" not in text
    assert "abcdefgh12345678" not in text
    assert re.search(r"train(\.py)? task=pos seed=1 hydra\.run\.dir=/there</pre>", text), "the failed run's command"
    assert headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert re.search(r"connect-src 'self'.*script-src 'sha256-", headers["Content-Security-Policy"])
    status, text, _ = page.ask(f"{page.token}run/digits/seed-0/")
    assert status == 200
    assert "Snapshots" in text
    assert "<polyline" in text
    status, text, headers = page.ask(f"{page.token}run/digits/seed-0/report.html")
    assert (status, text) == (200, "<p>a report</p>")
    assert headers["Content-Security-Policy"].startswith("sandbox")
    assert page.ask(f"{page.token}run/%3Cb%3Ebad/seed%201/")[0] == 200


def test_it_fills_while_runs_come(page: Page, root: Path, digits_run: Path) -> None:
    assert "digits/seed-9" not in page.ask(page.token)[1]
    shutil.copytree(digits_run, root / "digits" / "seed-9")
    assert "digits/seed-9" in page.ask(page.token)[1]


@pytest.mark.parametrize(
    "path",
    [
        "run/../secret.html", "run/%2e%2e/secret.html", "run/digits/seed-0/../../../secret.html",
        "run/digits%2Fseed-0%2F..%2F..%2F..%2Fsecret.html", "run/out/secret.html", "run/out/", "run//etc/passwd",
        "run/linked/seed-0/report.html", "run/digits/seed-0/run.json", "run/digits/seed-0/%00report.html",
        "run/digits/seed-0/metrics.csv", "../", "run/digits/seed-0/../seed-0/report.html",
    ],
)  # fmt: skip
def test_nothing_else_is_given(page: Page, path: str) -> None:
    status, text, _ = page.ask(page.token + path)
    assert status in (400, 404)
    assert "TOPSECRET" not in text
    assert len(text) < 100


def test_a_link_is_named_and_not_followed(page: Page) -> None:
    status, text, _ = page.ask(f"{page.token}run/linked/seed-0/")
    assert status == 200
    assert "it holds a link (report.html)" in text
    assert "out/" not in page.ask(page.token)[1]


def test_only_who_knows_the_token_and_this_machines_name_may_ask(page: Page) -> None:
    for path in ("/", "/run/digits/seed-0/", "/x/", f"/{'a' * 32}/", f"{page.token[:-2]}/", "/favicon.ico"):
        status, text, _ = page.ask(path)
        assert (status, "digits" in text) == (404, False), path
    for host in ("evil.example", f"evil.example:{page.port}", "127.0.0.1", f"127.0.0.1.evil.example:{page.port}", ""):
        assert page.ask(page.token, Host=host)[0] == 403, host
    assert page.ask(page.token, Host=f"localhost:{page.port}")[0] == 200
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        status, text, headers = page.ask(page.token, method)
        assert status == 405, method
        assert not any(name.lower().startswith("access-control") for name in headers)
    with socket.socket() as other:
        other.settimeout(2)
        assert other.connect_ex((_outer_address(), page.port)) != 0


def _outer_address() -> str:
    """This machine's address on a network; another loopback address where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            one.connect(("192.0.2.1", 9))
            return str(one.getsockname()[0])
        except OSError:
            return "127.0.0.2"


def test_a_port_that_is_taken_is_one_clear_error(page: Page, project: Path, root: Path) -> None:
    command = [sys.executable, str(project / "probe.py"), f"runs={root}", "serve=true", f"port={page.port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=root)
    assert done.returncode == 1
    assert re.search(rf"error: port={page.port} cannot be used .*port=0", " ".join(done.stderr.split()))
