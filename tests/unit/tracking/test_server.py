"""With a server: what it receives; and what happens when it refuses, hangs, talks nonsense or dies half-way."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

KEY = "0123456789" * 4
JOB = """
import logging, sys
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
from pathlib import Path
from closerlook import measures as m
from closerlook.results.rows import Place, ResultRow, to_table
from closerlook.results.run_dir import RunDir
from closerlook.tracking.log_results import log_live
from closerlook.tracking.wandb_run import open_run
from closerlook.tracking.wandb_settings import WandbSettings


def result_row(probe: str, measure: str, step: int, epoch: float, layer: int, split: str, *labels: str, **values):
    return ResultRow(Place(probe, layer, split, step), epoch, measure, *labels, **values)


info, run_dir = RunDir(Path(sys.argv[1])).info(), Path(sys.argv[2])
settings = WandbSettings(offline=False, init_timeout=5, finish_timeout=5)
with open_run(settings, run_dir=run_dir, info=info, config={"api_key": "sesame"}, job_type="train") as run:
    for step in range(20):
        row = result_row("direct", m.MEAN_MIN_DISTANCE, step, step / 10, 2, "train", value=float(step))
        log_live(run, to_table([row]))
print("the work is done")
"""


def start(url: str, digits_run: Path, run_dir: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"WANDB_BASE_URL": url, "WANDB_API_KEY": KEY, "HOME": str(run_dir.parent)}
    environment = {name: value for name, value in environment.items() if name not in ("WANDB_MODE", "WANDB_SILENT")}
    command = [sys.executable, "-c", JOB, str(digits_run), str(run_dir)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def series_on_disk(run_dir: Path) -> dict[float, float]:
    record = json.loads((run_dir / "wandb.json").read_text())["train"]
    (path,) = (run_dir / record["folder"]).glob("*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.splitlines()
    rows = [record["history"]["item"] for record in map(json.loads, lines) if record["type"] == "history"]
    return {row["epoch"]: row["probe/train/layer_02/mean_min_distance"] for row in rows}


def key_is_nowhere(run_dir: Path, *texts: str) -> None:
    for secret in (KEY, "sesame"):
        assert not [path for path in run_dir.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
        assert not [text for text in texts if secret in text]


def test_a_server_receives_configuration_and_series(digits_run: Path, wandb_server: ModuleType, tmp_path: Path):
    run_dir = tmp_path / "run"
    with wandb_server.serving("works") as server:
        out, err = start(server.url, digits_run, run_dir).communicate(timeout=120)
    assert "the work is done" in out, err
    record = json.loads((run_dir / "wandb.json").read_text())["train"]
    assert f"W&B run: {server.url}/team/closerlook/runs/{record['id']}" in err
    assert "WARNING" not in err
    opened = next(json.loads(body)["variables"] for _, body in server.received if '"UpsertBucket"' in body)
    config = json.loads(opened["config"])
    assert config["run"]["value"]["git_commit"] == "abc1234"
    assert (opened["groupName"], opened["jobType"]) == ("digits/perceptron", "train")
    sent = [json.loads(body)["files"] for path, body in server.received if path.endswith("file_stream")
            and "files" in json.loads(body)]  # fmt: skip
    history = [json.loads(line) for files in sent for line in files.get("wandb-history.jsonl", {}).get("content", [])]
    assert [row["probe/train/layer_02/mean_min_distance"] for row in history] == list(range(20))
    assert [row["epoch"] for row in history] == pytest.approx([step / 10 for step in range(20)])
    key_is_nowhere(run_dir, out, err, *(body for _, body in server.received))
    assert record["path"] == "team/closerlook"


@pytest.mark.slow
def test_a_bad_server_stops_nothing_and_loses_nothing(digits_run: Path, wandb_server: ModuleType, tmp_path: Path):
    with contextlib.ExitStack() as stack, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        urls = {name: stack.enter_context(wandb_server.serving(name)).url for name in ("hangs", "nonsense", "dies")}
        urls["refuses"] = f"http://127.0.0.1:{closed.getsockname()[1]}"
        jobs = {name: start(url, digits_run, tmp_path / name / "run") for name, url in urls.items()}
        results = {name: job.communicate(timeout=240) for name, job in jobs.items()}
    for name, (out, err) in results.items():
        run_dir = tmp_path / name / "run"
        assert jobs[name].returncode == 0, (name, err)
        assert "the work is done" in out, name
        expected = {step / 10: float(step) for step in range(20)}
        assert series_on_disk(run_dir) == pytest.approx(expected), name
        assert err.count("WARNING W&B: cannot open a run online") == (name != "dies"), (name, err)
        assert "wandb sync " in err, (name, err)
        key_is_nowhere(run_dir, out, err)
