"""Jobs that go on with an earlier W&B run: probing again, resumed trainings, damaged records."""

from __future__ import annotations

import dataclasses
import json
import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from closerlook.tracking.log_results import _remembered, _unsent, log_probed_run
from closerlook.tracking.wandb_record import read_record
from closerlook.tracking.wandb_run import open_run
from closerlook.tracking.wandb_settings import WandbSettings


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)


def run_record(run_dir: Path, job_type: str) -> dict:
    (path,) = (run_dir / read_record(run_dir)[job_type]["folder"]).glob("*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.splitlines()
    return next(record["run"] for record in map(json.loads, lines) if record["type"] == "run")


def test_a_probed_run_belongs_to_the_trained_one_and_goes_on_with_itself(results, tmp_path: Path):
    settings = WandbSettings(project="mine", group="sweep", tags=("a",), name="lr 1")
    with open_run(settings, run_dir=tmp_path, info=results.info, config={}, job_type="train"):
        pass
    config = {"optimizer": {"lr": 0.1}, "task": {"hub_token": "sesame"}}
    probed = dataclasses.replace(results, run_dir=tmp_path, config=config)
    ids = []
    for _ in range(2):
        log_probed_run(WandbSettings(tags=("b",)), probed, {"probe": ["direct"]}, {"step-0": "ab"})
        ids.append(read_record(tmp_path)["probe"]["id"])
    assert ids[0] == ids[1] != read_record(tmp_path)["train"]["id"]
    run = run_record(tmp_path, "probe")
    assert (run["project"], run["run_group"], run["job_type"]) == ("mine", "sweep", "probe")
    assert run["display_name"] == "lr 1 (probe)"
    assert set(run["tags"]) == {"a", "b"}
    sent = run["config"]["update"]
    assert sent["optimizer"] == {"lr": 0.1}, "results can be grouped by learning rate"
    assert sent["probing"] == {"probe": ["direct"]}
    assert sent["task"] == {"hub_token": "***"}


def test_a_resumed_offline_training_says_how_to_send_both_parts(results, tmp_path: Path, caplog):
    for _ in range(2):
        with (
            caplog.at_level(logging.INFO, logger="closerlook"),
            open_run(WandbSettings(), run_dir=tmp_path, info=results.info, config={}, job_type="train") as run,
        ):
            run.log({"epoch": 1.0})
    record = read_record(tmp_path)["train"]
    both = [tmp_path / record["earlier"][0], tmp_path / record["folder"]]
    assert both[0] != both[1]
    assert all(folder.is_dir() for folder in both)
    assert caplog.text.count("2 runs of one id") == 1
    assert f"wandb sync {both[0]} {both[1]}" in caplog.text


def test_what_is_trained_anew_starts_a_run_of_its_own(results, tmp_path: Path):
    (tmp_path / "wandb.json").write_text(json.dumps({"train": {"id": "old", "folder": "wandb/gone"}}))
    with open_run(WandbSettings(), run_dir=tmp_path, info=results.info, config={}, job_type="train"):
        pass
    assert read_record(tmp_path)["train"]["id"] != "old"
    assert read_record(tmp_path)["train"]["earlier"] == []


@pytest.mark.parametrize(
    "content",
    [b"", b'{"train": {"id": "x", "fol', b"[1]", b'{"train": 3}', b"\xff\xfe", b"[" * 100_000, b'{"train": {"id": 7}}',
     b'{"train": {"id": "../x", "folder": "."}}'],
)  # fmt: skip
def test_a_damaged_record_stops_nothing(results, tmp_path: Path, content: bytes):
    (tmp_path / "wandb.json").write_bytes(content)
    with open_run(WandbSettings(), run_dir=tmp_path, info=results.info, config={}, job_type="train") as run:
        run.log({"epoch": 1.0})
    assert read_record(tmp_path)["train"]["id"] == run.id


def test_files_go_where_wandb_dir_says(results, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    with open_run(WandbSettings(), run_dir=tmp_path / "run", info=results.info, config={}, job_type="train"):
        pass
    folder = Path(read_record(tmp_path / "run")["train"]["folder"])
    assert folder.is_relative_to(tmp_path / "elsewhere")
    assert list(folder.glob("*.wandb"))


def test_only_what_is_new_or_has_changed_is_sent_again(tmp_path: Path):
    def run(*, resumed: bool) -> SimpleNamespace:
        return SimpleNamespace(id="r", resumed=resumed, offline=False, disabled=False)

    first = {"epoch": 1.0, "update": 10.0, "a": 1.0, "b": 2.0}
    with _remembered(run(resumed=False), tmp_path) as sent:
        assert _unsent(first, sent) == first
    with _remembered(run(resumed=True), tmp_path) as sent:
        assert _unsent(first, sent) == {}
        assert _unsent(first | {"b": 3.0, "c": 4.0}, sent) == {"epoch": 1.0, "update": 10.0, "b": 3.0, "c": 4.0}
        assert _unsent(first | {"update": 20.0}, sent) == first | {"update": 20.0}
    with _remembered(run(resumed=False), tmp_path) as sent:
        assert _unsent(first, sent) == first, "a new run is sent everything"
