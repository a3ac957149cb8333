"""What a run directory holds: read back as written, noticed when it changes, harmless when it is a stranger's."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from closerlook.results.run import CheckpointOrigin, CrossOrigin, RunError, RunInfo, RunState
from closerlook.results.run_dir import RunDir, load_run


def make_info(**changes: object) -> RunInfo:
    values = {
        "task": "pos", "level": "word", "model": "m", "model_source": "s", "model_revision": "r", "seed": 0,
        "label_names": ("A", "B"), "n_layers": 2, "hidden_size": 4, "n_train": 3, "n_test": 2, "n_epochs": 1,
        "n_updates": 1, "created": "2026-01-01T00:00:00+00:00", "notes": ("note",),
    }  # fmt: skip
    return RunInfo(**(values | changes))  # type: ignore[arg-type]


def test_run_description_round_trips(tmp_path: Path) -> None:
    origin = CheckpointOrigin(500, "checkpoint-500", "out/checkpoint-500", "sha256:1", {"model.safetensors": "1"})
    info = make_info(checksums={"f": "x"}, checkpoints=(origin,))
    RunDir(tmp_path).save_info(info)
    assert RunDir(tmp_path).info() == info
    assert info.title == "pos/m/seed=0"


def test_directory_without_run_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"expected the file run\.json, which train\.py writes"):
        RunDir(tmp_path).info()


def test_a_run_of_a_newer_version_is_read_and_one_that_lacks_a_field_is_not(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    content = asdict(make_info())
    run.info_file.write_text(json.dumps(content | {"colour": "red"}))
    assert run.info() == make_info()
    for change, reason in (
        ({"level": 3}, "level: got '3', expected"),
        ({"seed": True}, "seed"),
        ({"notes": "a"}, "notes"),
        ({"checkpoints": ["a"]}, "checkpoints"),
        ({"checkpoints": [{"step": "a"}]}, "step"),
    ):
        run.info_file.write_text(json.dumps(content | change))
        with pytest.raises(RunError, match=rf"run\.json is damaged \({reason}"):
            run.info()
    del content["level"]
    run.info_file.write_text(json.dumps(content))
    with pytest.raises(RunError, match=r"damaged \(.*'level'"):
        run.info()


@pytest.mark.parametrize("save", ["info", "state", "origin"])
def test_a_changed_value_is_noticed(tmp_path: Path, save: str) -> None:
    run = RunDir(tmp_path)
    run.save_info(make_info())
    run.save_state(RunState("finished", "abc1"))
    run.save_origin(CrossOrigin("pos", "pos/m/seed=1", "abc1"))
    file = {"info": run.info_file, "state": run.state_file, "origin": run.cross_file}[save]
    assert getattr(run, save)() is not None
    file.write_text(file.read_text().replace("1", "2", 1))
    with pytest.raises(RunError, match=rf"{file.name} is damaged \(got bytes that differ from its own checksum"):
        getattr(run, save)()


def test_files_without_a_checksum_of_their_own_are_compared_with_the_recorded_one(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.save_config("seed: 1\n")
    assert run.config() == {"seed": 1}
    run.config_file.write_text("seed: 2\n")
    with pytest.raises(RunError, match=r"config\.yaml is damaged: got other bytes than checksums\.json says"):
        run.config()
    run.save_config("seed: 2\n")
    assert run.config() == {"seed": 2}
    run.history_file.write_text("step,epoch\n0,0.0\n")
    run.seal(run.history_file)
    run.history_file.write_text("step,epoch\n1,0.0\n")
    with pytest.raises(RunError, match=r"metrics\.csv is damaged"):
        run.history()
    run.unseal(run.history_file)
    assert run.history()["step"].tolist() == [1]
    run.checksums_file.write_text(run.checksums_file.read_text().replace("a", "b", 1))
    with pytest.raises(RunError, match=r"checksums\.json is damaged"):
        run.config()


def test_a_stored_configuration_reads_nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "sesame")
    RunDir(tmp_path).config_file.write_text("task: ${oc.env:SECRET}\n")
    assert RunDir(tmp_path).config() == {"task": "${oc.env:SECRET}"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "alias"),
        ("[" * 5000, "brackets|RecursionError"),
        ("- 1\n", "got list, expected settings"),
        ("a: !!python/object/apply:os.system [ls]\n", "ConstructorError"),
        ("a: " + "x" * (1 << 23), "bytes, expected at most"),
    ],
)
def test_a_hostile_configuration_is_one_error(tmp_path: Path, content: str, reason: str) -> None:
    RunDir(tmp_path).config_file.write_text(content)
    with pytest.raises(RunError, match=reason):
        RunDir(tmp_path).config()


def test_the_variant_is_recorded_or_that_of_an_old_directory(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "seed-0__finetuning.epochs-1")
    run.save_info(make_info())
    assert run.variant == "finetuning.epochs-1"
    run.save_info(make_info(variant=""))
    assert run.variant == ""
    crossed = run.cross("dep")
    crossed.save_origin(CrossOrigin("pos", "pos/m/seed=0", ""))
    assert crossed.owner == run
    assert crossed.variant == ""


def test_run_without_results_names_the_command(tmp_path: Path) -> None:
    RunDir(tmp_path).save_info(make_info())
    with pytest.raises(RunError, match=r"run `python probe\.py run_dir="):
        load_run(tmp_path)


def test_missing_history_is_an_empty_table(tmp_path: Path) -> None:
    assert RunDir(tmp_path).history().empty
    assert list(RunDir(tmp_path).history()) == ["step", "epoch"]
