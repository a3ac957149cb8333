"""The estimate against what the job then takes: counts and bytes are exact, times of the right size."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from closerlook.cli.estimate_tables import estimate_job, print_total
from closerlook.config import TrainConfig, config_dir, register, typed
from closerlook.pipelines.estimate import estimate
from closerlook.pipelines.fine_tune import train
from closerlook.representations.reader import SnapshotReader

pytestmark = pytest.mark.e2e


def config(*overrides: str) -> TrainConfig:
    register()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return typed(compose("train", overrides=list(overrides)))


@pytest.mark.filterwarnings("ignore:The number of training batches:Warning")
def test_estimate_is_what_the_job_takes_and_starts_nothing(small: tuple[str, ...], tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    job = config(f"run_dir={run_dir}", "logger=none", *small, "snapshot.every_n_updates=5")
    found = estimate(job)
    assert not run_dir.exists()
    outcome = train(job)
    reader = SnapshotReader(run_dir / "snapshots")
    assert found.info.n_updates == reader.steps[-1] == 12
    assert found.n_snapshots == len(reader.steps) == 5  # 0, 5, 6, 10, 12
    assert found.n_examples == {"train": 96, "test": 40}
    vectors = sum(path.stat().st_size for path in run_dir.glob("snapshots/step-00000012/*/*.npy"))
    assert found.snapshot_bytes == pytest.approx(vectors, rel=0.02)  # the headers of the files
    checkpoints = sum(path.stat().st_size for path in run_dir.glob("checkpoints/*.ckpt"))
    assert found.checkpoint_bytes == pytest.approx(checkpoints, rel=0.02)
    assert 0 < found.total_s < 20 * outcome.seconds
    assert {probe.name: probe.n_cells for probe in found.probes} == {"direct": 30, "centroids": 30, "linear": 15}
    assert all(probe.seconds > 0 for probe in found.probes)


@pytest.mark.filterwarnings("ignore:The number of training batches:Warning")
def test_jobs_of_a_sweep_are_added_up_and_measured_once_for_all_seeds(
    small: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    for number, changes in enumerate((["seed=0"], ["seed=1"], ["seed=0", "finetuning.epochs=4"])):
        estimate_job(config(f"run_dir={tmp_path}/{number}", "logger=none", *small, *changes))
    capsys.readouterr()
    print_total()
    shown = " ".join(capsys.readouterr().out.split())
    assert "3 jobs, one after the other" in shown
    assert "updates 48 " in shown  # 12 + 12 + 24
    assert "snapshots 11 " in shown  # 3 + 3 + 5
    assert "probe direct 66 " in shown  # 11 snapshots x 3 layers x 2 splits
    assert "bbc_topics" not in shown
    assert not list(tmp_path.iterdir())
    print_total()
    assert capsys.readouterr().out == ""


@pytest.mark.filterwarnings("ignore:The number of training batches:Warning")
def test_jobs_that_differ_in_their_seed_are_measured_once(
    small: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in (0, 1):
        estimate_job(config(f"run_dir={tmp_path}/{seed}", "logger=none", *small, f"seed={seed}"))
    shown = capsys.readouterr().out
    print_total()
    assert shown.count("estimate, nothing was started") == 1
    assert "bbc_topics/tiny/seed=1: as bbc_topics/tiny/seed=0" in shown
