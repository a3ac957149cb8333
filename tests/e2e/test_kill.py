"""Kill the program at any moment: the same command then ends bit for bit where an uninterrupted run ends.

The processes are real and the signal is SIGKILL. A fork server holds the imported libraries, so that an attempt
takes a second and not ten; each attempt is a process of its own.
"""

import hashlib
import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from closerlook.callbacks.checkpoint import RANDOM_STATE_KEY
from closerlook.cli.one_message import one_clear_message
from closerlook.config import config_dir, register, typed
from closerlook.pipelines.fine_tune import train
from closerlook.pipelines.probe_run import probe
from closerlook.representations.reader import SnapshotReader
from closerlook.results.run import RunError
from closerlook.results.run_dir import RunDir
from closerlook.results.store import ResultStore

pytestmark = pytest.mark.e2e

# Labels are kept in memory and on disk, many snapshots are written, and the last layer is probed while training.
RUN = (
    "finetuning.epochs=3",
    "snapshot.every_n_updates=2",
    "snapshot.max_examples=40",
    "callbacks=probe",
    "~callbacks.progress",
)


def config(app: str, *overrides: str) -> Any:
    register()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        composed = compose(app, overrides=list(overrides))
    if app == "train":
        return typed(composed)
    return OmegaConf.create(OmegaConf.to_container(composed, resolve=True))  # plain: it is sent to a process


@pytest.fixture(scope="module")
def processes() -> Any:
    """Processes that start with the libraries imported and one thread each."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["closerlook.pipelines.fine_tune", "closerlook.pipelines.probe_run", "closerlook.callbacks.live_probe",
         "closerlook.callbacks.graceful_stop", "closerlook.callbacks.checkpoint", "closerlook.data.datamodule",
         "closerlook.models.finetuning_module", "pytorch_lightning", "transformers", "datasets", "sklearn.linear_model"]
    )  # fmt: skip
    return context


@dataclass(frozen=True)
class Kill:
    """When to kill: after so many seconds of work, or when something is seen in the run directory."""

    name: str
    delay: float = 0.0
    seen: Callable[[Path], bool] | None = None


def during(name: str, pattern: str, delay: float = 0.0) -> Kill:
    return Kill(name, delay, lambda run_dir: next(run_dir.glob(pattern), None) is not None)


def run_and_kill(processes: Any, work: Any, job: DictConfig, run_dir: Path, kill: Kill) -> str:
    """Start a job, kill it at its moment; returns what was on disk then, or "finished"."""
    process = processes.Process(target=work, args=(job,))
    process.start()
    began = time.monotonic()
    while process.is_alive() and not (run_dir / "state.json").exists():
        time.sleep(0.001)
    while process.is_alive() and kill.seen is not None and not kill.seen(run_dir):
        time.sleep(0.0003)
    end = time.monotonic() + kill.delay
    while process.is_alive() and time.monotonic() < end:
        time.sleep(0.001)
    process.kill()
    process.join()
    assert time.monotonic() - began < 120
    assert process.exitcode in (0, -signal.SIGKILL)
    return "finished" if process.exitcode == 0 else _moment(run_dir)


def _moment(run_dir: Path) -> str:
    """What a killed process was at, by what it left behind."""
    if next(run_dir.glob("snapshots/.writing-*"), None):
        return "writing a snapshot"
    if next(run_dir.glob("checkpoints/.*.tmp"), None):
        return "writing a checkpoint"
    if next(run_dir.glob("**/.*.tmp"), None):
        return "writing another file"
    if not (run_dir / "checkpoints" / "last.ckpt").exists():
        return "before the first checkpoint"
    return "between writes"


def finish(processes: Any, work: Any, job: DictConfig) -> None:
    finish_with(processes, 0, work, job)


def finish_with(processes: Any, code: int, work: Any, *arguments: Any) -> None:
    process = processes.Process(target=work, args=arguments)
    process.start()
    process.join(120)
    assert process.exitcode == code


def fingerprint(run_dir: Path) -> dict[str, str]:
    """Digests of everything that a run computes; times and paths are left out."""
    found = {}
    for name in ("last", "best"):
        checkpoint = torch.load(run_dir / "checkpoints" / f"{name}.ckpt", weights_only=True)
        for key in ("state_dict", "optimizer_states", "lr_schedulers", RANDOM_STATE_KEY, "global_step"):
            found[f"{name}.ckpt {key}"] = _digest(checkpoint[key])
    for manifest in sorted(run_dir.glob("snapshots/step-*/*.json")):
        found[manifest.parent.name] = _digest(manifest.read_text())
    found["metrics.csv"] = _digest((run_dir / "metrics.csv").read_text())
    cells = [(cell.key, cell.rows()) for cell in ResultStore(run_dir / "results").cells()]
    found["results"] = _digest([repr(cell) for cell in cells])
    info = json.loads((run_dir / "run.json").read_text())
    found["run.json"] = _digest(
        {key: value for key, value in info.items() if key not in ("created", "git_commit", "checksum")}
    )
    found["status"] = json.loads((run_dir / "state.json").read_text())["status"]
    return found


def _digest(content: Any) -> str:
    digest = hashlib.sha256()

    def feed(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            digest.update(value.contiguous().numpy().tobytes())
        elif isinstance(value, dict):
            for key in value:
                digest.update(repr(key).encode())
                feed(value[key])
        elif isinstance(value, list | tuple):
            for item in value:
                feed(item)
        else:
            digest.update(repr(value).encode())

    feed(content)
    return digest.hexdigest()[:16]


@pytest.fixture(scope="module")
def job(small: tuple[str, ...], processes: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A directory for runs, how to configure one in it, and what an uninterrupted one gives."""
    os.environ["OMP_NUM_THREADS"] = "1"
    root = tmp_path_factory.mktemp("kill")

    def configured(run_dir: Path, *more: str) -> DictConfig:
        return config("train", f"run_dir={run_dir}", "logger=none", *small, *RUN, *more)

    finish(processes, train, configured(root / "reference"))
    return root, configured, fingerprint(root / "reference")


