"""Whatever ends a training: the last space is stored, epochs lie where they should, and what is there is kept."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from closerlook.config import TrainConfig, config_dir, register, typed
from closerlook.errors import UserError
from closerlook.pipelines.fine_tune import train
from closerlook.representations.reader import SnapshotReader
from closerlook.results.run_dir import RunDir

pytestmark = pytest.mark.e2e
Compose = Callable[..., TrainConfig]


@pytest.fixture
def settings(small: tuple[str, ...], tmp_path: Path) -> Compose:
    """Settings of a run in ``run``: 96 texts in batches of 16, so 6 updates an epoch."""

    def make(*overrides: str) -> TrainConfig:
        register()
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            return typed(compose("train", overrides=[*small, f"run_dir={tmp_path}/run", "logger=none", *overrides]))

    return make


def stored(run: Path) -> dict[int, float]:
    reader = SnapshotReader(run / "snapshots")
    return {step: reader.epoch(step) for step in reader.steps}


@pytest.mark.parametrize(
    ("overrides", "moments", "planned"),
    [
        (["trainer.max_steps=7"], {0: 0.0, 6: 1.0, 7: 1.166667}, (7, 6, 2)),
        (["trainer.limit_train_batches=3"], {0: 0.0, 3: 1.0, 6: 2.0}, (6, 3, 2)),
        (["trainer.accumulate_grad_batches=4"], {0: 0.0, 2: 1.0, 4: 2.0}, (4, 2, 2)),
        (["trainer.max_epochs=3", "snapshot.every_n_epochs=2"], {0: 0.0, 12: 2.0, 18: 3.0}, (18, 6, 3)),
        (["finetuning.epochs=0"], {0: 0.0}, (0, None, 0)),
    ],
    ids=["max_steps", "limit_train_batches", "accumulation", "max_epochs", "no epochs"],
)
def test_epochs_of_snapshots_and_plan_are_those_of_the_trainer(
    settings: Compose, tmp_path: Path, overrides: list[str], moments: dict[int, float], planned: Any
) -> None:
    train(settings("task.validation_fraction=0", *overrides))
    assert stored(tmp_path / "run") == moments
    info = RunDir(tmp_path / "run").info()
    assert (info.n_updates, info.updates_per_epoch, info.n_epochs) == planned
    assert info.epoch_of(max(moments)) == pytest.approx(moments[max(moments)])


def test_time_that_runs_out_ends_at_its_own_epoch(settings: Compose, tmp_path: Path) -> None:
    train(settings("task.validation_fraction=0", "finetuning.epochs=100000", "+trainer.max_time=00:00:00:01"))
    moments = stored(tmp_path / "run")
    last, history = max(moments), RunDir(tmp_path / "run").history()
    assert last > 0
    assert moments[last] == pytest.approx(last / 6, abs=1e-6)
    assert history.loc[history["test/accuracy"].notna(), "step"].tolist() == [last]


def test_early_stop_stores_the_last_space_and_a_finished_run_gives_its_score_again(
    settings: Compose, tmp_path: Path
) -> None:
    stop = "{_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val/loss, mode: max, patience: 1}"
    overrides = ("finetuning.epochs=9", "snapshot.every_n_epochs=9", "task.validation_fraction=0.2")
    config = settings(*overrides, "finetuning.learning_rate=1e-2", f"+callbacks.stop={stop}")
    first = train(config)
    steps = sorted(stored(tmp_path / "run"))
    assert len(steps) == 2
    assert 0 < steps[1] < 9 * 6
    assert stored(tmp_path / "run")[steps[1]] == steps[1] / 6
    again = train(config)
    assert again.skipped
    assert again.score == first.score is not None
    history = RunDir(tmp_path / "run").history()
    assert first.score == history["val/accuracy"].dropna().iloc[-1]  # never the test accuracy


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+finetuning.epoch=1", r"finetuning\.epoch: there is no such setting; did you mean finetuning\.epochs\?"),
        ("+sed=1", r"sed: there is no such setting; did you mean seed\?"),
        ("+task.max_lenght=3", r"did you mean task\.max_length\?"),
        ("seed=-1", "seed=-1: expected at least 0"),
        ("finetuning.learning_rate=-1", r"finetuning\.learning_rate=-1"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_written(
    settings: Compose, tmp_path: Path, override: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        settings(override)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+trainer.max_epoch=1", r"trainer\.max_epoch: .* did you mean trainer\.max_epochs\?"),
        ("+optimizer.weight_deacy=1", r"did you mean optimizer\.weight_decay\?"),
        ("+callbacks.lr.logging_intervall=1", r"did you mean callbacks\.lr\.logging_interval\?"),
        ("callbacks.lr._target_=nowhere.Nothing", r"callbacks\.lr\._target_=nowhere\.Nothing: no such class"),
        ("trainer.limit_train_batches=0", r"trainer\.limit_train_batches=0: nothing would be trained"),
        ("trainer.accumulate_grad_batches=0", r"trainer\.accumulate_grad_batches=0: expected 1 or more"),
        ("trainer.max_epochs=null", "the training has no end"),
    ],
)
def test_settings_that_a_class_does_not_have_are_refused_before_anything_is_written(
    settings: Compose, tmp_path: Path, override: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train(settings(override))
    assert not (tmp_path / "run").exists()


@pytest.fixture
def finished(settings: Compose, tmp_path: Path) -> Path:
    train(settings("finetuning.epochs=1"))
    return tmp_path / "run"


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
def test_only_what_is_closerlooks_is_deleted_and_nothing_through_a_link(
    settings: Compose, finished: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "step-00000001").mkdir(parents=True)
    notes = [finished / "results" / "notes.txt", finished / "checkpoints" / "mine.txt", finished / "plan.md"]
    for path in notes:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    (finished / "cross").mkdir()
    (finished / "cross" / "trec6").symlink_to(elsewhere)
    (finished / "wandb").symlink_to(elsewhere)
    train(settings("finetuning.epochs=1", "overwrite=true"))
    assert all(path.read_text() == "mine" for path in notes)
    assert (elsewhere / "step-00000001").is_dir()


def test_results_without_a_record_are_not_deleted(settings: Compose, tmp_path: Path) -> None:
    for name in ("results", "snapshots"):
        (tmp_path / "run" / name).mkdir(parents=True)
        (tmp_path / "run" / name / "mine.csv").write_text("1")
    for overrides in ((), ("overwrite=true",)):
        with pytest.raises(UserError, match=r"results/ \(1 entries\).*neither run\.json nor state\.json"):
            train(settings(*overrides))
    assert (tmp_path / "run" / "results" / "mine.csv").read_text() == "1"


def test_lost_state_is_no_permission_to_start_anew(settings: Compose, finished: Path) -> None:
    before = sorted(path for path in finished.rglob("*") if path.is_file())
    (finished / "state.json").unlink()
    with pytest.raises(UserError, match=r"no state\.json.*partial copy"):
        train(settings("finetuning.epochs=1"))
    assert sorted(path for path in finished.rglob("*") if path.is_file()) == [
        path for path in before if path.name != "state.json"
    ]


def test_kill_while_deleting_does_not_leave_a_finished_run(
    settings: Compose, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("closerlook.pipelines.run_state.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            train(settings("finetuning.epochs=1", "overwrite=true"))
    assert not (finished / "state.json").exists()
    assert (finished / "run.json").exists()
    assert not train(settings("finetuning.epochs=1", "overwrite=true")).skipped


def test_state_with_a_field_of_a_newer_version_is_not_damaged(settings: Compose, finished: Path) -> None:
    state = json.loads((finished / "state.json").read_text())
    state.pop("checksum", None)
    (finished / "state.json").write_text(json.dumps(state | {"of_a_newer_version": [1]}))
    assert train(settings("finetuning.epochs=1")).skipped


def test_finished_run_whose_weights_changed_in_place_is_not_taken_for_the_same(
    settings: Compose, tmp_path: Path, tiny_bert: Path
) -> None:
    import shutil

    model = tmp_path / "model"
    shutil.copytree(tiny_bert, model)
    config = settings("finetuning.epochs=1", f"model.source={model}")
    train(config)
    content = json.loads((model / "tokenizer.json").read_text())
    (model / "tokenizer.json").write_text(json.dumps(content, indent=1))
    with pytest.raises(UserError, match=r"finished with the same settings, but other weights: tokenizer\.json changed"):
        train(config)


def test_job_that_does_not_begin_leaves_the_record_of_the_command_alone(settings: Compose, finished: Path) -> None:
    begun: list[RunDir] = []
    assert train(settings("finetuning.epochs=1"), begun.append).skipped
    with pytest.raises(UserError, match="holds a run with other settings"):
        train(settings("finetuning.epochs=1", "finetuning.batch_size=8"), begun.append)
    assert begun == []
    assert os.path.isfile(finished / "state.json")
