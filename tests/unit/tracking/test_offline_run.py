"""An offline run, read back from its file: configuration, metric definitions, series, tables, artifacts."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from closerlook import measures as m
from closerlook.results.rows import Place, ResultRow, to_table
from closerlook.results.tables import label_series, rows_of
from closerlook.tracking.artifacts import artifact_name, declare_input, log_snapshots_artifact
from closerlook.tracking.charts import distance_table
from closerlook.tracking.log_results import log_live, log_results, summary_values
from closerlook.tracking.loggers import RunLogger
from closerlook.tracking.wandb_record import read_record
from closerlook.tracking.wandb_run import open_run, sync_hint
from closerlook.tracking.wandb_settings import WandbSettings


def result_row(probe: str, measure: str, step: int, epoch: float, layer: int, split: str, *labels: str, **values):
    return ResultRow(Place(probe, layer, split, step), epoch, measure, *labels, **values)


SECRET = "sesame-open-0123456789"


def inspect(run_dir: Path, job_type: str = "train") -> list[dict]:
    """All records of a run's file, as `wandb leet inspect` prints them."""
    folder = run_dir / read_record(run_dir)[job_type]["folder"]
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(next(folder.glob("*.wandb")))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return [json.loads(line) for line in done.stdout.splitlines() if line]


