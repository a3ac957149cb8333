"""A sweep that can be started again: what each job of it will do, each job in a process of its own, how it ended."""

from __future__ import annotations

import ctypes
import logging
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from closerlook.callbacks.interruption import SIGNALS, Interrupted, hand_over
from closerlook.pipelines.run_state import FAILED, RUNNING, plan, read_state, write_state
from closerlook.results.run import RunError, RunState

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class SweepJob:
    """One job of a sweep.

    Attributes:
        number: Its place in the sweep, from 0.
        overrides: What the command line of the job alone would say.
        run_dir: Its directory.
        settings: Its resolved configuration.
        action: ``start``, ``resume``, ``skip`` or ``refuse``.
        reason: Why.
        command: The command that runs this job alone, or goes on with it.
        changed: When its directory's state was last written before the sweep; empty when there was none.
    """

    number: int
    overrides: tuple[str, ...]
    run_dir: Path
    settings: dict[str, Any]
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


def make_job(number: int, overrides: Sequence[str], run_dir: Path, settings: dict[str, Any], program: str) -> SweepJob:
    """A job and what would be done with it now; nothing is changed on disk."""
    changed = ""
    try:
        decision = plan(run_dir, settings, overwrite=settings["overwrite"], ckpt_path=settings["ckpt_path"])
        action, reason = decision.action, decision.reason
        changed = state.changed if (state := _state(run_dir)) is not None else ""
    except RunError as error:
        action, reason = "refuse", str(error)
    command = f"{program} {shlex.join(overrides)}"
    return SweepJob(number, tuple(overrides), run_dir, settings, action, reason, command, changed)


def _state(run_dir: Path) -> RunState | None:
    """The state of a run directory; None also when it is damaged."""
    try:
        return read_state(run_dir)
    except RunError:
        return None


def refuse_shared_directories(jobs: Sequence[SweepJob]) -> list[SweepJob]:
    """Refuse jobs whose directory an earlier job of the same sweep takes: they would mix their results."""
    first: dict[Path, int] = {}
    checked = []
    for job in jobs:
        holder = first.setdefault(job.run_dir, job.number)
        if holder != job.number:
            reason = f"job {holder} of this sweep has the same directory {job.run_dir}; drop one of the two"
            job = replace(job, action="refuse", reason=reason)
        checked.append(job)
    return checked


def job_end(job: SweepJob) -> JobEnd:
    """How a job stands, as its directory says."""
    if job.action == "refuse":
        return JobEnd(job, "refused", job.reason)
    try:
        state = read_state(job.run_dir)
        now = plan(job.run_dir, job.settings, overwrite=False, ckpt_path=None)
    except RunError as error:
        return JobEnd(job, "failed", str(error))
    if job.settings["overwrite"] and state is not None and state.changed == job.changed:
        return JobEnd(job, "failed", "it did not begin (its message is above); what is there is of an earlier run")
    if now.action == "skip":
        return JobEnd(job, "finished")
    if now.action == "refuse":
        return JobEnd(job, "refused", now.reason)
    if state is None:
        return JobEnd(job, "not started", "the sweep ended before it")
    return JobEnd(job, {RUNNING: "killed"}.get(state.status, state.status), state.error or now.reason)


def in_own_process(work: Callable[[], float | None], run_dir: Path) -> float | None:
    """Run a job in a child process, so that running out of memory or a crash ends the job and not the sweep.

    The child is a fork: it has the libraries that this process has imported, and none of its memory is left
    afterwards. Signals that ask to stop are passed on to it, and it is asked to stop when this process dies.

    Args:
        work: The job. What it raises is recorded in its run directory by the training pipeline.
        run_dir: Its directory; when the child is killed, its state says so.

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
    with _passing_signals_to(child) as stopped:
        answer = _read_all(reading)
        _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        _record_killed(run_dir, os.WTERMSIG(status))
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


@contextmanager
def _passing_signals_to(child: int) -> Iterator[list[int]]:
    stopped: list[int] = []

    def forward(signum: int, frame: Any) -> None:
        stopped.append(signum)
        with suppress(ProcessLookupError):
            os.kill(child, signum)

    before = {signum: signal.signal(signum, forward) for signum in SIGNALS}
    try:
        yield stopped
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _read_all(reading: int) -> str:
    with os.fdopen(reading, "r") as pipe:
        return pipe.read()


def _record_killed(run_dir: Path, signum: int) -> None:
    state = read_state(run_dir)
    name = signal.Signals(signum).name
    hint = " (out of memory? the kernel ends processes so; see dmesg)" if signum == signal.SIGKILL else ""
    log.error("%s: killed by %s%s", run_dir, name, hint)
    if state is not None and state.status == RUNNING:
        write_state(run_dir, FAILED, state.identity, error=f"killed by {name}{hint}", checkpoint=state.checkpoint)
