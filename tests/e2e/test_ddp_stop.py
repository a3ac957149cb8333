"""Two training processes that are stopped or killed: all end, and the same command then gives what a whole run gives.

Real commands, real signals. Everything that a run computes is compared: weights, optimizer, random states, snapshots,
metrics.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch

from closerlook.callbacks.checkpoint import RANDOM_STATE_KEY

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def job(project: Path, small: tuple[str, ...]) -> list[str]:
    """A command of 72 updates on two processes, with a snapshot after every second one."""
    return [
        sys.executable, str(project / "train.py"), *small, "trainer=ddp_cpu", "trainer.enable_progress_bar=false",
        "finetuning.batch_size=8", "finetuning.epochs=12", "snapshot.every_n_updates=2", "logger=none",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def uninterrupted(job: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("ddp") / "whole"
    finish(job, run_dir)
    return run_dir


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "160"}


def finish(job: list[str], run_dir: Path) -> str:
    command = [*job, f"run_dir={run_dir}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment(), check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def start(job: list[str], run_dir: Path, until: str) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """Start the job; returns it and its training processes once ``until`` is seen in its directory."""
    process = subprocess.Popen(
        [*job, f"run_dir={run_dir}"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(), start_new_session=True,
    )  # fmt: skip
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None and next(run_dir.glob(until), None) is None:
        time.sleep(0.005)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2, process.communicate()[0]
    return process, workers


def end(process: subprocess.Popen[str], workers: list[psutil.Process]) -> str:
    """Its output once it has ended, within a bounded time; no training process is left behind."""
    output, _ = process.communicate(timeout=60)
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert not alive, alive
    return output


def state(run_dir: Path) -> dict[str, str]:
    return json.loads((run_dir / "state.json").read_text())


def assert_same_run(run_dir: Path, expected: Path) -> None:
    assert state(run_dir)["status"] == "finished"
    for name in ("last", "best"):
        found, whole = (
            torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True) for folder in (run_dir, expected)
        )
        for key in ("state_dict", "optimizer_states", "lr_schedulers", RANDOM_STATE_KEY, "global_step"):
            torch.testing.assert_close(
                found[key], whole[key], rtol=0, atol=0, msg=lambda m, k=key, n=name: f"{n} {k} {m}"
            )
    manifests = [sorted(folder.glob("snapshots/step-*/*.json")) for folder in (run_dir, expected)]
    assert len(manifests[0]) == len(manifests[1]) >= 37
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(*manifests, strict=True))
    pd.testing.assert_frame_equal(pd.read_csv(run_dir / "metrics.csv"), pd.read_csv(expected / "metrics.csv"))


@pytest.mark.parametrize(
    ("signum", "everyone", "code"),
    [(signal.SIGTERM, False, 143), (signal.SIGTERM, True, 143), (signal.SIGINT, True, 130)],
    ids=["SIGTERM to the command", "SIGTERM to all, as a cluster does", "Ctrl-C in a terminal"],
)
def test_stopped_run_saves_ends_and_goes_on(
    job: list[str], uninterrupted: Path, tmp_path: Path, signum: int, everyone: bool, code: int
) -> None:
    run_dir = tmp_path / "run"
    process, workers = start(job, run_dir, "snapshots/step-00000020")
    if everyone:
        os.killpg(process.pid, signum)
    else:
        process.send_signal(signum)
    output = end(process, workers)
    assert process.returncode == code, output
    assert "Traceback" not in output
    assert state(run_dir)["status"] == "interrupted"
    last = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)
    assert 20 <= last["global_step"] < 72
    assert len(last[RANDOM_STATE_KEY]) == 2
    finish(job, run_dir)
    assert_same_run(run_dir, uninterrupted)


@pytest.mark.parametrize("rank", [0, 1])
def test_job_ends_when_one_of_its_processes_is_killed(
    job: list[str], uninterrupted: Path, tmp_path: Path, rank: int
) -> None:
    run_dir = tmp_path / "run"
    process, workers = start(job, run_dir, "snapshots/step-00000020")
    training = [
        worker for worker in workers if worker.ppid() == process.pid and "train.py" in " ".join(worker.cmdline())
    ]
    training[rank].kill()
    output = end(process, workers)
    assert process.returncode == 1
    assert f"a training process was killed: process {rank} of 2 by SIGKILL" in " ".join(output.split())
    assert state(run_dir)["status"] == "failed"
    finish(job, run_dir)
    assert_same_run(run_dir, uninterrupted)


def test_processes_end_with_the_command_that_is_killed(job: list[str], uninterrupted: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    process, workers = start(job, run_dir, "snapshots/step-00000020")
    process.kill()
    end(process, workers)
    assert state(run_dir)["status"] == "running"
    finish(job, run_dir)
    assert_same_run(run_dir, uninterrupted)
