"""Whole runs by each method: what is stored and kept, that nothing depends on snapshots, and that they go on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir

from closerlook.callbacks.checkpoint import RANDOM_STATE_KEY
from closerlook.config import TrainConfig, config_dir, register, typed
from closerlook.models.finetuning_module import FineTuningModule
from closerlook.models.model_error import ModelError
from closerlook.pipelines.cross_task import run_cross_task, task_settings
from closerlook.pipelines.estimate import estimate
from closerlook.pipelines.fine_tune import TrainOutcome, train
from closerlook.representations.reader import SnapshotReader
from closerlook.results.run_dir import RunDir

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore:The number of training batches:Warning"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]

METHODS = ("full", "head", "bitfit", "lora", "lp_ft", "top_layers")


def each(*quick: str) -> Any:
    """All methods, those that are not named by `make test-slow` only."""
    marked = [pytest.param(name, marks=[] if name in quick else [pytest.mark.slow]) for name in METHODS]
    return pytest.mark.parametrize("method", marked)


def config(small: tuple[str, ...], run_dir: Path, method: str, *more: str) -> TrainConfig:
    register()
    size = ["method.n_layers=1"] if method == "top_layers" else []
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return typed(
            compose(
                "train",
                overrides=[*small, f"run_dir={run_dir}", f"method={method}", "logger=none",
                           "snapshot.every_n_updates=4", "~callbacks.progress", *size, *more],
            )
        )  # fmt: skip


@pytest.fixture(scope="module")
def run_of(small: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A whole run by a method, made once."""
    root, made = tmp_path_factory.mktemp("methods"), {}

    def run(method: str) -> TrainOutcome:
        if method not in made:
            made[method] = train(config(small, root / method, method))
        return made[method]

    return run


def checkpoint(run_dir: Path) -> dict[str, Any]:
    return torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)