def check_nothing_half_written_is_visible(run_dir: Path) -> None:
    state = json.loads((run_dir / "state.json").read_text())
    assert state["status"] in ("running", "finished")
    for step in run_dir.glob("snapshots/step-*"):
        SnapshotReader(run_dir / "snapshots").verify(int(step.name.removeprefix("step-")))
    for checkpoint in run_dir.glob("checkpoints/*.ckpt"):
        torch.load(checkpoint, weights_only=True)


def kill_and_compare(processes: Any, job: Any, kills: list[Kill], run_dir: Path) -> list[str]:
    """Kill one run at each moment in turn, finish it, and compare it; returns what it was at."""
    _, configured, expected = job
    moments = []
    for kill in kills:
        moments.append(run_and_kill(processes, train, configured(run_dir), run_dir, kill))
        check_nothing_half_written_is_visible(run_dir)
    finish(processes, train, configured(run_dir))
    assert fingerprint(run_dir) == expected
    assert not list(run_dir.glob("**/.*.tmp"))
    assert not list(run_dir.glob("snapshots/.writing-*"))
    shutil.rmtree(run_dir)
    return moments


def test_training_killed_three_times_ends_where_an_uninterrupted_run_ends(processes: Any, job: Any) -> None:
    root = job[0]
    kills = [
        during("snapshot", "snapshots/.writing-step-00000004*"),
        during("after the first epoch", "checkpoints/last.ckpt", delay=0.05),
        during("checkpoint", "checkpoints/.*.tmp"),
    ]
    assert "finished" not in kill_and_compare(processes, job, kills, root / "quick")[:2]


