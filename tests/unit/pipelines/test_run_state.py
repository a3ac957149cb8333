"""What a run directory says of itself, and what is done with it."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from closerlook.config import TrainConfig, as_yaml
from closerlook.data.task_settings import TaskSettings
from closerlook.models.encoder_settings import ModelSettings
from closerlook.pipelines import launch
from closerlook.pipelines.run_state import (
    FAILED,
    FINISHED,
    INTERRUPTED,
    RUNNING,
    decide,
    discard_temporaries,
    identity_digest,
    only_process,
    plan,
    write_state,
)
from closerlook.results.run import RunError
from closerlook.results.run_dir import RunDir

SETTINGS = TrainConfig(task=TaskSettings(name="pos"), model=ModelSettings(name="tiny"), run_dir="x")


def begun(run_dir: Path, status: str, *, checkpoint: bool, **details: str) -> Path:
    (run_dir / "snapshots").mkdir(parents=True)
    if checkpoint:
        (run_dir / "checkpoints").mkdir()
        (run_dir / "checkpoints" / "last.ckpt").write_bytes(b"")
    (run_dir / "config.yaml").write_text(as_yaml(SETTINGS))
    write_state(RunDir(run_dir), status, identity_digest(SETTINGS), **details)
    return run_dir


@pytest.mark.parametrize(
    ("status", "checkpoint", "action", "reason"),
    [
        (FINISHED, True, "skip", "finished with the same settings"),
        (RUNNING, True, "resume", "killed"),
        (RUNNING, False, "start", "killed, before its first checkpoint"),
        (INTERRUPTED, True, "resume", "interrupted (stopped by SIGTERM)"),
        (FAILED, True, "resume", "failed: stopped by SIGTERM"),
        (FAILED, False, "start", "failed: stopped by SIGTERM, before its first checkpoint"),
    ],
)
def test_plan_follows_from_how_the_last_attempt_ended(
    status: str, checkpoint: bool, action: str, reason: str, tmp_path: Path
) -> None:
    run_dir = begun(tmp_path / "run", status, checkpoint=checkpoint, error="stopped by SIGTERM")
    before = sorted(run_dir.rglob("*"))
    found = plan(RunDir(run_dir), SETTINGS)
    assert (found.action, found.reason) == (action, reason)
    assert sorted(run_dir.rglob("*")) == before  # planning changes nothing


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    run_dir = begun(tmp_path / "run", FINISHED, checkpoint=True)
    other = replace(SETTINGS, seed=1)
    assert plan(RunDir(run_dir), other).action == "refuse"
    with pytest.raises(RunError, match="holds a run with other settings"):
        decide(RunDir(run_dir), other)
    assert plan(RunDir(run_dir), replace(other, overwrite=True)).action == "start"
    assert (run_dir / "checkpoints" / "last.ckpt").exists()


def test_another_progress_bar_is_no_other_run(tmp_path: Path) -> None:
    """Also when the digest is of an earlier version, which counted it."""
    run_dir = begun(tmp_path / "run", FINISHED, checkpoint=True)
    write_state(RunDir(run_dir), FINISHED, "digest of an earlier version")
    before = replace(SETTINGS, callbacks={"lr": {"interval": "step"}, "progress": {"_target_": "a.Bar"}})
    (run_dir / "config.yaml").write_text(as_yaml(before))
    now = replace(SETTINGS, callbacks={"lr": {"interval": "step"}, "progress": {"_target_": "another.Bar"}})
    assert plan(RunDir(run_dir), now).action == "skip"
    found = plan(RunDir(run_dir), replace(now, callbacks={"lr": {"interval": "epoch"}}))
    assert found.action == "refuse"
    assert "callbacks.lr.interval was step, now epoch" in found.reason


def test_damaged_state_is_refused_unless_it_is_overwritten(tmp_path: Path) -> None:
    run_dir = begun(tmp_path / "run", RUNNING, checkpoint=True)
    (run_dir / "state.json").write_text('{"status": "runn')
    with pytest.raises(RunError, match=r"state\.json is damaged"):
        RunDir(run_dir).state()
    assert plan(RunDir(run_dir), replace(SETTINGS, overwrite=True)).action == "start"


def test_missing_checkpoint_that_was_asked_for_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"ckpt_path=x\.ckpt: no such file"):
        decide(RunDir(tmp_path), replace(SETTINGS, ckpt_path="x.ckpt"))


def test_two_processes_do_not_share_a_directory(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from closerlook.results.run_dir import RunDir\n"
        "from closerlook.pipelines.run_state import only_process\n"
        "with only_process(RunDir(Path(sys.argv[1]))): pass"
    )
    write_state(RunDir(tmp_path), RUNNING, "x")
    with only_process(RunDir(tmp_path)):
        other = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
        assert f"process {os.getpid()} on " in other.stderr
        assert "is at work in" in other.stderr
    again = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr


def test_half_written_files_of_a_killed_process_are_deleted(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    leftovers = [tmp_path / ".metrics.csv.1.tmp", tmp_path / "checkpoints" / ".last.ckpt.1.tmp"]
    for path in leftovers:
        path.write_text("half")
    kept = tmp_path / "metrics.csv"
    kept.write_text("whole")
    discard_temporaries(RunDir(tmp_path))
    assert [path.exists() for path in (*leftovers, kept)] == [False, False, True]


def test_following_process_waits_for_the_first_one_of_its_own_launch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_PROCID", "1")
    assert not launch.is_leader()
    write_state(RunDir(tmp_path), RUNNING, "x", launch="6.0.0", checkpoint="old.ckpt")  # of an earlier launch, killed
    with pytest.raises(RunError, match="waited 0 s for the first process"):
        launch.await_leader(RunDir(tmp_path), wait_s=0.2)
    write_state(RunDir(tmp_path), RUNNING, "x", launch=launch.launch_id(), checkpoint="new.ckpt")
    assert launch.await_leader(RunDir(tmp_path)).checkpoint == "new.ckpt"
