from pathlib import Path

import pytest

from closerlook.files import replacing, write_text
from closerlook.results.run import RunError, RunInfo, load_history, load_run


def test_failed_write_leaves_the_old_file_and_no_leftover(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def half() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        half()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def make_info(**changes: object) -> RunInfo:
    values = {
        "task": "pos", "level": "word", "model": "m", "model_source": "s", "model_revision": "r", "seed": 0,
        "label_names": ("A", "B"), "n_layers": 2, "hidden_size": 4, "n_train": 3, "n_test": 2, "n_epochs": 1,
        "n_updates": 1, "created": "2026-01-01T00:00:00+00:00", "notes": ("note",),
    }  # fmt: skip
    return RunInfo(**(values | changes))  # type: ignore[arg-type]


def test_run_description_round_trips(tmp_path: Path) -> None:
    info = make_info(checksums={"f": "x"})
    info.save(tmp_path)
    assert RunInfo.load(tmp_path) == info
    assert info.title == "pos/m/seed=0"


def test_directory_without_run_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"expected the file run\.json, which train\.py writes"):
        RunInfo.load(tmp_path)


def test_run_of_another_version_is_refused(tmp_path: Path) -> None:
    make_info().save(tmp_path)
    path = tmp_path / "run.json"
    path.write_text(path.read_text().replace('"level"', '"lvl"'))
    with pytest.raises(RunError, match="another version"):
        RunInfo.load(tmp_path)


def test_run_without_results_names_the_command(tmp_path: Path) -> None:
    make_info().save(tmp_path)
    with pytest.raises(RunError, match=r"run `python probe\.py run_dir="):
        load_run(tmp_path)


def test_missing_history_is_an_empty_table(tmp_path: Path) -> None:
    assert load_history(tmp_path).empty
    assert list(load_history(tmp_path)) == ["step", "epoch"]