def of_type(records: list[dict], kind: str) -> list[dict]:
    return [record[kind] for record in records if record["type"] == kind]


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def logged(results, home: Path, tmp_path_factory) -> tuple[Path, list[dict]]:
    """A training run with everything logged, and its records."""
    run_dir = tmp_path_factory.mktemp("run")
    snapshots = run_dir / "snapshots" / "step-0"
    snapshots.mkdir(parents=True)
    (snapshots / "train.npy").write_bytes(b"vectors")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("WANDB_API_KEY", raising=False)
        patch.setenv("HOME", str(home))
        settings = WandbSettings(project="p", tags=("a", "b"))
        config = {"task": {"name": "digits"}, "seed": 0, "hub": {"api_key": SECRET}}
        with open_run(settings, run_dir=run_dir, info=results.info, config=config, job_type="train") as run:
            logger = RunLogger(run, results.info)
            for step in (0, 39, 80):  # Lightning's 80 comes from the test after 80 updates, 0 to 79
                logger.log_metrics({"train/loss": 1.0 / (step + 1), "epoch": step // 20}, step=step)
            log_results(run, results)
            log_snapshots_artifact(run, snapshots.parent, name=artifact_name(results.info), metadata={"n": 1})
            declare_input(run, name="other", digests={"x.csv": "sha256:ab"})
    return run_dir, inspect(run_dir)


def test_configuration_stands_before_the_first_step(logged):
    records = logged[1]
    kinds = [record["type"] for record in records]
    run = of_type(records, "run")[0]
    assert kinds.index("run") < kinds.index("history")
    config = run["config"]["update"]
    assert config["task"] == {"name": "digits"}
    assert config["run"]["git_commit"] == "abc1234"
    assert config["run"]["checksums"] == {"digits.csv": "sha256:12"}
    assert config["run"]["versions"] == {"scikit-learn": "1"}
    assert config["run"]["model_revision"] == "0" * 40
    assert (run["project"], run["run_group"], run["job_type"]) == ("p", "digits/perceptron", "train")
    assert run["display_name"] == "digits/perceptron/seed=0"
    assert set(run["tags"]) == {"a", "b"}


def test_secrets_are_nowhere_in_the_run(logged):
    run_dir = logged[0]
    files = [path for path in run_dir.rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in files)
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


def test_every_series_is_defined_by_its_exact_name_over_epochs(logged):
    records = logged[1]
    defined = {record["name"]: record.get("step_metric") for record in of_type(records, "metric")}
    assert not [name for name in defined if "*" in name]
    assert not [record for record in of_type(records, "metric") if record.get("glob_name")]
    logged_keys = {key for record in of_type(records, "history") for key in record["item"]}
    series = {key for key in logged_keys if key.split("/")[0] in ("probe", "label", "train", "mlp", "geometry")}
    assert len(series) > 60
    assert {defined.get(key) for key in series} == {"epoch"}


def test_series_hold_the_results(logged, results):
    key = "probe/train/layer_02/mean_min_distance"
    rows = [record["item"] for record in of_type(logged[1], "history")]
    series = {row["epoch"]: row[key] for row in rows if key in row}
    stored = rows_of(results.table, m.MEAN_MIN_DISTANCE, layer=2, split="train")
    assert series == pytest.approx(dict(zip(stored["epoch"], stored["value"], strict=True)))
    assert list(series) == [0, 1, 2, 3, 4]
    label = {row["epoch"]: row["label/train/layer_02/min_distance/four%2Fa&b"] for row in rows
             if "label/train/layer_02/min_distance/four%2Fa&b" in row}  # fmt: skip
    expected = label_series(results.table, m.MIN_DISTANCE, layer=2, split="train")["four/a&b"]
    assert label == pytest.approx(expected.to_dict())


def test_undefined_values_are_left_out(logged):
    keys = {key for record in of_type(logged[1], "history") for key in record["item"]}
    assert "geometry/test/layer_01/isotropy_score" in keys
    assert "geometry/test/layer_00/isotropy_score" not in keys


def test_training_metrics_count_epochs_as_snapshots_do(logged):
    rows = [record["item"] for record in of_type(logged[1], "history") if "train/loss" in record["item"]]
    assert [(row["update"], row["epoch"]) for row in rows] == [(1, 0.05), (40, 2), (80, 4)]


def test_tables_and_figures(logged, results):
    run_dir, records = logged
    items = {key: value for record in of_type(records, "history") for key, value in record["item"].items()}
    place = "charts/train/layer_02"
    files = run_dir / read_record(run_dir)["train"]["folder"] / "files"
    assert items[f"{place}/label_distances._type"] == "table-file"
    table = json.loads((files / items[f"{place}/label_distances.path"]).read_text())
    assert table["columns"] == ["epoch", "update", "label", "other", "distance", "note"]
    assert len(table["data"]) == 5 * 10
    for name in ("label_distance_map", "centroid_paths"):
        assert items[f"{place}/{name}._type"] == "plotly-file"
        figure = json.loads((files / items[f"{place}/{name}.path"]).read_text())
        assert figure["data"]
    lines = json.loads((files / items[f"Custom Chart Tables/{place}/min_distance_by_label_table.path"]).read_text())
    assert len(lines["data"]) == 5 * 5


def test_main_measures_are_drawn_against_the_layer_one_line_a_snapshot(logged, results):
    run_dir, records = logged
    items = {key: value for record in of_type(records, "history") for key, value in record["item"].items()}
    files = run_dir / read_record(run_dir)["train"]["folder"] / "files"
    path = items["Custom Chart Tables/layers/train/mean_min_distance_table.path"]
    rows = json.loads((files / path).read_text())["data"]
    assert {line for _, line, _ in rows} == {f"epoch {epoch}" for epoch in range(5)}
    stored = rows_of(results.table, m.MEAN_MIN_DISTANCE, split="train")
    stored = stored[stored["epoch"] == 4]
    drawn = {layer: value for layer, line, value in rows if line == "epoch 4"}
    assert drawn == pytest.approx(dict(zip(stored["layer"], stored["value"], strict=True)))


def test_the_tables_have_the_layer_as_data_and_the_warnings(logged, results):
    run_dir, records = logged
    items = {key: value for record in of_type(records, "history") for key, value in record["item"].items()}
    files = run_dir / read_record(run_dir)["train"]["folder"] / "files"
    spaces = json.loads((files / items["tables/spaces.path"]).read_text())
    space = results.table[(results.table["label"] == "") & (results.table["other"] == "")]
    assert len(spaces["data"]) == len(space)
    assert {row[spaces["columns"].index("layer")] for row in spaces["data"]} == {0, 1, 2}
    about = json.loads((files / items["tables/measures.path"]).read_text())
    distrust = {row[0]: row[about["columns"].index("distrust")] for row in about["data"]}
    assert distrust[m.N_CLUSTERS] == m.MEASURES[m.N_CLUSTERS].distrust


def test_constants_are_summary_values_and_no_series(logged, results):
    records = logged[1]
    keys = {key for record in of_type(records, "history") for key in record["item"]}
    summary = {key: value for record in of_type(records, "summary") for key, value in record["update"].items()}
    assert not [key for key in keys if key.endswith(("/n_labels", "/n_examples"))]
    assert summary["probe/train/layer_02/n_labels"] == 5


def test_only_the_last_layer_makes_panels_of_its_own(logged):
    metrics = of_type(logged[1], "metric")
    hidden = {record["name"] for record in metrics if (record.get("options") or {}).get("hidden")}
    assert {"probe/train/layer_01/mean_min_distance", "label/train/layer_02/min_distance/two"} <= hidden
    assert "probe/train/layer_02/mean_min_distance" not in hidden
    assert "train/loss" not in hidden


def test_summary_has_before_and_after(logged, results):
    summary = {key: value for record in of_type(logged[1], "summary") for key, value in record["update"].items()}
    for key, value in summary_values(results).items():
        assert summary[key] == pytest.approx(value)
    assert summary["change/train/layer_02/mean_min_distance"] > 4


def test_snapshots_are_an_artifact_that_refers_to_the_files(logged, home):
    run_dir, records = logged
    artifact = next(a for a in of_type(records, "artifact") if a["type"] == "hidden-states")
    assert artifact["name"] == "snapshots-digits-perceptron-seed-0"
    (entry,) = artifact["manifest"]["contents"]
    assert entry["ref"] == (run_dir / "snapshots" / "step-0" / "train.npy").as_uri()
    assert "local_path" not in entry
    assert json.loads(artifact["metadata"]) == {"n": 1}
    assert not [path for path in home.rglob("*") if path.is_file() and "artifacts" in path.parts], "nothing in home"


def test_inputs_are_declared_by_digest(logged):
    configs = [key for record in of_type(logged[1], "config") for key in record["update"].items()]
    assert any("sha256:ab" in json.dumps(item) for item in configs)


def test_the_run_ends_well_and_says_how_to_sync(results, tmp_path: Path, caplog):
    with (
        caplog.at_level(logging.INFO, logger="closerlook"),
        open_run(WandbSettings(), run_dir=tmp_path, info=results.info, config={}, job_type="train") as run,
    ):
        hint = sync_hint(run)
    assert f"To send it: {hint}" in caplog.text
    folder = Path(hint.removeprefix("wandb sync "))
    assert folder.is_dir()
    assert folder.parent == tmp_path.resolve() / "wandb"
    assert of_type(inspect(tmp_path), "exit")[0]["exit_code"] == 0


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_the_run_is_finished_on_every_way_out(results, tmp_path: Path, error):
    import wandb

    environment = dict(os.environ)
    with (
        pytest.raises(error),
        open_run(WandbSettings(), run_dir=tmp_path, info=results.info, config={}, job_type="train"),
    ):
        raise error("out")
    assert wandb.run is None
    assert of_type(inspect(tmp_path), "exit")[0]["exit_code"] == 1
    changed = {name for name in set(environment) | set(os.environ) if environment.get(name) != os.environ.get(name)}
    assert not {name for name in changed if name.endswith("_DIR")}, "folders are set back"


def test_two_jobs_in_one_process_are_two_runs(results, tmp_path: Path):
    found = []
    for job in ("one", "two"):
        run_dir = tmp_path / job
        with open_run(
            WandbSettings(), run_dir=run_dir, info=results.info, config={"job": job}, job_type="train"
        ) as run:
            run.log({"epoch": 1.0})
        records = inspect(run_dir)
        found.append((of_type(records, "run")[0]["run_id"], of_type(records, "run")[0]["config"]["update"]["job"]))
        assert len(of_type(records, "history")) == 1
    assert found[0][0] != found[1][0]
    assert [job for _, job in found] == ["one", "two"]


def test_live_rows_go_to_a_run_over_epochs(results, tmp_path: Path):
    rows = [
        result_row("direct", m.MEAN_MIN_DISTANCE, 7, 0.5, 3, "train", value=2.0),
        result_row("direct", m.MIN_DISTANCE, 7, 0.5, 3, "train", "A", value=1.0),
        result_row("direct", m.MIN_DISTANCE, 7, 0.5, 3, "train", "B", value=None),
        result_row("direct", m.LABEL_DISTANCE, 7, 0.5, 3, "train", "A", "B", value=3.0),
    ]
    with open_run(WandbSettings(), run_dir=tmp_path, info=results.info, config={}, job_type="train") as run:
        log_live(RunLogger(run, results.info), to_table(rows))
    (row,) = [record["item"] for record in of_type(inspect(tmp_path), "history")]
    assert {key: row[key] for key in row if not key.startswith("_")} == {
        "epoch": 0.5, "update": 7, "probe/train/layer_03/mean_min_distance": 2,
        "label/train/layer_03/min_distance/A": 1,
    }  # fmt: skip


def test_live_rows_go_to_other_loggers_by_step():
    got = []
    logger = SimpleNamespace(experiment=object(), log_metrics=lambda metrics, step: got.append((metrics, step)))
    log_live(logger, to_table([result_row("direct", m.N_CLUSTERS, 7, 0.5, 3, "test", value=2.0)]))
    assert got == [({"epoch": 0.5, "probe/test/layer_03/n_clusters": 2.0}, 7)]


def test_trouble_is_a_warning_with_the_way_to_sync(results, caplog):
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the service is gone, key hf_" + "x" * 30)

    run = type("Run", (), {"define_metric": broken, "log": broken, "settings": SimpleNamespace(sync_dir="there")})()
    log_results(run, results)
    assert "log_results failed" in caplog.text
    assert "wandb sync there" in caplog.text
    assert "hf_xxx" not in caplog.text
    caplog.clear()
    logger = RunLogger(run, results.info)
    for step in range(3):
        logger.log_metrics({"train/loss": 1.0}, step=step)
    assert caplog.text.count("training goes on") == 1


def test_large_tables_hold_an_even_selection_of_snapshots(results, monkeypatch):
    monkeypatch.setattr("closerlook.tracking.charts.MAX_TABLE_ROWS", 30)
    rows = rows_of(results.table, m.LABEL_DISTANCE, layer=1, split="train")
    table = distance_table(rows)
    assert sorted({row[1] for row in table.data}) == [0, 40, 80]
    assert len(table.data) == 30
    missing = [row for row in table.data if row[4] is None]
    assert missing
    assert missing[0][5] == "the hulls <meet>"
    assert not [row for row in table.data if row[4] is not None and np.isnan(row[4])]
