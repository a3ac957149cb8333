"""Sweeps: plan, skip, resume, rerun, record failures and go on. Real commands in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def sweep(project: Path, small: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A command that sweeps in a directory of its own; overrides are added to it."""
    root = tmp_path_factory.mktemp("sweep")
    return [sys.executable, str(project / "train.py"), "-m", *small, "logger=none", f"paths.runs_dir={root}"]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"COLUMNS": "160", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)


def states(command: list[str]) -> dict[str, dict]:
    root = Path(command[-1].removeprefix("paths.runs_dir="))
    return {path.parent.name: json.loads(path.read_text()) for path in root.glob("*/*/*/state.json")}


def test_plan_only_writes_nothing(sweep: list[str]) -> None:
    done = run([*sweep, "seed=0,1", "sweep.plan=true"])
    assert done.returncode == 0, done.stderr
    assert "plan: 2 jobs, 2 to start" in done.stdout
    assert "nothing there" in done.stdout
    assert states(sweep) == {}


def test_failing_job_is_recorded_and_the_others_run_(sweep: list[str]) -> None:
    command = [*sweep, "seed=0", "task.text_part=headline,nonsense"]
    first = run(command)
    assert first.returncode == 1
    assert "sweep of 2 jobs: 1 finished, 1 failed" in first.stdout
    assert first.stdout.count("run again: python") == 1
    assert "task.text_part=nonsense" in first.stdout.split("run again:")[1]
    failed = [state for state in states(sweep).values() if state["status"] == "failed"]
    assert len(failed) >= 1
    assert all("Traceback" in state["traceback"] and "nonsense" in state["error"] for state in failed)


@pytest.mark.slow
def test_same_sweep_again_skips_what_is_finished_and_reruns_what_failed(sweep: list[str]) -> None:
    command = [*sweep, "seed=0,1", "task.text_part=headline,nonsense"]
    run(command)
    root = Path(sweep[-1].removeprefix("paths.runs_dir="))
    written = {path: path.stat().st_mtime_ns for path in root.glob("*/*/*/checkpoints/*.ckpt")}
    second = run([*command, "seed=0,1,2"])
    assert "plan: 6 jobs, 2 to skip, 4 to start" in second.stdout
    assert "failed: " in second.stdout
    assert "sweep of 6 jobs: 3 finished, 3 failed" in second.stdout
    assert all(path.stat().st_mtime_ns == before for path, before in written.items())


@pytest.mark.slow
def test_job_that_could_not_overwrite_a_finished_run_has_failed(sweep: list[str], tmp_path: Path) -> None:
    fixed = ["hydra.sweep.subdir=seed-${seed}", f"hydra.sweep.dir={tmp_path}", "seed=0"]
    assert run([*sweep, *fixed]).returncode == 0
    before = (tmp_path / "seed-0" / "state.json").read_text()
    again = run([*sweep, *fixed, "overwrite=true", "task.text_part=nonsense"])
    assert again.returncode == 1
    assert "sweep of 1 jobs: 1 failed" in again.stdout
    assert "did not begin" in again.stdout
    assert "text_part is 'nonsense'" in again.stderr
    assert (tmp_path / "seed-0" / "state.json").read_text() == before


@pytest.mark.slow
def test_command_that_is_printed_runs_the_same_job(sweep: list[str]) -> None:
    plan = run([*sweep, "seed=0", "task.text_part=nonsense"])
    assert plan.returncode == 1
    printed = plan.stdout.split("run again: ")[1].splitlines()[0]
    again = run([sys.executable, *printed.split()[1:]])
    assert again.returncode == 1
    assert "nonsense" in again.stderr


@pytest.mark.slow
def test_job_that_is_killed_is_recorded_and_the_sweep_goes_on_and_resumes_it(sweep: list[str]) -> None:
    root = Path(sweep[-1].removeprefix("paths.runs_dir="))
    command = [*sweep, "seed=10,11", "finetuning.epochs=40"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    end = time.monotonic() + 120
    while time.monotonic() < end and not (found := list(root.glob("*/*/seed-10__*/checkpoints/last.ckpt"))):
        time.sleep(0.01)
    run_dir = found[0].parents[1]
    os.kill(json.loads((run_dir / "state.json").read_text())["pid"], signal.SIGKILL)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "sweep of 2 jobs: 1 failed, 1 finished" in output
    assert "killed by SIGKILL (out of memory?" in json.loads((run_dir / "state.json").read_text())["error"]
    again = run(command)
    assert again.returncode == 0, again.stderr
    assert "plan: 2 jobs, 1 to resume, 1 to skip" in again.stdout
    assert "sweep of 2 jobs: 2 finished" in again.stdout
    assert str(run_dir / "checkpoints" / "last.ckpt") == json.loads((run_dir / "state.json").read_text())["checkpoint"]


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_sweep_that_is_stopped_saves_its_job_and_goes_on_from_there(sweep: list[str], signum: int, code: int) -> None:
    root = Path(sweep[-1].removeprefix("paths.runs_dir="))
    command = [*sweep, f"seed={code},{code + 1}", "finetuning.epochs=30"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    end = time.monotonic() + 120
    while time.monotonic() < end and not (found := list(root.glob(f"*/*/seed-{code}__*/snapshots/step-*"))):
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signum)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == code, output
    assert "sweep of 2 jobs: 1 interrupted, 1 not started" in output
    state = json.loads((found[0].parents[1] / "state.json").read_text())
    assert state["status"] == "interrupted"


@pytest.mark.slow
def test_changed_settings_in_the_same_directory_are_refused_and_nothing_is_lost(
    sweep: list[str], tmp_path: Path
) -> None:
    fixed = ["hydra.sweep.subdir=seed-${seed}", f"hydra.sweep.dir={tmp_path}", "seed=0"]
    assert run([*sweep, *fixed, "finetuning.epochs=1"]).returncode == 0
    before = (tmp_path / "seed-0" / "checkpoints" / "last.ckpt").read_bytes()
    changed = run([*sweep, *fixed, "finetuning.epochs=2"])
    assert changed.returncode == 1
    assert "1 to refuse" in changed.stdout
    assert "finetuning.epochs was 1, now 2" in " ".join(changed.stdout.split())
    assert (tmp_path / "seed-0" / "checkpoints" / "last.ckpt").read_bytes() == before
    shared = run([*sweep, *fixed, "finetuning.epochs=1,3", "sweep.plan=true"])
    assert "job 0 of this sweep has the same directory" in " ".join(shared.stdout.split())
