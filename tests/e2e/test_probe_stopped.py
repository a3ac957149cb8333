"""A probe that is stopped: its workers end with it, what is finished is kept, and it says how to go on."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest


def _workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The worker processes, once all of them are there."""
    until = time.monotonic() + 90
    while time.monotonic() < until:
        assert process.poll() is None, "ended before it had workers"
        found = [
            child
            for child in psutil.Process(process.pid).children(recursive=True)
            if "loky" in " ".join(child.cmdline())
        ]
        if len([child for child in found if "popen_loky_posix" in " ".join(child.cmdline())]) >= 2:
            return found
        time.sleep(0.2)
    pytest.fail("no workers within 90 s")


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_a_stopped_probe(probed_run: Path, tmp_path: Path, signum: signal.Signals) -> None:
    run_dir = tmp_path / "seed-0"
    shutil.copytree(probed_run, run_dir)
    cells = run_dir / "results" / "cells.jsonl"
    before = cells.read_bytes()
    command = [
        sys.executable, "-m", "closerlook.cli.probe", f"run_dir={run_dir}", "probe=[mlp_grid]", "logger=none",
        "probe.mlp_grid.halving=false", "n_jobs=2", "report=false",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    workers = _workers(process)
    process.send_signal(signum)
    _, errors = process.communicate(timeout=60)
    _, alive = psutil.wait_procs(workers, timeout=20)
    for left in alive:
        left.kill()
    assert not alive
    if signum != signal.SIGKILL:
        assert process.returncode == 128 + signum
        assert f"stopped by {signum.name}. Run the same command again to go on with what is not computed" in errors
        assert "Traceback" not in errors
    assert cells.read_bytes().startswith(before)
