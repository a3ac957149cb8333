"""The main job: tune, snapshot, probe, report, log; skip, refuse, overwrite."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from closerlook import measures as m
from closerlook.config import config_dir, register, typed
from closerlook.pipelines.fine_tune import train
from closerlook.pipelines.probe_run import probe
from closerlook.representations.reader import SnapshotReader
from closerlook.results.run import RunError
from closerlook.results.run_dir import RunDir, load_run
from closerlook.results.store import ResultStore

pytestmark = pytest.mark.e2e


def config(app: str, *overrides: str) -> Any:
    register()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        composed = compose(app, overrides=list(overrides))
    return typed(composed) if app == "train" else composed


def values(table: pd.DataFrame, probe_name: str, measure: str, **where: object) -> pd.Series:
    chosen = (table.probe == probe_name) & (table.measure == measure)
    for column, value in where.items():
        chosen &= table[column] == value
    return table[chosen].sort_values(["layer", "step"]).value


def test_run_directory_describes_the_run_completely(probed_run: Path) -> None:
    info = RunDir(probed_run).info()
    assert (info.task, info.level, info.model, info.seed) == ("bbc_topics", "sentence", "tiny", 0)
    assert info.label_names == ("business", "entertainment", "politics", "sports", "tech")
    assert (info.n_layers, info.hidden_size, info.n_test) == (2, 32, 40)
    assert info.model_revision.startswith("sha256:")
    assert {"torch", "transformers", "numpy"} <= set(info.versions)
    assert info.checksums
    assert json.loads((probed_run / "state.json").read_text())["status"] == "finished"
    assert sorted(p.name for p in (probed_run / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]


def test_training_is_recorded_over_epochs(probed_run: Path) -> None:
    history = load_run(probed_run).history
    assert {"train/loss", "val/accuracy", "val/macro_f1", "val/loss", "test/accuracy"} <= set(history.columns)
    assert history["val/accuracy"].notna().sum() == 2
    assert history["val/accuracy"].dropna().between(0, 1).all()


def test_snapshots_of_every_epoch_and_layer_are_probed(probed_run: Path) -> None:
    results = load_run(probed_run)
    reader = SnapshotReader(probed_run / "snapshots")
    assert len(reader.steps) == 3
    both = {"train", "test"}
    for name, splits in {"direct": both, "linear": {"test"}, "centroids": both, "film": both}.items():
        rows = results.table[results.table.probe == name]
        assert set(rows.layer) == {0, 1, 2}
        assert set(rows.step) == set(reader.steps)
        assert set(rows.split) == splits
    assert RunDir(probed_run).space_file.stat().st_size > 50_000
    assert 'href="space.html"' in RunDir(probed_run).report_file.read_text(encoding="utf-8")


def test_classifier_accuracy_is_that_of_scikit_learn_on_the_stored_vectors(probed_run: Path) -> None:
    reader = SnapshotReader(probed_run / "snapshots")
    step = reader.steps[-1]
    scaler = StandardScaler().fit(reader.vectors(step, "train", 2))
    table = load_run(probed_run).table
    rows = table[(table.probe == "linear") & (table.measure == m.ACCURACY) & (table.layer == 2) & (table.step == step)]
    said = re.match(r"C = (\S+), chosen by 5-fold cross-validation", rows["note"].item())
    assert said is not None
    model = LogisticRegression(C=float(said[1]), max_iter=1000).fit(
        scaler.transform(reader.vectors(step, "train", 2)), reader.labels("train")
    )
    expected = model.score(scaler.transform(reader.vectors(step, "test", 2)), reader.labels("test"))
    assert rows["value"].item() == pytest.approx(expected, abs=0.026)


def test_label_distances_bound_the_centroid_distances(probed_run: Path) -> None:
    """A hull contains its centroid, so hulls are never further apart than centroids."""
    reader = SnapshotReader(probed_run / "snapshots")
    table = load_run(probed_run).table
    step = reader.steps[-1]
    X, y = np.asarray(reader.vectors(step, "train", 2), dtype=np.float64), reader.labels("train")
    here = (table.step == step) & (table.layer == 2) & (table.split == "train")
    pairs = table[(table.measure == m.LABEL_DISTANCE) & here]
    assert len(pairs) == 10
    for row in pairs.itertuples():
        centroid = np.linalg.norm(X[y == row.label].mean(axis=0) - X[y == row.other].mean(axis=0))
        assert 0 <= row.value <= centroid


def test_first_snapshot_has_not_moved_and_is_like_itself(probed_run: Path) -> None:
    table = load_run(probed_run).table
    assert values(table, "centroids", m.MEAN_DISPLACEMENT, step=0).tolist() == [0.0] * 6
    last = SnapshotReader(probed_run / "snapshots").steps[-1]
    moved = table[(table.measure == m.MEAN_DISPLACEMENT) & (table.step == last) & (table.layer == 2)]
    assert (moved.value > 0.01).all()
    similarity = values(table, "similarity", m.SIMILARITY_TO_FIRST, step=0).dropna()
    assert len(similarity)
    np.testing.assert_allclose(similarity, 1.0)


def test_live_probes_are_not_computed_again(probed_run: Path) -> None:
    store = ResultStore(probed_run / "results")
    live = [
        c
        for c in store.cells()
        if c.key.place.probe == "direct" and c.key.place.layer == 2 and c.key.place.split == "train"
    ]
    assert len(live) == 3
    outcome = probe(typed(config("probe", f"run_dir={probed_run}", "n_jobs=1", "logger=none", "report=false")))
    assert outcome.probes.n_computed == 0
    assert outcome.probes.n_kept == 18 + 9 + 6 + 3  # direct, linear, centroids, film


def test_other_settings_compute_their_own_cells_and_a_part_can_be_asked_for(probed_run: Path) -> None:
    options = ("n_jobs=1", "logger=none", "report=false", "layers=last", "steps=first_last", "probe=[direct]")
    outcome = probe(typed(config("probe", f"run_dir={probed_run}", *options)))
    assert (outcome.probes.n_computed, outcome.probes.n_kept) == (0, 4)
    assert set(outcome.table.layer) == {2}


def test_results_do_not_depend_on_the_number_of_processes(probed_run: Path, tmp_path: Path) -> None:
    from closerlook.probes.label_distances import DirectProbeAnalysis
    from closerlook.probes.runner import plan_cells, run_probes
    from closerlook.probes.space_probe import Scope

    reader = SnapshotReader(probed_run / "snapshots")
    scope = Scope(reader.steps, reader.layers, ("test",))
    tables = []
    for n_jobs in (1, 2):
        store = ResultStore(tmp_path / str(n_jobs))
        outcome = run_probes(reader, plan_cells(reader, [DirectProbeAnalysis()], scope), store, n_jobs=n_jobs)
        assert outcome.n_computed == 9
        tables.append(store.table())
    pd.testing.assert_frame_equal(*tables)


def test_report_is_one_page_that_needs_no_server(probed_run: Path) -> None:
    page = (probed_run / "report.html").read_text(encoding="utf-8")
    assert "bbc_topics" in page
    assert 'src="http' not in page


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("layers=[7]", r"layers=\[7\]: expected all, blocks, last or a list of what the run stores: \[0, 1, 2\]"),
        ("steps=[3]", r"steps=\[3\]: expected all, first_last or a list"),
        ("splits=[dev]", r"splits=\['dev'\]: the run stores \['train', 'test'\]"),
        ("steps=some", r"steps=some: expected all, first_last"),
    ],
)
def test_asking_for_what_is_not_stored_says_what_is(probed_run: Path, override: str, message: str) -> None:
    with pytest.raises(RunError, match=message):
        probe(typed(config("probe", f"run_dir={probed_run}", "logger=none", override)))


def test_finished_run_is_skipped_and_another_configuration_refused(probed_run: Path, small: tuple[str, ...]) -> None:
    same = config("train", f"run_dir={probed_run}", "callbacks=probe", *small)
    before = sorted((p.name, p.stat().st_mtime_ns) for p in (probed_run / "checkpoints").iterdir())
    assert train(same).skipped
    with pytest.raises(RunError, match=r"finetuning\.learning_rate was 0\.001, now 0\.5"):
        train(config("train", f"run_dir={probed_run}", "callbacks=probe", *small, "finetuning.learning_rate=0.5"))
    assert sorted((p.name, p.stat().st_mtime_ns) for p in (probed_run / "checkpoints").iterdir()) == before


def test_missing_run_says_what_to_pass(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"Pass the directory that train\.py printed"):
        probe(typed(config("probe", f"run_dir={tmp_path}", "logger=none")))
    with pytest.raises(RunError, match="run_dir is not set"):
        probe(typed(config("probe", "logger=none")))


def test_failed_run_is_recorded_with_its_error(small: tuple[str, ...], tmp_path: Path) -> None:
    broken = config("train", f"run_dir={tmp_path}/r", "logger=none", *small, "snapshot.layers=[9]")
    with pytest.raises(ValueError, match=r"snapshot\.layers=\[9\]"):
        train(broken)
    state = json.loads((tmp_path / "r" / "state.json").read_text())
    assert state["status"] == "failed"
    assert "snapshot.layers" in state["error"]


def test_untrained_encoder_is_a_baseline_beside_the_accuracy(probed_run: Path) -> None:
    options = ("n_jobs=1", "logger=none", "report=false", "probe=[linear]", "random_encoder=true")
    table = probe(typed(config("probe", f"run_dir={probed_run}", *options))).results.table
    baseline = values(table, "linear", m.RANDOM_ENCODER_ACCURACY)
    assert len(baseline) == 3
    assert baseline.between(0, 1).all()
    stored = SnapshotReader(probed_run / "random_encoder" / "snapshots")
    own = SnapshotReader(probed_run / "snapshots")
    assert stored.examples("test").equals(own.examples("test"))
    assert not np.allclose(stored.vectors(0, "test", 2), own.vectors(own.steps[-1], "test", 2), atol=1e-3)
