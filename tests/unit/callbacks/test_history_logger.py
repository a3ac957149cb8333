"""The run's own record of its training metrics, and the states of the global random number generators."""
# ruff: noqa: NPY002, S311

import random
from pathlib import Path

import numpy as np
import torch

from closerlook.callbacks.checkpoint import random_state, set_random_state
from closerlook.callbacks.history_logger import HistoryLogger


def test_resumed_record_is_byte_for_byte_that_of_an_uninterrupted_run(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.lognormal(sigma=20, size=(60, 2))  # all magnitudes: every bit of the text counts
    whole, broken = tmp_path / "whole", tmp_path / "broken"

    def log(logger: HistoryLogger, steps: range) -> None:
        for step in steps:
            logger.log_metrics({"train/loss": values[step, 0], "epoch": step // 20}, step)
            if step % 20 == 19:
                logger.log_metrics({"val/loss": values[step, 1]}, step)

    one = HistoryLogger(whole)
    log(one, range(60))
    one.finalize("success")
    first = HistoryLogger(broken)
    log(first, range(33))  # killed at 33, last checkpoint after 20 updates
    first.flush()
    second = HistoryLogger(broken, resume_step=20)
    log(second, range(20, 60))
    second.finalize("success")
    assert (broken / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()


def test_fresh_record_forgets_an_older_one_and_reload_reads_it(tmp_path: Path) -> None:
    child = HistoryLogger(tmp_path)
    child.log_metrics({"train/loss": 0.1}, 0)
    child.flush()
    parent = HistoryLogger(tmp_path)
    parent.reload()
    parent.log_metrics({"test/accuracy": 0.5}, 3)
    parent.flush()
    assert (tmp_path / "metrics.csv").read_text() == "step,test/accuracy,train/loss\n0,,0.1\n3,0.5,\n"


def test_random_states_go_through_a_checkpoint_that_holds_no_code(tmp_path: Path) -> None:
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    np.random.standard_normal(3)  # an odd number: the generator keeps the other half of a pair
    random.gauss(0, 1)
    torch.save(random_state(), tmp_path / "state")

    def draw() -> list[float]:
        return [random.random(), random.gauss(0, 1), float(np.random.standard_normal()), float(torch.rand(()))]

    expected = draw()
    draw()
    set_random_state(torch.load(tmp_path / "state", weights_only=True))
    assert draw() == expected
