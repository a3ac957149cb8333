"""The shipped task files set fields of `TaskSettings`, and only those."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from closerlook.data.own_data import LEVELS
from closerlook.data.paper_tasks import PAPER_TASKS
from closerlook.data.task_settings import TaskSettings
from closerlook.data.tasks import load_corpus

FOLDER = Path(__file__).parents[3] / "conf" / "task"
FILES = sorted(FOLDER.glob("*.yaml"))


def settings_of(path: Path, data_dir: str) -> TaskSettings:
    # the schema refuses unknown keys and wrong types
    config = OmegaConf.merge(OmegaConf.structured(TaskSettings), OmegaConf.load(path))
    whole = OmegaConf.create({"task": config, "paths": {"data_dir": data_dir}})
    settings = OmegaConf.to_object(whole.task)
    assert isinstance(settings, TaskSettings)
    return settings


def test_every_task_has_a_file() -> None:
    glue = [path.stem for path in FILES if path.stem.startswith("glue_")]
    assert [path.stem for path in FILES] == sorted([*PAPER_TASKS, "bbc_topics", *LEVELS, *glue])
    assert (len(FILES), len(glue)) == (18, 8)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_fit_the_schema(path: Path) -> None:
    settings = settings_of(path, "somewhere")
    assert settings.name == path.stem
    if path.stem != "bbc_topics":
        assert settings.data_dir == "somewhere"


@pytest.mark.parametrize("name", [*PAPER_TASKS, "bbc_topics"])
def test_files_load_the_data(name: str, real_data_dir: Path) -> None:
    corpus = load_corpus(settings_of(FOLDER / f"{name}.yaml", str(real_data_dir)))
    assert corpus.name == name
    assert ("validation" in corpus.splits) == (name in {"ps_role", "ps_fxn", "bbc_topics"})


def test_labels_to_ignore_may_be_numbers(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("name: text_classification\nignore_labels: [-1, O]\n", encoding="utf-8")
    assert settings_of(path, "").ignore_labels == ["-1", "O"]


def test_every_setting_is_described() -> None:
    for field in fields(TaskSettings):
        assert f"        {field.name}: " in (TaskSettings.__doc__ or "")
