"""W&B trouble: training goes on, results are on disk, one warning tells how to send them, and nobody waits long."""

from __future__ import annotations

import contextlib
import http.server
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from closerlook.config import config_dir, register, typed

pytestmark = pytest.mark.e2e

KEY = "fedcba9876" * 4
SYNC = "wandb sync "


def config(app: str, *overrides: str) -> Any:
    register()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        composed = compose(app, overrides=list(overrides))
    return typed(composed) if app == "train" else composed


class Garbage(http.server.BaseHTTPRequestHandler):
    """Answers everything with a page that is not what was asked for."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>welcome to the hotel's network</html>")

    do_POST = do_PUT = do_GET  # noqa: N815 - names that http.server asks for

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextlib.contextmanager
def server(behaviour: str) -> Iterator[str]:
    """The address of a server that refuses connections, takes them and says nothing, or talks garbage."""
    if behaviour == "garbage":
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Garbage) as httpd:
            threading.Thread(target=httpd.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{httpd.server_port}"
            httpd.shutdown()
        return
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if behaviour == "hangs":
            listener.listen(64)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def start(project: Path, folder: Path, *overrides: str, **environment: str) -> subprocess.Popen[str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("WANDB_MODE", "WANDB_SILENT", "WANDB_API_KEY")}
    folder.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, str(project / "train.py"), *overrides],
        cwd=folder, env=kept | {"HOME": str(folder), "HF_HUB_OFFLINE": "1"} | environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def offline_files(run_dir: Path) -> list[Path]:
    return sorted((run_dir / "wandb").glob("offline-run-*/*.wandb"))


def records(path: Path) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.splitlines()
    return [json.loads(line) for line in lines]


def logged_config(path: Path) -> dict[str, Any]:
    return next(record for record in records(path) if record["type"] == "run")["run"]["config"]["update"]


def test_without_a_key_the_run_is_kept_and_one_line_says_how_to_send_it(
    small: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from closerlook.pipelines.fine_tune import train

    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # no key in a netrc file either
    asked = ("logger.wandb.offline=false", "finetuning.epochs=1", "task.limit_train_texts=20")
    with caplog.at_level(logging.INFO, logger="closerlook"):
        outcome = train(config("train", f"run_dir={tmp_path}/run", *small, *asked))
    assert "test/accuracy" in outcome.metrics
    lines = [record.getMessage() for record in caplog.records if "W&B" in record.getMessage()]
    assert sum("no API key found" in line for line in lines) == 1
    assert sum(SYNC in line for line in lines) == 1
    (path,) = offline_files(tmp_path / "run")
    assert str(path.parent) in next(line for line in lines if SYNC in line)
    rows = [r for r in records(path) if r["type"] == "history"]
    assert any("train/loss" in json.dumps(row) for row in rows)


@pytest.mark.slow
def test_a_bad_server_does_not_stop_a_training(project: Path, small: tuple[str, ...], tmp_path: Path) -> None:
    limits = ("logger.wandb.offline=false", "logger.wandb.init_timeout=5", "logger.wandb.finish_timeout=5")
    with contextlib.ExitStack() as stack:
        urls = {name: stack.enter_context(server(name)) for name in ("refuses", "hangs", "garbage")}
        plain = start(project, tmp_path / "plain", *small, f"hydra.run.dir={tmp_path}/plain/run", "logger=none")
        plain.communicate(timeout=200)
        for name, url in urls.items():
            run_dir = tmp_path / name / "run"
            begun = time.monotonic()
            job = start(
                project, tmp_path / name, *small, f"hydra.run.dir={run_dir}", *limits,
                WANDB_BASE_URL=url, WANDB_API_KEY=KEY,
            )  # fmt: skip
            output, _ = job.communicate(timeout=200)
            assert job.returncode == 0, (name, output)
            assert time.monotonic() - begun < 90, name
            assert output.count("W&B: cannot open a run online") == 1, (name, output)
            assert SYNC in output, (name, output)
            assert KEY not in output
            (path,) = offline_files(run_dir)
            assert any(record["type"] == "history" for record in records(path)), name
            # and the results are those of a run that never heard of W&B
            for file in ("metrics.csv", "snapshots/examples/train.parquet"):
                assert (run_dir / file).read_bytes() == (tmp_path / "plain" / "run" / file).read_bytes(), (name, file)


@pytest.mark.slow
def test_parallel_jobs_share_no_run(project: Path, small: tuple[str, ...], tmp_path: Path) -> None:
    """Two jobs that start together each have a folder, an id and a configuration of their own."""
    runs = f"paths.runs_dir={tmp_path}/runs"
    jobs = [start(project, tmp_path, *small, runs, f"seed={seed}", WANDB_MODE="offline") for seed in (0, 1)]
    outputs = [job.communicate(timeout=300)[0] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0], outputs
    found = {}
    for record_file in (tmp_path / "runs").rglob("wandb.json"):
        record = json.loads(record_file.read_text())["train"]
        (path,) = offline_files(record_file.parent)
        assert path.parent.resolve() == (record_file.parent / record["folder"]).resolve()
        found[record["id"]] = logged_config(path)
    assert len(found) == 2
    assert sorted(settings["seed"] for settings in found.values()) == [0, 1]
    assert all(settings["task"]["name"] == "bbc_topics" for settings in found.values())
