"""A run's settings read back from its directory, which may come from anybody."""

import os
import time
from pathlib import Path

import pytest

from closerlook.config import TrainConfig, as_yaml, stored
from closerlook.data.task_settings import TaskSettings
from closerlook.models.encoder_settings import ModelSettings
from closerlook.results.run import RunError


def written(folder: Path, text: str) -> Path:
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    return folder


def test_settings_come_back_as_they_were_also_those_that_look_like_interpolations(tmp_path: Path) -> None:
    task = TaskSettings(name="pos", text_column="a${b", label_column="${oc.env:HOME}")
    config = TrainConfig(
        task=task,
        model=ModelSettings(name="x"),
        optimizer={"_target_": "a.B", "lr": 1e-5, "betas": [0.9, 0.95]},
        tags=["1e3", "ü", "\\${x}"],
        run_dir=str(tmp_path),
    )
    assert stored(written(tmp_path, as_yaml(config))) == config


def test_nothing_in_a_strangers_settings_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    found = stored(written(tmp_path, "model: {name: '${oc.env:SECRET}'}\ntags: ['\\${oc.env:SECRET}']\n"))
    assert found.model.name == "${oc.env:SECRET}"
    assert found.tags == ["\\${oc.env:SECRET}"]
    assert "hunter2" not in as_yaml(found)


def test_settings_that_an_earlier_version_did_not_have_take_their_default(tmp_path: Path) -> None:
    found = stored(written(tmp_path, "model: {name: x}\nseed: 3\n"))
    assert (found.seed, found.finetuning.batch_size, found.run_dir) == (3, 32, str(tmp_path))


BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(20)
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, "alias"),
        ("a: [[[", "ParserError"),
        ("[" * 100_000, "brackets"),
        ("- " * 20_000, "ParserError|RecursionError"),
        ("x: '" + "y" * (1 << 22) + "'", "bytes, expected at most"),
        ("a: !!python/object/apply:os.system [echo]", "ConstructorError"),
        ("\x00", "ReaderError"),
        ("- 1", "got list, expected settings by name"),
        ("seed: abc\nmodel: {name: x}", "could not be converted to Integer"),
        ("of_a_newer_version: 1\nmodel: {name: x}", "of_a_newer_version"),
        ("task: ${oc.env:HOME}", "TaskSettings"),
    ],
)
def test_what_is_no_settings_is_one_error_at_once(text: str, reason: str, tmp_path: Path) -> None:
    start = time.process_time()
    with pytest.raises(RunError, match=reason) as caught:
        stored(written(tmp_path, text))
    assert time.process_time() - start < 5
    assert os.environ["HOME"] not in str(caught.value).replace(str(tmp_path), "")


def test_missing_settings_say_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"has no config\.yaml"):
        stored(tmp_path)