def assert_same(a: Any, b: Any, where: str = "") -> None:
    """Equal bit for bit."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}.{i}")
    else:
        assert a == b, where


def assert_same_training(a: Path, b: Path) -> None:
    one, other = checkpoint(a), checkpoint(b)
    for key in ("state_dict", "optimizer_states", "lr_schedulers", RANDOM_STATE_KEY, "global_step"):
        assert_same(one[key], other[key], key)


@each("head", "lora", "lp_ft")
def test_checkpoint_holds_what_is_trained_and_run_json_counts_it(run_of: Any, method: str) -> None:
    outcome = run_of(method)
    info, state = outcome.info, checkpoint(outcome.run_dir)["state_dict"]
    expected = {"top_layers": "top_layers-1", "lora": "lora-r8"}.get(method, method)
    assert info.method == expected
    assert info.title == f"bbc_topics/tiny/{'' if method == 'full' else expected + '/'}seed=0"
    kept = {name for name in state if not name.startswith("_forward.")}  # the same tensors under a second name
    assert sum(state[name].numel() for name in kept) == info.n_trained
    if method == "head":
        assert kept == {"head.weight", "head.bias"}
    if method == "lora":
        assert all("lora_" in name or name.startswith("head.") for name in kept)
    size = (outcome.run_dir / "checkpoints" / "last.ckpt").stat().st_size
    assert size < 12 * info.n_trained + 120_000  # weights, two moments, random states
    assert info.n_trained == info.n_parameters or info.n_trained < 0.1 * info.n_parameters


@each("head", "lora", "lp_ft")
def test_space_of_before_is_that_of_the_model_whatever_the_method(run_of: Any, method: str) -> None:
    first, other = (SnapshotReader(run_of(name).run_dir / "snapshots") for name in ("head", method))
    for split in first.splits:
        for layer in first.layers:
            np.testing.assert_array_equal(first.vectors(0, split, layer), other.vectors(0, split, layer))
            moved = not np.array_equal(other.vectors(0, split, layer), other.vectors(12, split, layer))
            assert moved == (method != "head" and (layer == 2 or method in ("full", "lp_ft", "bitfit") or
                                                   (method == "lora" and layer == 1)))  # fmt: skip


def test_head_leaves_every_stored_space_bit_for_bit_and_learns(run_of: Any) -> None:
    outcome = run_of("head")
    reader = SnapshotReader(outcome.run_dir / "snapshots")
    assert reader.steps == (0, 4, 6, 8, 12)
    for step in reader.steps[1:]:
        for split in reader.splits:
            for layer in reader.layers:
                np.testing.assert_array_equal(reader.vectors(0, split, layer), reader.vectors(step, split, layer))
    losses = RunDir(outcome.run_dir).history()["train/loss"].dropna()
    assert losses.iloc[-1] < losses.iloc[0]


def test_lp_ft_moves_nothing_in_its_first_stage(run_of: Any) -> None:
    reader = SnapshotReader(run_of("lp_ft").run_dir / "snapshots")
    for layer in reader.layers:
        np.testing.assert_array_equal(reader.vectors(0, "train", layer), reader.vectors(6, "train", layer))
        assert not np.array_equal(reader.vectors(0, "train", layer), reader.vectors(8, "train", layer))
    rates = RunDir(run_of("lp_ft").run_dir).history()["lr-AdamW/pg1"].dropna().tolist()
    assert max(rates[:6]) == pytest.approx(20 * max(rates[6:]), rel=0.2)  # 1e-3 after an update of warm-up


@each("lora")
def test_snapshots_change_nothing_in_training(run_of: Any, small: tuple[str, ...], method: str, tmp_path: Path) -> None:
    train(config(small, tmp_path / "bare", method, "snapshot.enabled=false"))
    assert_same_training(tmp_path / "bare", run_of(method).run_dir)


@each("lp_ft")
def test_broken_off_run_ends_where_a_whole_one_ends(
    run_of: Any, small: tuple[str, ...], method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = config(small, tmp_path / "run", method)
    with monkeypatch.context() as patch:
        whole = FineTuningModule.training_step

        def fails(self: FineTuningModule, batch: Any, batch_idx: int) -> torch.Tensor:
            if self.global_step == 9:
                raise OSError("power cut")
            return whole(self, batch, batch_idx)

        patch.setattr(FineTuningModule, "training_step", fails)
        with pytest.raises(OSError, match="power cut"):
            train(job)
    assert checkpoint(tmp_path / "run")["global_step"] == 6
    train(job)
    assert json.loads((tmp_path / "run" / "state.json").read_text())["checkpoint"].endswith("last.ckpt")
    assert_same_training(tmp_path / "run", run_of(method).run_dir)
    one, other = (SnapshotReader(folder / "snapshots") for folder in (tmp_path / "run", run_of(method).run_dir))
    assert one.steps == other.steps
    for step in one.steps:
        np.testing.assert_array_equal(one.vectors(step, "test", 2), other.vectors(step, "test", 2))


@each("lora")
def test_other_tasks_are_looked_at_in_the_tuned_encoder(
    run_of: Any, method: str, small: tuple[str, ...], tmp_path: Path, data_dir: Path
) -> None:
    if method == "full":
        pytest.skip("tests/e2e/test_study.py looks at it")
    run = RunDir(run_of(method).run_dir)
    other = task_settings("trec6", data_dir=str(data_dir), limit_train_texts=20, limit_test_texts=10)
    reader = SnapshotReader(run_cross_task(run, other).run.snapshots)
    assert reader.steps == (0, 12)
    same = np.array_equal(reader.vectors(0, "train", 2), reader.vectors(12, "train", 2))
    assert same == (method == "head")


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_estimate_knows_the_method(run_of: Any, small: tuple[str, ...], method: str, tmp_path: Path) -> None:
    found = estimate(config(small, tmp_path / "none", method))
    outcome = run_of(method)
    assert not (tmp_path / "none").exists()
    assert (found.info.method, found.info.n_trained) == (outcome.info.method, outcome.info.n_trained)
    size = sum(path.stat().st_size for path in (outcome.run_dir / "checkpoints").glob("*.ckpt"))
    if method == "lp_ft":  # the best one may be of the first stage, whose encoder has no moments yet
        assert found.checkpoint_bytes > size / 2
    else:
        assert found.checkpoint_bytes == pytest.approx(size, rel=0.05, abs=200_000)
    assert found.train_s > 0


@each("lp_ft")
def test_no_epochs_store_the_untuned_space(small: tuple[str, ...], method: str, run_of: Any, tmp_path: Path) -> None:
    train(config(small, tmp_path / "run", method, "finetuning.epochs=0"))
    reader, whole = (SnapshotReader(f / "snapshots") for f in (tmp_path / "run", run_of(method).run_dir))
    assert reader.steps == (0,)
    np.testing.assert_array_equal(reader.vectors(0, "test", 2), whole.vectors(0, "test", 2))


def test_a_head_that_is_alone_all_the_time_is_no_lp_ft(small: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"alone for all of the 12 updates: got 12 updates of method\.head_epochs"):
        train(config(small, tmp_path / "run", "lp_ft", "method.head_epochs=2"))


def test_checkpoint_of_another_method_is_refused(run_of: Any, small: tuple[str, ...], tmp_path: Path) -> None:
    source = run_of("lora").run_dir / "checkpoints" / "last.ckpt"
    with pytest.raises(ModelError, match=r"holds another model.*lora_A.*the model and the method"):
        train(config(small, tmp_path / "run", "head", f"ckpt_path={source}"))
