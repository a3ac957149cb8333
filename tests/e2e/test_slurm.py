"""A real SLURM cluster of one machine: sweeps, preemption, requeueing, a job of two tasks.

The cluster is the test's own: its configuration, key, sockets and logs are in a temporary folder, and its daemons end
with the tests. It needs root, the packages slurmctld, slurmd, slurm-client, munge and slurm-wlm-basic-plugins, and
`pip install 'closerlook[submitit]'`; without them the tests are skipped, by name.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from closerlook.callbacks.checkpoint import RANDOM_STATE_KEY
from closerlook.representations.reader import SnapshotReader
from closerlook.results.run_dir import RunDir

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

CONFIGURATION = """ClusterName=closerlook
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
MpiDefault=none
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE OverSubscribe=FORCE:2 State=UP
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of commands that use the cluster."""
    missing = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"SLURM is not installed: no {', '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("SLURM's daemons need root")
    if find_spec("hydra_plugins") is None or find_spec("hydra_plugins.hydra_submitit_launcher") is None:
        pytest.skip("hydra_plugins.hydra_submitit_launcher is not installed: pip install 'closerlook[submitit]'")
    root = tmp_path_factory.mktemp("slurm")
    for folder in ("state", "spool"):
        (root / folder).mkdir()
    (root / "munge.key").write_bytes(os.urandom(64))
    (root / "munge.key").chmod(0o600)
    host = socket.gethostname().split(".")[0]
    (root / "slurm.conf").write_text(CONFIGURATION.format(host=host, root=root, ports=(free_port(), free_port())))
    environment = os.environ | {
        "SLURM_CONF": str(root / "slurm.conf"), "OMP_NUM_THREADS": "1", "COLUMNS": "160",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    files = {"key-file": "munge.key", "pid-file": "munge.pid", "log-file": "munge.log", "seed-file": "munge.seed"}
    munge = [
        "munged",
        "-F",
        "--force",
        f"--socket={root}/munge.socket",
        *(f"--{k}={root}/{v}" for k, v in files.items()),
    ]
    daemons = []
    with (root / "output").open("w") as output:
        try:
            for command in (munge, ["slurmctld", "-D"], ["slurmd", "-D"]):
                daemons.append(subprocess.Popen(command, env=environment, stdout=output, stderr=output))
                time.sleep(1)
            await_idle(environment, root)
            yield environment
            subprocess.run(["scancel", "--user=root"], env=environment, check=False)
            time.sleep(1)
        finally:
            for daemon in reversed(daemons):
                daemon.terminate()
                with suppress(subprocess.TimeoutExpired):
                    daemon.wait(20)
                daemon.kill()


def await_idle(environment: dict[str, str], root: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        command = ["sinfo", "--noheader", "--format=%T"]
        if (
            subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout.strip()
            == "idle"
        ):
            return
        time.sleep(0.5)
    logs = "\n".join(path.read_text()[-2000:] for path in (*root.glob("*.log"), root / "output"))
    pytest.fail(f"SLURM did not start: {logs}")


@pytest.fixture(scope="module")
def sweep(project: Path, small: tuple[str, ...]) -> list[str]:
    """A sweep through SLURM of jobs of seconds."""
    launcher = {
        "gpus_per_node": "null",
        "cpus_per_task": 1,
        "mem_gb": "null",
        "timeout_min": 10,
        "array_parallelism": 2,
    }
    return [
        sys.executable, str(project / "train.py"), "-m", *small, "logger=none", "hydra/launcher=slurm",
        *(f"hydra.launcher.{key}={value}" for key, value in launcher.items()),
    ]  # fmt: skip


def run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)


def state(run_dir: Path) -> dict[str, str]:
    return json.loads((run_dir / "state.json").read_text())


def last(run_dir: Path) -> dict:
    return torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)


def assert_same_end(run_dir: Path, expected: Path) -> None:
    assert state(run_dir)["status"] == "finished"
    for key in ("state_dict", "optimizer_states", RANDOM_STATE_KEY, "global_step"):
        torch.testing.assert_close(last(run_dir)[key], last(expected)[key], rtol=0, atol=0)
    assert (run_dir / "metrics.csv").read_bytes() == (expected / "metrics.csv").read_bytes()
    manifests = [sorted(folder.glob("snapshots/step-*/*.json")) for folder in (run_dir, expected)]
    assert [path.read_bytes() for path in manifests[0]] == [path.read_bytes() for path in manifests[1]]
    assert len(manifests[0]) > 10


def test_four_jobs_two_of_which_fail(
    sweep: list[str], cluster: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*sweep, f"paths.runs_dir={tmp_path}", "seed=0,1", "task.text_part=headline,nonsense"]
    start = time.monotonic()
    first = run(command, cluster)
    with capsys.disabled():
        print(f"\nslurm: 4 jobs in {time.monotonic() - start:.0f} s")
    assert "sweep of 4 jobs: 2 finished, 2 failed" in first.stdout, first.stdout + first.stderr
    assert first.returncode == 1
    states = [json.loads(path.read_text()) for path in tmp_path.glob("*/*/*/state.json")]
    assert sorted(s["status"] for s in states) == ["failed", "failed", "finished", "finished"]
    assert all("Traceback" in s["traceback"] and "nonsense" in s["error"] for s in states if s["status"] == "failed")
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*/*/checkpoints/last.ckpt")}
    again = run(command, cluster)
    assert "plan: 4 jobs, 2 to skip, 2 to start" in again.stdout
    assert "sweep of 4 jobs: 2 finished, 2 failed" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in written} == written


LONG = ("finetuning.epochs=30", "snapshot.every_n_updates=4", "hydra.sweep.subdir=seed-${seed}", "seed=0")


@pytest.fixture(scope="module")
def uninterrupted(
    project: Path, small: tuple[str, ...], cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The job of LONG, run without SLURM and never stopped."""
    run_dir = tmp_path_factory.mktemp("uninterrupted") / "seed-0"
    settings = [item for item in LONG if not item.startswith("hydra")]
    done = run(
        [sys.executable, str(project / "train.py"), *small, "logger=none", *settings, f"run_dir={run_dir}"], cluster
    )
    assert done.returncode == 0, done.stderr
    return run_dir


