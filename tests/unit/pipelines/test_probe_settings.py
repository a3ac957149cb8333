"""Which places a probe looks at, which other tasks, and with which settings: without running any encoder."""

from __future__ import annotations

from pathlib import Path

import pytest

from closerlook.config import CrossSettings, ProbeConfig
from closerlook.pipelines.cross_settings import for_other_tasks, task_names, task_of_sibling
from closerlook.pipelines.scopes import choose_layers
from closerlook.results.run import RunError
from closerlook.results.run_dir import RunDir


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("all", (0, 1, 2)), ("blocks", (1, 2)), ("last", (2,)), ([2, 0], (0, 2)), (1, (1,))],
)
def test_words_and_lists_of_layers(wanted: object, found: tuple[int, ...]) -> None:
    assert choose_layers(wanted, [0, 1, 2]) == found


@pytest.mark.parametrize("wanted", [[3], "upper", [], None, [True, 7]])
def test_a_layer_that_is_not_stored_is_an_error(wanted: object) -> None:
    with pytest.raises(RunError, match=r"expected all, blocks, last or a list of what the run stores: \[0, 1, 2\]"):
        choose_layers(wanted, [0, 1, 2])


@pytest.mark.parametrize(
    ("wanted", "names"), [("pos", ["pos"]), (["pos", "dep", "pos"], ["pos", "dep"]), (("dep",), ["dep"])]
)
def test_one_task_or_several(wanted: object, names: list[str]) -> None:
    assert task_names(wanted) == names


@pytest.mark.parametrize("wanted", [[], None, ["pos", 3], [""]])
def test_what_is_no_task_is_an_error(wanted: object) -> None:
    with pytest.raises(RunError, match="expected a task or several"):
        task_names(wanted)


def test_another_tasks_space_is_probed_for_less() -> None:
    config = ProbeConfig(
        probe={"direct": {"a": 1}, "mlp": {"b": 2}},
        splits=["train"],
        scopes={"direct": {"layers": "blocks"}},
        random_encoder=True,
        cross=CrossSettings(probes=["mlp"], layers="last"),
    )
    narrowed = for_other_tasks(config)
    assert narrowed.probe == {"mlp": {"b": 2}}
    assert (narrowed.steps, narrowed.layers, list(narrowed.splits)) == ("all", "last", ["train"])
    assert (narrowed.scopes, narrowed.random_encoder) == ({}, False)
    assert set(config.probe) == {"direct", "mlp"}, "the run's own space keeps its settings"
    config.cross.probes = ["linear"]
    with pytest.raises(
        RunError, match=r"cross.probes=\['linear'\]: linear is not among the chosen probes: direct, mlp"
    ):
        for_other_tasks(config)


def run(task: str, model: str = "a", seed: int = 0, limit: int | None = None, **model_settings: object) -> dict:
    return {
        "task": {"name": task, "limit_train_texts": limit, "data_dir": "."}, "seed": seed,
        "model": {"name": model, **model_settings}, "finetuning": {}, "snapshot": {},
    }  # fmt: skip


def test_settings_of_another_task_are_those_of_the_nearest_run(tmp_path: Path) -> None:
    runs = {
        Path("1"): run("pos", "b", limit=1), Path("2"): run("pos", "a", seed=1, limit=2),
        Path("3"): run("pos", "a", limit=3), Path("4"): run("dep", "a", limit=4),
    }  # fmt: skip
    found = task_of_sibling("pos", runs[Path("4")], runs, str(tmp_path))
    assert (found.settings.limit_train_texts, found.pretrained) == (3, RunDir(Path("3")))
    found = task_of_sibling("pos", run("dep", "a", seed=1), runs, str(tmp_path))
    assert (found.settings.limit_train_texts, found.pretrained) == (2, RunDir(Path("2")))
    # another model's run says what the examples are, but its vectors are others
    found = task_of_sibling("dep", runs[Path("1")], runs, str(tmp_path))
    assert (found.settings.limit_train_texts, found.pretrained) == (4, None)


def test_weights_drawn_at_random_are_not_shared(tmp_path: Path) -> None:
    runs = {Path("1"): run("pos", random_init=True), Path("2"): run("dep", random_init=True)}
    assert task_of_sibling("pos", runs[Path("2")], runs, str(tmp_path)).pretrained is None


def test_a_task_without_a_run_is_that_of_its_file(tmp_path: Path) -> None:
    found = task_of_sibling("trec6", run("pos"), {}, str(tmp_path))
    assert (found.settings.name, found.settings.data_dir, found.pretrained) == ("trec6", str(tmp_path), None)
    moved = {Path("1"): run("trec6")}
    moved[Path("1")]["task"]["data_dir"] = str(tmp_path / "gone")
    assert task_of_sibling("trec6", run("pos"), moved, str(tmp_path)).settings.data_dir == str(tmp_path)
    with pytest.raises(RunError, match="cross_task=nothing: no such task; expected one of"):
        task_of_sibling("nothing", run("pos"), {}, str(tmp_path))