def moments(seconds: float, n: int) -> list[list[Kill]]:
    """At least ``n`` kills: aimed at each kind of write, and at random delays over the whole run."""
    aimed = [
        during("first snapshot", "snapshots/.writing-step-00000000*"),
        during("snapshot, its manifest", "snapshots/.writing-*/parts-*.json"),
        during("snapshot of the first epoch's end", "snapshots/.writing-step-00000006*"),
        during("later snapshot", "snapshots/.writing-step-00000012*"),
        during("checkpoint of the best", "checkpoints/.best.ckpt*.tmp"),
        during("checkpoint of the last", "checkpoints/.last.ckpt*.tmp"),
        during("between best and last", "checkpoints/best.ckpt"),
        during("right after a checkpoint", "checkpoints/last.ckpt"),
        during("first live probe", "snapshots/step-00000000"),
        during("live probe", "results/cells.jsonl"),
        during("metrics", ".metrics.csv*.tmp"),
        during("after the last update", "snapshots/step-00000018"),
    ]
    started = during("", "snapshots/step-00000000").seen
    delays = [
        Kill(f"{t:.2f} s after the start", t, started)
        for t in np.random.default_rng(0).uniform(0, seconds, n - len(aimed))
    ]
    alone = [[kill] for kill in aimed + delays[6:]]
    return [*alone, delays[:3], delays[3:6]]  # the last two runs are killed three times each


@pytest.mark.slow
def test_training_killed_at_many_moments_ends_where_an_uninterrupted_run_ends(
    processes: Any, job: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    root, configured, _ = job
    finish(processes, train, configured(root / "timed"))
    first, last = (root / "timed" / name for name in ("snapshots/step-00000000", "state.json"))
    plans = moments(last.stat().st_mtime - first.stat().st_mtime, n=36)
    at = Counter[str]()
    for i, kills in enumerate(plans):
        at.update(kill_and_compare(processes, job, kills, root / f"loop-{i}"))
    with capsys.disabled():
        print(f"\n{'killed while':<32}{'times':>6}{'differences':>13}")
        for moment, times in at.most_common():
            print(f"{moment:<32}{times:>6}{0:>13}")
    assert sum(at.values()) >= 30
    assert at["writing a snapshot"] >= 3
    assert at["writing a checkpoint"] >= 2
    assert at["finished"] <= 5  # a kill that came too late proves nothing


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.02, 0.1, 0.3, 0.6, 1.0])
def test_probe_killed_keeps_finished_cells_and_ends_with_the_same_table(
    processes: Any, job: Any, delay: float, tmp_path: Path
) -> None:
    root, _, _ = job
    whole, run_dir = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, run_dir):
        shutil.copytree(root / "reference", folder)
    options = ("n_jobs=1", "logger=none", "report=false", "probe=[direct,centroids,linear]")
    plain = config("probe", f"run_dir={whole}", *options)
    finish(processes, probe, plain)
    n_before = len(ResultStore(run_dir / "results"))
    cells = run_dir / "results" / "cells.jsonl"
    size = cells.stat().st_size
    grown = Kill("probe", delay, lambda _: cells.stat().st_size > size)
    job_config = config("probe", f"run_dir={run_dir}", *options)
    run_and_kill(processes, probe, job_config, run_dir, grown)
    kept = ResultStore(run_dir / "results")
    assert n_before < len(kept)
    finish(processes, probe, job_config)

    def rows(folder: Path) -> list[str]:
        return [repr((cell.key, cell.rows())) for cell in ResultStore(folder / "results").cells()]

    assert rows(run_dir) == rows(whole)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["head", "bitfit", "lora", "lp_ft", "top_layers"])
