"""The commands as a user types them, in processes of their own."""

import os
import resource
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.e2e


def run(*arguments: object, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    settings = {"cwd": cwd, "env": os.environ | env, "timeout": 300, "check": False}
    return subprocess.run(command, capture_output=True, text=True, **settings)  # type: ignore[call-overload]


@pytest.mark.parametrize("program", ["train.py", "probe.py"])
def test_help_teaches_within_two_seconds(project: Path, tmp_path: Path, program: str) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = run(project / program, "--help", cwd=tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2  # CPU time: the machine may be busy
    assert done.stdout.count(f"python {program}") >= 4
    for word in ("Groups", "Most used overrides", "Examples"):
        assert word in done.stdout
    listed = {line.split(":")[0]: line.split(": ")[1].split(", ") for line in done.stdout.splitlines() if ": " in line}
    own = {"train.py": {"model", "method", "finetuning", "experiment"}, "probe.py": {"probe", "study"}}
    assert own[program] | {"task", "logger", "paths"} <= set(listed)
    assert not set.union(*(names for other, names in own.items() if other != program)) & set(listed)
    assert listed["logger"] == ["csv", "none", "tensorboard", "wandb"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("program", "overrides", "message"),
    [
        ("probe.py", ["run_dir=nowhere"], "error: no run in nowhere: expected the file run.json"),
        ("probe.py", [], "error: run_dir is not set"),
        ("probe.py", ["vectors=missing.npy", "labels=missing.txt"], "error: missing.npy is missing"),
        ("train.py", ["task=pos", "paths.data_dir=empty", "task.download=false"], "error: "),
        ("train.py", ["task.nmae=pos"], "nmae"),
        ("train.py", ["+finetuning.epoch=1"], "did you mean finetuning.epochs?"),
        ("train.py", ["-m", "+sed=1,2"], "did you mean seed?"),
        ("train.py", ["seed=-1", "callbacks=null"], "error: seed=-1: expected at least 0"),
        ("train.py", ["optimizer=null"], "error: optimizer=null: expected one of adamw"),
        ("probe.py", ["probe=[dirct]"], "did you mean direct? There are centroids, direct"),
        ("probe.py", ["run_dir=x", "n_jobs=0"], "error: n_jobs=0"),
    ],
)
def test_mistake_is_one_message_and_exit_code_one(
    project: Path, tmp_path: Path, program: str, overrides: list[str], message: str
) -> None:
    done = run(project / program, *overrides, "logger=none", cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_resolved_settings_are_shown_without_a_run(project: Path, tmp_path: Path) -> None:
    done = run(project / "train.py", "--cfg", "job", "--resolve", "finetuning.epochs=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "run_dir: runs/bbc_topics/minilm_l6/seed-0__epochs-1" in done.stdout
    assert not list(tmp_path.iterdir())


def test_plan_of_a_sweep_over_the_trainer_has_a_directory_each(project: Path, tmp_path: Path) -> None:
    done = run(project / "train.py", "-m", "trainer.max_steps=1,2", "sweep.plan=true", cwd=tmp_path, COLUMNS="80")
    assert done.returncode == 0, done.stderr
    assert "plan: 2 jobs, 2 to start" in done.stdout
    assert "Warning" not in done.stderr


def test_vectors_of_ones_own_are_probed_without_a_run(project: Path, tmp_path: Path) -> None:
    square = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)
    np.save(tmp_path / "X.npy", np.concatenate([square, square + np.array([4, 0]), square + np.array([0, 3])]))
    (tmp_path / "y.txt").write_text("a\n" * 4 + "b\n" * 4 + "c\n" * 4)
    done = run(project / "probe.py", "vectors=X.npy", "labels=y.txt", "output_dir=out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "3 clusters of 3 labels (linear" in done.stdout
    distances = (tmp_path / "out" / "X" / "released" / "vec.txt").read_text().split()
    assert distances == ["a---b,3.0000", "a---c,2.0000", "b---c,3.6056"]


@pytest.mark.slow
def test_wheel_installed_elsewhere_finds_its_configuration(project: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns(".venv", ".git", "runs", ".cache", "*.egg-info", "__pycache__")
    shutil.copytree(project, source, ignore=ignored)
    built = run("-m", "build", "--wheel", "--no-isolation", "-o", tmp_path, source, cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("closerlook-*.whl")
    target = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    assert (target / "closerlook" / "conf" / "train.yaml").is_file()
    code = (
        "import closerlook, sys; from closerlook.config import config_dir; "
        "print(closerlook.__file__); print(config_dir())"
    )
    where = run("-c", code, cwd=tmp_path, PYTHONPATH=str(target))
    assert where.stdout.split() == [str(target / "closerlook" / "__init__.py"), str(target / "closerlook" / "conf")]
    done = run("-m", "closerlook.cli.train", "--cfg", "job", "task=pos", cwd=tmp_path, PYTHONPATH=str(target))
    assert done.returncode == 0, done.stderr
    assert "name: pos" in done.stdout


def test_probing_a_run_that_is_not_there_makes_no_directory(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "closerlook.cli.probe", f"run_dir={tmp_path / 'mistyped'}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert "mistyped" in done.stderr
    assert not list(tmp_path.iterdir())
