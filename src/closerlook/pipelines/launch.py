"""Which process of a launch decides: with several, one looks after the run directory and the others follow it."""

from __future__ import annotations

import os
import time
import uuid

from closerlook.pipelines.run_state import RUNNING
from closerlook.results.run import RunError, RunState
from closerlook.results.run_dir import RunDir

_RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK", "NODE_RANK", "GROUP_RANK")
_OWN = "CLOSERLOOK_LAUNCH"
_WAIT_S = 300.0


def is_leader() -> bool:
    """Whether this process decides about the run directory: the first one of torchrun, SLURM or Lightning."""
    return all(int(os.environ.get(name) or 0) == 0 for name in _RANKS)


def launch_id() -> str:
    """A name that all processes of one launch share, and that no other launch has.

    From torchrun or SLURM; otherwise the first process makes one, which processes that it starts inherit.
    """
    for names in (
        ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "MASTER_PORT"),
        ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT"),
    ):
        if names[0] in os.environ:
            return ".".join(os.environ.get(name, "0") for name in names)
    return os.environ.setdefault(_OWN, uuid.uuid4().hex)


def forget_launch() -> None:
    """The next job of this process is another launch."""
    os.environ.pop(_OWN, None)


def await_leader(run: RunDir, wait_s: float = _WAIT_S) -> RunState:
    """What the first process decided.

    Raises:
        RunError: It has not within the time.
    """
    wanted, end = launch_id(), time.monotonic() + wait_s
    while time.monotonic() < end:
        state = run.state()
        if state is not None and state.status == RUNNING and state.launch == wanted:
            return state
        time.sleep(0.1)
    raise RunError(
        f"waited {wait_s:.0f} s for the first process to start the run in {run.root}: expected a state.json of this "
        "launch there. Is the folder on a disk that every machine sees?"
    )