def test_run_by_another_method_killed_in_it_ends_the_same(
    processes: Any, job: Any, method: str, tmp_path: Path
) -> None:
    _, configured, _ = job
    settings = [f"method={method}", *(["method.n_layers=1"] if method == "top_layers" else [])]
    whole, run_dir = tmp_path / "whole", tmp_path / "run"
    finish(processes, train, configured(whole, *settings))
    for kill in (during("early", "snapshots/step-00000002"), during("later", "snapshots/step-00000008")):
        run_and_kill(processes, train, configured(run_dir, *settings), run_dir, kill)
        check_nothing_half_written_is_visible(run_dir)
    finish(processes, train, configured(run_dir, *settings))
    assert fingerprint(run_dir) == fingerprint(whole)


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.2, 1.0])
def test_training_killed_while_it_logs_to_wandb_loses_no_result(
    processes: Any, job: Any, delay: float, tmp_path: Path
) -> None:
    _, configured, expected = job
    run_dir = tmp_path / "run"
    logged = configured(run_dir)
    logged.logger = {"wandb": config("train", f"run_dir={run_dir}").logger.wandb}
    kill = Kill("logging", delay, lambda folder: next(folder.glob("wandb/offline-run-*/*.wandb"), None) is not None)
    run_and_kill(processes, train, logged, run_dir, kill)
    finish(processes, train, logged)
    assert fingerprint(run_dir) == expected


def stop(processes: Any, job: DictConfig, run_dir: Path, signum: int, seen: str, delay: float = 0.0) -> int:
    """Ask a job to stop once something is seen; returns its exit code."""
    process = processes.Process(target=exit_as_the_command_does, args=(job,))
    process.start()
    while process.is_alive() and not next(run_dir.glob(seen), None):
        time.sleep(0.0005)
    time.sleep(delay)
    os.kill(process.pid, signum)
    process.join(60)
    return int(process.exitcode)


def exit_as_the_command_does(job: DictConfig) -> None:
    with one_clear_message():
        train(job)


@pytest.mark.parametrize(
    ("signum", "seen", "code"),
    [
        (signal.SIGTERM, "snapshots/step-00000002", 143),
        (signal.SIGINT, "snapshots/step-00000008", 130),
        (signal.SIGTERM, "snapshots/.writing-step-00000010*", 143),
    ],
)
def test_stopped_run_saves_within_the_epoch_and_goes_on_from_there(
    processes: Any, job: Any, signum: int, seen: str, code: int, tmp_path: Path
) -> None:
    _, configured, expected = job
    run_dir = tmp_path / "run"
    assert stop(processes, configured(run_dir), run_dir, signum, seen) == code
    state = json.loads((run_dir / "state.json").read_text())
    assert (state["status"], state["error"]) == ("interrupted", f"stopped by {signal.Signals(signum).name}")
    last = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] % 6 != 0  # between two epochs of 6 updates, not at the end of one
    finish(processes, train, configured(run_dir))
    assert fingerprint(run_dir) == expected


def train_and_stop_after(updates: int, job: DictConfig) -> None:
    """SIGTERM comes in the middle of an update."""
    from closerlook.models.finetuning_module import FineTuningModule

    step = FineTuningModule.training_step

    def stopping(self: Any, *args: Any) -> Any:
        if self.global_step == updates - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, *args)

    FineTuningModule.training_step = stopping  # type: ignore[method-assign]
    exit_as_the_command_does(job)


