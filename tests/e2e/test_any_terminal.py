"""Whatever the terminal, the pipe or the locale: a run ends, a mistake is one message, and neither leaves litter."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.e2e
KEY, PASSWORD, WANDB_KEY = "hf_" + "Qq7" * 12, "hunter2pass", "0a1b2c3d4e" * 4


@pytest.fixture(scope="module")
def server(project: Path, fixture_module: Callable[[str], ModuleType]) -> Iterator[Any]:
    made = fixture_module("command_server").CommandServer(project)
    yield made
    made.close()


@pytest.fixture
def vectors(tmp_path: Path) -> list[str]:
    """A command that takes a second; its labels are no ASCII."""
    square = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)
    np.save(tmp_path / "X.npy", np.concatenate([square, square + 4]))
    (tmp_path / "y.txt").write_text("é\n" * 4 + "日本\n" * 4)
    return ["probe.py", "vectors=X.npy", "labels=y.txt", "output_dir=out"]


@pytest.mark.parametrize("stdout", ["closed", pytest.param("unread", marks=pytest.mark.slow)])
def test_a_run_goes_on_when_nobody_reads_its_output(
    server: Any, small: tuple[str, ...], tmp_path: Path, stdout: str
) -> None:
    command = ["train.py", *small, "trainer.enable_progress_bar=true", "logger=none", "hydra.run.dir=run"]
    done = server.run(*command, cwd=tmp_path, stdout=stdout)
    assert done.code == 0, done.err
    assert done.err.count("\n") < 3, done.err
    assert json.loads((tmp_path / "run/state.json").read_text())["status"] == "finished"


@pytest.mark.parametrize("stdout", ["closed", "unread"])
def test_probing_goes_on_when_nobody_reads_its_output(
    server: Any, vectors: list[str], tmp_path: Path, stdout: str
) -> None:
    done = server.run(*vectors, cwd=tmp_path, stdout=stdout)
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "out/X/results/results.parquet").is_file()


@pytest.mark.parametrize("columns", [50, pytest.param(80, marks=pytest.mark.slow)])
def test_a_terminal_without_unicode_shows_what_it_can(
    server: Any, vectors: list[str], tmp_path: Path, columns: int
) -> None:
    done = server.run(*vectors, cwd=tmp_path, PYTHONIOENCODING="ascii", COLUMNS=str(columns))
    assert (done.code, done.err) == (0, "")
    assert done.out.isascii()
    assert "\\u65e5\\u672c" in done.out
    assert max(map(len, done.out.split("results:")[0].splitlines())) <= columns + 20  # what is spelled out is longer


def test_the_table_of_a_run_fits_a_narrow_terminal(digits_run: Path) -> None:
    from rich.console import Console

    from closerlook.cli.messages import print_summary
    from closerlook.results.run_dir import RunDir

    run = RunDir(digits_run)
    shown = {}
    for width in (50, 120):
        console = Console(width=width, record=True, file=io.StringIO())
        print_summary(run.load().table, "a run", console)
        shown[width] = console.export_text()
    assert "…" not in shown[50] + shown[120]
    assert all(len(line) <= 50 for line in shown[50].splitlines())
    numbers = [sorted(text.replace("→", " ").split()) for text in (shown[50], shown[120])]
    assert [word for word in numbers[0] if word[0].isdigit()] == [word for word in numbers[1] if word[0].isdigit()]


MISTAKES = {
    "seed=-1": "seed=-1: expected at least 0",
    "+trainer.overfit_batches=2": "trainer.overfit_batches=2: batches are made anew",
    "trainer.strategy=ddp_spawn": "trainer.strategy=ddp_spawn: processes that are spawned",
    "trainer.max_epochs=-1": "the training has no end",
    "task=bbc_topic": "did you mean bbc_topics?",
}


def test_a_mistake_is_one_message_and_leaves_no_directory(server: Any, small: tuple[str, ...], tmp_path: Path) -> None:
    for mistake, message in MISTAKES.items():
        done = server.run("train.py", *small, "logger=none", "hydra.run.dir=run", mistake, cwd=tmp_path)
        assert done.code == 1, mistake
        assert done.err.strip().startswith("error: "), done.err
        assert message in done.err
        assert len(done.err.strip().splitlines()) == 1
        assert not list(tmp_path.iterdir()), mistake


@pytest.mark.slow
def test_an_estimate_leaves_nothing_behind(server: Any, small: tuple[str, ...], tmp_path: Path) -> None:
    for command in (["train.py", *small, "estimate=true"], ["train.py", "task=pos", "estimate=true"]):
        done = server.run(*command, cwd=tmp_path, CLOSERLOOK_DATA_DIR="nowhere")
        assert done.code == (0 if small[0] in command else 1), done.err
        assert "Traceback" not in done.err
        assert done.cpu < 20
        assert not list(tmp_path.iterdir())
    assert "en_pud-ud-test.conllu is not in nowhere" in done.err


@pytest.mark.slow
def test_keys_on_the_command_line_are_shown_and_written_nowhere(
    server: Any, small: tuple[str, ...], tmp_path: Path
) -> None:
    notes = [f"logger.wandb.notes='password={PASSWORD}'", f"tags=[{KEY},{WANDB_KEY}]", "logger.wandb.offline=true"]
    done = server.run("train.py", "-m", *small, *notes, "seed=0", "snapshot.layers=[9]", cwd=tmp_path)
    assert done.code == 1
    assert "snapshot.layers" in done.err + done.out
    other = server.run("train.py", *small, "logger=none", f"ckpt_path=tcp://me:{PASSWORD}@host/{KEY}", cwd=tmp_path)
    assert "ckpt_path=tcp://me:***@host/***: no such file" in other.err
    unknown = server.run("train.py", *small, "logger=none", f"task.data_files.train=http://a:{PASSWORD}@b",
                         "task=text_classification", "hydra.run.dir=other", cwd=tmp_path)  # fmt: skip
    assert unknown.code == 1
    shown = "".join(one.out + one.err for one in (done, other, unknown))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"multirun.yaml", "config.yaml", "state.json", "train.log"}
    for key in (KEY, PASSWORD, WANDB_KEY):
        assert key not in shown
        assert not [path for path in files if key.encode() in path.read_bytes()]
