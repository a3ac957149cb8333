"""What ``checkpoints=`` means: places into models, in order, with a step and a name each."""

import json
from pathlib import Path

import pytest

from closerlook.config import CheckpointModelSettings
from closerlook.pipelines.checkpoint_sources import CheckpointSource, checkpoint_sources, run_name
from closerlook.results.run import RunError


def make(folder: Path, *, base: str = "") -> Path:
    """A folder that looks like a model, or like an adapter of one; nothing of it is loaded here."""
    folder.mkdir(parents=True)
    name = "adapter_config.json" if base else "config.json"
    (folder / name).write_text(json.dumps({"base_model_name_or_path": base} if base else {}))
    return folder


def found(*places: Path | str, **how: str) -> list[tuple[int, str]]:
    return [(one.step, one.name) for one in sources(*places, **how)]


def sources(*places: Path | str, **how: str) -> tuple[CheckpointSource, ...]:
    return checkpoint_sources([str(place) for place in places], CheckpointModelSettings(**how))


def test_a_trainers_folder_is_all_its_checkpoints_by_number_and_then_itself(tmp_path: Path) -> None:
    for n in (1000, 500, 20):
        make(tmp_path / f"out/checkpoint-{n}")
    (tmp_path / "out/runs").mkdir()
    numbered = [(20, "checkpoint-20"), (500, "checkpoint-500"), (1000, "checkpoint-1000")]
    assert found(tmp_path / "out") == numbered
    (tmp_path / "out/config.json").write_text("{}")
    assert found(tmp_path / "out") == [*numbered, (1001, "out")]
    assert found("bert_tiny", tmp_path / "out") == [(0, "bert_tiny"), *numbered, (1001, "out")]
    assert [one.final for one in sources(tmp_path / "out")] == [False, False, False, True]


def test_the_base_of_adapters_comes_first_where_nothing_else_is_named(tmp_path: Path) -> None:
    for n in (5, 10):
        make(tmp_path / f"out/checkpoint-{n}", base="org/some-base")
    one, *rest = sources(tmp_path / "out")
    assert (one.name, one.step, one.settings.source, one.settings.adapter) == ("some-base", 0, "org/some-base", None)
    assert [(o.step, o.settings.source, o.settings.adapter) for o in rest] == [
        (n, "org/some-base", str(tmp_path / f"out/checkpoint-{n}")) for n in (5, 10)
    ]
    assert found("bert_tiny", tmp_path / "out/checkpoint-5") == [(0, "bert_tiny"), (5, "checkpoint-5")]
    assert sources(tmp_path / "out/checkpoint-5", source="elsewhere")[1].settings.source == "elsewhere"


def test_steps_are_positions_where_names_have_none_or_go_back(tmp_path: Path) -> None:
    for name in ("a/checkpoint-500", "b/checkpoint-500", "plain"):
        make(tmp_path / name)
    assert found(tmp_path / "plain", "bert_tiny") == [(0, "plain"), (1, "bert_tiny")]
    two = [(0, "a/checkpoint-500"), (1, "b/checkpoint-500")]
    assert found(tmp_path / "a/checkpoint-500", tmp_path / "b/checkpoint-500") == two
    assert found("org/pythia@step0", "org/pythia@step1000") == [(0, "pythia@step0"), (1000, "pythia@step1000")]
    assert [one.settings.revision for one in sources("org/pythia@step0")] == ["step0"]
    assert found(tmp_path / "a/checkpoint-500", tmp_path / "plain") == [(500, "checkpoint-500"), (501, "plain")]


def test_a_runs_name_is_the_folders_or_that_of_the_first_and_the_last(tmp_path: Path) -> None:
    make(tmp_path / "tuned/checkpoint-5")
    make(tmp_path / "tuned/checkpoint-10")
    how = CheckpointModelSettings()
    folder = str(tmp_path / "tuned")
    assert run_name(sources(folder), folder, how) == "tuned"
    assert run_name(sources("bert_tiny", folder), ["bert_tiny", folder], how) == "bert_tiny-to-checkpoint-10"
    assert run_name(sources(folder), folder, CheckpointModelSettings(name="mine")) == "mine"


@pytest.mark.parametrize(
    ("places", "how", "message"),
    [
        ([], {}, r"expected a folder, a hub id or several"),
        (["bert_tiny", "bert_tiny"], {}, "got google/bert_uncased.* twice"),
        (["any"], {}, "any stands for any model"),
        (["bert_tiny"], {"random_init": True}, "model.random_init is of one model.*random_encoder=true"),
        (["bert_tiny"], {"revision": "main"}, "id@revision"),
    ],
)
def test_what_makes_no_sense_is_refused(places: list[str], how: dict[str, str], message: str) -> None:
    with pytest.raises(RunError, match=message):
        sources(*places, **how)