@pytest.mark.parametrize("updates", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_run_stopped_before_its_first_snapshot_takes_it_from_the_weights_of_before_training(
    processes: Any, job: Any, updates: int, tmp_path: Path
) -> None:
    _, configured, _ = job
    sparse = "snapshot.every_n_updates=null"
    finish(processes, train, configured(tmp_path / "whole", sparse))
    run_dir = tmp_path / "run"
    finish_with(processes, 143, train_and_stop_after, updates, configured(run_dir, sparse))
    assert not list(run_dir.glob("snapshots/step-*"))
    assert torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == updates
    finish(processes, train, configured(run_dir, sparse))
    assert fingerprint(run_dir) == fingerprint(tmp_path / "whole")
    untuned = SnapshotReader(job[0] / "reference" / "snapshots")  # taken between two updates
    for layer in untuned.layers:
        expected = untuned.vectors(0, "train", layer)
        np.testing.assert_array_equal(SnapshotReader(run_dir / "snapshots").vectors(0, "train", layer), expected)


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.05, 0.15, 0.4, 0.8])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_run_stopped_at_any_time_goes_on(processes: Any, job: Any, signum: int, delay: float, tmp_path: Path) -> None:
    _, configured, expected = job
    run_dir = tmp_path / "run"
    assert stop(processes, configured(run_dir), run_dir, signum, "state.json", delay) in (0, 128 + signum)
    assert json.loads((run_dir / "state.json").read_text())["status"] in ("interrupted", "finished")
    finish(processes, train, configured(run_dir))
    assert fingerprint(run_dir) == expected


def train_on_a_full_disk(job: DictConfig) -> None:
    """No file may grow over 5 MB: snapshots fit, a checkpoint does not."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))
    with one_clear_message():
        train(job)


def test_full_disk_is_one_clear_error_and_the_same_command_goes_on(
    processes: Any, job: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    _, configured, expected = job
    run_dir = tmp_path / "run"
    process = processes.Process(target=train_on_a_full_disk, args=(configured(run_dir),))
    process.start()
    process.join(120)
    assert process.exitcode == 1
    state = json.loads((run_dir / "state.json").read_text())
    assert state["status"] == "failed"
    assert "File too large" in state["error"]
    assert not list(run_dir.glob("checkpoints/*"))
    assert SnapshotReader(run_dir / "snapshots").steps == (0, 2, 4, 6)
    finish(processes, train, configured(run_dir))
    assert fingerprint(run_dir) == expected


@pytest.mark.slow
@pytest.mark.parametrize("megabytes", [1, 9, 14, 30])
def test_full_file_system_leaves_the_last_good_state(processes: Any, job: Any, megabytes: int, tmp_path: Path) -> None:
    """A real small file system: it fills up in a snapshot, in the first checkpoint, and in the second one."""
    _, configured, expected = job
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(disk)]
    if subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can only be mounted as root")
    run_dir = disk / "run"
    try:
        process = processes.Process(target=exit_as_the_command_does, args=(configured(run_dir),))
        process.start()
        process.join(120)
        assert process.exitcode == 1
        check_nothing_half_written_is_visible_after_an_error(run_dir)
        subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
        finish(processes, train, configured(run_dir))
        assert fingerprint(run_dir) == expected
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def check_nothing_half_written_is_visible_after_an_error(run_dir: Path) -> None:
    assert json.loads((run_dir / "state.json").read_text())["status"] in ("failed", "running")
    for step in run_dir.glob("snapshots/step-*"):
        SnapshotReader(run_dir / "snapshots").verify(int(step.name.removeprefix("step-")))
    for checkpoint in run_dir.glob("checkpoints/*.ckpt"):
        torch.load(checkpoint, weights_only=True)


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damaged_checkpoint_is_named_and_nothing_is_deleted(job: Any, damage: str, tmp_path: Path) -> None:
    root, configured, _ = job
    run_dir = tmp_path / "run"
    shutil.copytree(root / "reference", run_dir)
    last = run_dir / "checkpoints" / "last.ckpt"
    content = bytearray(last.read_bytes())
    if damage == "cut":
        del content[len(content) // 2 :]
    else:
        content[len(content) // 2] ^= 1
    last.write_bytes(content)
    state = RunDir(run_dir).state()
    assert state is not None
    RunDir(run_dir).save_state(replace(state, status="running"))
    with pytest.raises(RunError, match=r"the checkpoint .*last\.ckpt is damaged: .* fails its checksum"):
        train(configured(run_dir))
    assert last.read_bytes() == bytes(content)
    assert len(list(run_dir.glob("snapshots/step-*"))) == 10
