"""A sweep that can be started again: what each job of it will do, each job in a process of its own, how it ended."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from closerlook.config import TrainConfig
from closerlook.interruption import SIGNALS, Interrupted, hand_over, on_signals
from closerlook.pipelines.run_state import FAILED, RUNNING, Decision, plan, write_state
from closerlook.results.run import RunError
from closerlook.results.run_dir import RunDir

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class SweepJob:
    """One job of a sweep.

    Attributes:
        number: Its place in the sweep, from 0.
        overrides: What the command line of the job alone would say.
        run: Its directory.
        config: Its settings.
        action: ``start``, ``resume``, ``skip`` or ``refuse``.
        reason: Why.
        command: The command that runs this job alone, or goes on with it.
        changed: When its directory's state was last written before the sweep; empty when there was none.
    """

    number: int
    overrides: tuple[str, ...]
    run: RunDir
    config: TrainConfig
    action: str
    reason: str
    command: str
    changed: str = ""


@dataclass(frozen=True)
class JobEnd:
    """How a job stands after a sweep.

    Attributes:
        job: The job.
        status: ``finished``, ``failed``, ``refused``, ``interrupted``, ``killed`` or ``not started``.
        error: What was the matter, in one line; empty when it is finished.
    """

    job: SweepJob
    status: str
    error: str = ""


def make_job(number: int, overrides: Sequence[str], config: TrainConfig, command: str) -> SweepJob:
    """A job and what would be done with it now; nothing is changed on disk."""
    run, changed = RunDir(Path(config.run_dir)), ""
    try:
        decision = plan(run, config)
        state = run.state()
        changed = "" if state is None else state.changed
    except RunError as error:
        decision = Decision("refuse", reason=str(error))
    return SweepJob(number, tuple(overrides), run, config, decision.action, decision.reason, command, changed)


def refuse_shared_directories(jobs: Sequence[SweepJob]) -> list[SweepJob]:
    """Refuse jobs whose directory an earlier job of the same sweep takes: they would mix their results."""
    first: dict[Path, int] = {}
    checked = []
    for job in jobs:
        holder = first.setdefault(job.run.root, job.number)
        if holder != job.number:
            reason = f"job {holder} of this sweep has the same directory {job.run.root}; drop one of the two"
            job = replace(job, action="refuse", reason=reason)
        checked.append(job)
    return checked


def job_end(job: SweepJob) -> JobEnd:
    """How a job stands, as its directory says."""
    if job.action == "refuse":
        return JobEnd(job, "refused", job.reason)
    try:
        state = job.run.state()
        now = plan(job.run, replace(job.config, overwrite=False, ckpt_path=None))
    except RunError as error:
        return JobEnd(job, "failed", str(error))
    if job.config.overwrite and state is not None and state.changed == job.changed:
        return JobEnd(job, "failed", "it did not begin (its message is above); what is there is of an earlier run")
    if now.action == "skip":
        return JobEnd(job, "finished")
    if now.action == "refuse":
        return JobEnd(job, "refused", now.reason)
    if state is None:
        return JobEnd(job, "not started", "the sweep ended before it")
    return JobEnd(job, {RUNNING: "killed"}.get(state.status, state.status), state.error or now.reason)


def in_own_process(work: Callable[[], float | None], run: RunDir) -> float | None:
    """Run a job in a child process, so that running out of memory or a crash ends the job and not the sweep.

    The child is a fork: it has the libraries that this process has imported, and none of its memory is left
    afterwards. Signals that ask to stop are passed on to it, and it is asked to stop when this process dies.

    Args:
        work: The job. What it raises is recorded in its run directory by the training pipeline.
        run: Its directory; when the child is killed, its state says so.

    Returns:
        What ``work`` returned; None when it failed.

    Raises:
        Interrupted: This process was asked to stop; the job has saved and ended.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _child(work, writing, parent)
    os.close(writing)
    stopped: list[int] = []

    def forward(signum: int, frame: Any) -> None:
        stopped.append(signum)
        with suppress(ProcessLookupError):
            os.kill(child, signum)

    with on_signals(forward):
        answer = _read_all(reading)
        _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        _record_killed(run, os.WTERMSIG(status))
    if stopped:
        hand_over(stopped[0])
        raise Interrupted(stopped[0])
    return float(answer) if answer else None


def _child(work: Callable[[], float | None], writing: int, parent: int) -> None:
    """The child's whole life; it never returns."""
    code = 1
    try:
        os.setpgid(0, 0)  # Ctrl-C in the terminal reaches the parent only, which passes it on once
        _die_with(parent)
        for signum in SIGNALS:
            signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)
        value = work()
        if value is not None:
            os.write(writing, repr(float(value)).encode())
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        log.exception("the job failed")
    finally:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # no clean-up of what belongs to the parent


def _die_with(parent: int) -> None:
    """Ask the kernel to send SIGTERM to this process when its parent is gone (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            raise SystemExit(143)


def _read_all(reading: int) -> str:
    with os.fdopen(reading, "r") as pipe:
        return pipe.read()


def _record_killed(run: RunDir, signum: int) -> None:
    state = run.state()
    name = signal.Signals(signum).name
    hint = " (out of memory? the kernel ends processes so; see dmesg)" if signum == signal.SIGKILL else ""
    log.error("%s: killed by %s%s", run.root, name, hint)
    if state is not None and state.status == RUNNING:
        write_state(run, FAILED, state.identity, error=f"killed by {name}{hint}", checkpoint=state.checkpoint)