def started(command: list[str], environment: dict[str, str], run_dir: Path) -> tuple[subprocess.Popen[str], str]:
    """The launcher, and the name of its SLURM job, once the job has trained for a while."""
    launcher = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    end = time.monotonic() + 120
    while launcher.poll() is None and not (run_dir / "snapshots" / "step-00000020").exists():
        assert time.monotonic() < end, launcher.kill() or launcher.communicate()[0]
        time.sleep(0.01)
    queue = subprocess.run(
        ["squeue", "--noheader", "--states=RUNNING", "--format=%i"], env=environment, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return launcher, queue.stdout.strip()


@pytest.mark.parametrize("isolate", ["true", "false"])
def test_job_that_is_told_to_end_saves_and_the_same_command_finishes_it(
    sweep: list[str], cluster: dict[str, str], uninterrupted: Path, tmp_path: Path, isolate: str
) -> None:
    command = [*sweep, *LONG, f"hydra.sweep.dir={tmp_path}", f"sweep.isolate={isolate}"]
    launcher, job = started(command, cluster, tmp_path / "seed-0")
    subprocess.run(["scancel", "--signal=TERM", job], env=cluster, check=True)
    output, _ = launcher.communicate(timeout=60)  # without accounting it would wait for ever for a job without answer
    assert launcher.returncode == 1, output
    assert "sweep of 1 jobs: 1 interrupted" in output
    assert state(tmp_path / "seed-0")["status"] == "interrupted"
    assert 20 <= last(tmp_path / "seed-0")["global_step"] < 180
    again = run(command, cluster)
    assert "sweep of 1 jobs: 1 finished" in again.stdout, again.stdout + again.stderr
    assert_same_end(tmp_path / "seed-0", uninterrupted)


def start_at_once(job: str, environment: dict[str, str]) -> None:
    """SLURM lets a job that was queued again wait for two minutes; do not."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        command = ["scontrol", "show", "job", job]
        shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        if "JobState=PENDING" in shown and "Restarts=1" in shown:
            subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now"], env=environment, check=True)
            return
        time.sleep(0.1)
    pytest.fail(f"the job did not queue itself again: {shown}")


@pytest.mark.parametrize("isolate", ["true", "false"])
def test_job_whose_time_is_nearly_up_saves_and_queues_itself_again(
    sweep: list[str], cluster: dict[str, str], uninterrupted: Path, tmp_path: Path, isolate: str
) -> None:
    command = [*sweep, *LONG, f"hydra.sweep.dir={tmp_path}", f"sweep.isolate={isolate}"]
    launcher, job = started(command, cluster, tmp_path / "seed-0")
    subprocess.run(["scancel", "--signal=USR2", job], env=cluster, check=True)  # as SLURM does before a time limit
    start_at_once(job, cluster)
    output, _ = launcher.communicate(timeout=200)
    assert launcher.returncode == 0, output
    assert "sweep of 1 jobs: 1 finished" in output
    logs = "".join(path.read_text() for path in tmp_path.glob(".submitit/*/*_log.*"))
    assert len(re.findall("- Requeued job", logs)) == 1, logs
    assert state(tmp_path / "seed-0")["checkpoint"].endswith("last.ckpt")
    assert_same_end(tmp_path / "seed-0", uninterrupted)


def test_job_of_two_tasks_trains_as_two_processes(
    project: Path, small: tuple[str, ...], sweep: list[str], cluster: dict[str, str], tmp_path: Path
) -> None:
    two = ("trainer=ddp_cpu", "trainer.strategy=ddp", "finetuning.batch_size=8", "hydra.launcher.tasks_per_node=2")
    done = run([*sweep, *two, "hydra.sweep.subdir=two", f"hydra.sweep.dir={tmp_path}"], cluster)
    assert "sweep of 1 jobs: 1 finished" in done.stdout, done.stdout + done.stderr
    forked = (*small, "logger=none", "trainer=ddp_cpu", "finetuning.batch_size=8", f"run_dir={tmp_path / 'forked'}")
    assert run([sys.executable, str(project / "train.py"), *forked], cluster).returncode == 0
    assert RunDir(tmp_path / "two").info().n_updates == 12
    assert len(last(tmp_path / "two")[RANDOM_STATE_KEY]) == 2
    readers = [SnapshotReader(tmp_path / name / "snapshots") for name in ("two", "forked")]
    assert readers[0].steps == readers[1].steps == (0, 6, 12)
    for step in readers[0].steps:
        readers[0].verify(step)
        vectors = [reader.vectors(step, "test", 2) for reader in readers]
        np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)
