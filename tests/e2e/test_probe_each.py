"""All runs below a directory probed by one command, other tasks in their encoders included; then joined."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from closerlook import measures as m
from closerlook.config import ProbeConfig, typed
from closerlook.pipelines.cross_task import run_cross_task, task_settings
from closerlook.pipelines.join_runs import study
from closerlook.pipelines.probe_runs import SpaceEnd, probe_runs
from closerlook.representations.reader import SnapshotReader
from closerlook.results.run import RunError
from closerlook.results.run_dir import RunDir, load_run
from closerlook.results.store import ResultStore
from closerlook.study.wording import cross_text

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore:.*did not reach a relative gap.*"),  # bounds of each distance are kept
]
UNPROBED = shutil.ignore_patterns("results", "cross", "report.html")
OWN = ["bbc_topics/tiny/seed-0", "bbc_topics/tiny/seed-1", "trec6/tiny/seed-0"]
CROSS = ["trec6/tiny/seed-0/cross/bbc_topics", "bbc_topics/tiny/seed-0/cross/trec6",
         "bbc_topics/tiny/seed-1/cross/trec6"]  # fmt: skip


@pytest.fixture(scope="module")
def tuned(study_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs that nobody has probed."""
    root = tmp_path_factory.mktemp("each") / "runs"
    for path in OWN:
        shutil.copytree(study_runs / path, root / path, ignore=UNPROBED)
    return root


def run_each(study_module: ModuleType, root: Path, *overrides: str) -> dict[str, SpaceEnd]:
    config = study_module.compose_config("probe", f"runs={root}", "n_jobs=1", "logger=none", *overrides)
    seen: list[SpaceEnd] = []
    calls: list[tuple[float, int]] = []
    ends = probe_runs(typed(config), progress=lambda done, total, what: calls.append((done, total)), on_end=seen.append)
    assert seen == list(ends)
    assert calls == sorted(calls)
    return {end.space.name: end for end in ends}


@pytest.fixture(scope="module")
def probed(study_module: ModuleType, tuned: Path) -> dict[str, SpaceEnd]:
    """How each space ended under ``study=e5``."""
    return run_each(study_module, tuned, "study=e5", "probe.mlp.n_seeds=2", "probe.mlp.max_iter=30")


def test_every_run_and_every_other_task_is_probed(probed: dict[str, SpaceEnd], tuned: Path) -> None:
    assert list(probed) == OWN + CROSS
    assert {end.status for end in probed.values()} == {"probed"}
    for path in OWN + CROSS:
        table = load_run(tuned / path).table
        assert set(table.layer) == {2}, path
        assert {"direct", "mlp", "similarity"} <= set(table.probe), path
    assert all((tuned / path / "report.html").is_file() for path in OWN)
    assert RunDir(tuned / CROSS[0]).origin() is not None
    # the examples of the runs of that task, not those of its file in conf/task
    assert load_run(tuned / CROSS[0]).info.n_train == 64


def test_a_pretrained_space_is_probed_once(probed: dict[str, SpaceEnd], tuned: Path) -> None:
    assert (probed[OWN[0]].n_computed, probed[OWN[0]].n_kept) == (6, 0)
    for path in (OWN[1], *CROSS):
        assert (probed[path].n_computed, probed[path].n_kept) == (3, 3), path
    first, other = (ResultStore(tuned / path / "results") for path in (OWN[2], CROSS[1]))
    keys = [cell.key for cell in first.cells() if cell.key.place.probe == "direct"]
    shared = [cell for cell in other.cells() if cell.key in keys]
    assert {cell.key.place.step for cell in shared} == {0}
    assert len(shared) == 2  # train and test; after tuning on another task the space is another


def test_only_what_is_probed_is_stored_and_more_can_follow(
    probed: dict[str, SpaceEnd], tuned: Path, study_module: ModuleType, tmp_path: Path
) -> None:
    crossed, own = (SnapshotReader(tuned / path / "snapshots") for path in (CROSS[1], OWN[2]))
    assert crossed.layers == (2,)
    assert crossed.steps == (0, 8)
    assert crossed.checksum(0, "train", 2) == own.checksum(0, "train", 2)  # taken over, byte for byte
    assert crossed.checksum(8, "train", 2) != own.checksum(8, "train", 2)
    root = tmp_path / "runs"
    shutil.copytree(tuned, root)
    small = ("select=seed-0", "cross_task=trec6", "probe=[direct]", "cross.steps=first_last", "report=false")
    found = run_each(study_module, root, *small, "layers=blocks")
    assert SnapshotReader(root / CROSS[1] / "snapshots").layers == (1, 2)
    assert SnapshotReader(root / CROSS[1] / "snapshots").checksum(8, "test", 2) == crossed.checksum(8, "test", 2)
    # layer 2 and step 0 of layer 1 are known; train and test of layer 1 after tuning are not
    assert (found[CROSS[1]].n_computed, found[CROSS[1]].n_kept) == (2, 6)


def test_a_damaged_pretrained_space_is_not_taken_over(tuned: Path, tmp_path: Path, data_dir: Path) -> None:
    source, donor = tmp_path / "a", tmp_path / "b"
    shutil.copytree(tuned / OWN[0], source, ignore=UNPROBED)
    shutil.copytree(tuned / OWN[2], donor, ignore=UNPROBED)
    task = task_settings("trec6", data_dir=str(data_dir), limit_train_texts=64, limit_test_texts=32)
    (vectors,) = (donor / "snapshots" / "step-00000000" / "train").glob("layer-02*")
    content = bytearray(vectors.read_bytes())
    content[500] ^= 1
    vectors.write_bytes(bytes(content))
    found = run_cross_task(RunDir(source), task, layers="last", pretrained=RunDir(donor))
    intact = SnapshotReader(tuned / OWN[2] / "snapshots")
    ours = SnapshotReader(found.run.snapshots)
    np.testing.assert_allclose(ours.vectors(0, "train", 2), intact.vectors(0, "train", 2), atol=1e-5)
    assert run_cross_task(RunDir(source), task, layers="last").kept


def test_a_second_call_computes_nothing(
    probed: dict[str, SpaceEnd], tuned: Path, study_module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [path for path in tuned.rglob("*") if path.is_file() and path.name != "probe.log"]
    before = {path: path.stat().st_mtime_ns for path in files}

    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("an encoder was loaded")

    monkeypatch.setattr("closerlook.pipelines.cross_task.build_space", refuse)
    again = run_each(study_module, tuned, "study=e5", "probe.mlp.n_seeds=2", "probe.mlp.max_iter=30")
    assert {end.status for end in again.values()} == {"kept"}
    assert sum(end.n_computed for end in again.values()) == 0
    assert {path: path.stat().st_mtime_ns for path in files} == before


def test_matrix_is_the_mean_over_seeds_of_the_runs_own_numbers(probed: dict[str, SpaceEnd], tuned: Path) -> None:
    (matrix,) = study(ProbeConfig(runs=str(tuned), report=False), problems={}).summary.matrices
    assert (matrix.tuned_on, matrix.probed, matrix.classifier) == (("bbc_topics", "trec6"),) * 2 + ("mlp",)
    changes, accuracies = [], []
    for seed in (0, 1):
        table = load_run(tuned / f"bbc_topics/tiny/seed-{seed}/cross/trec6").table
        rows = table[(table.measure == m.MIN_DISTANCE) & (table.split == "train")]
        wide = rows.pivot_table(index="label", columns="step", values="value")
        changes.append(float((wide.iloc[:, -1] - wide.iloc[:, 0]).mean()))
        rows = table[(table.measure == m.ACCURACY) & (table.probe == "mlp")].sort_values("step")
        accuracies.append(rows.value.iloc[-1])
    assert matrix.change[0, 1] == pytest.approx(np.mean(changes))
    assert matrix.accuracy_after[0, 1] == pytest.approx(np.mean(accuracies))
    assert f"{np.mean(accuracies):.3f}" in cross_text(matrix, 0, 1)


def test_only_selected_runs_and_named_tasks(tuned: Path, study_module: ModuleType, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    shutil.copytree(tuned, root, ignore=UNPROBED)
    small = ("probe=[centroids]", "report=false", "layers=last")
    assert list(run_each(study_module, root, "each=true", "select=seed-1", *small)) == [OWN[1]]
    found = run_each(study_module, root, "cross_task=[trec6]", *small)
    assert list(found) == OWN + CROSS[1:]
    assert not (root / OWN[0] / "report.html").exists()
    with pytest.raises(RunError, match=r"no runs below .* whose path has select=nothing"):
        run_each(study_module, root, "each=true", "select=nothing")


def test_scopes_hold_each_probe_to_its_own_place(tuned: Path, study_module: ModuleType, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    shutil.copytree(tuned / OWN[2], root / OWN[2], ignore=UNPROBED)
    scopes = "scopes={direct:[{layers:last,steps:first_last},{layers:blocks,steps:[0],splits:[train]}]}"
    run_each(study_module, root, "each=true", "probe=[direct,linear]", "layers=[0,2]", f"+{scopes}", "report=false")
    cells = [cell.key for cell in ResultStore(root / OWN[2] / "results").cells()]
    direct = {(key.place.step, key.place.layer, key.place.split) for key in cells if key.place.probe == "direct"}
    assert direct == {(0, 2, "train"), (0, 2, "test"), (8, 2, "train"), (8, 2, "test"), (0, 1, "train")}
    linear = {(key.place.step, key.place.layer) for key in cells if key.place.probe == "linear"}
    assert linear == {(step, layer) for step in (0, 4, 8) for layer in (0, 2)}
    with pytest.raises(RunError, match=r"scopes.dircet: no such probe; expected one of centroids, direct"):
        run_each(study_module, root, "each=true", "+scopes={dircet:{layers:last}}")
    ends = run_each(study_module, root, "each=true", "probe=[direct]", "+scopes={direct:{layer:last}}")
    assert "scopes.direct: got {'layer': 'last'}, expected some of steps, layers, splits" in ends[OWN[2]].reason


def test_trouble_of_one_run_stays_its_own(project: Path, tuned: Path, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    shutil.copytree(tuned, root, ignore=UNPROBED)
    (vectors,) = (root / OWN[1] / "snapshots" / "step-00000008" / "train").glob("layer-02*")
    content = bytearray(vectors.read_bytes())
    content[500] ^= 1
    vectors.write_bytes(bytes(content))
    third = RunDir(root / OWN[2])
    state = third.state()
    assert state is not None
    third.save_state(replace(state, status="interrupted"))
    command = [sys.executable, str(project / "probe.py"), "runs=runs", "study=quick", "n_jobs=1", "logger=none"]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 1
    assert f"{OWN[0]}: 8 cells computed" in done.stdout
    assert f"{OWN[2]}: skipped, not finished (interrupted)" in done.stdout
    assert "3 runs joined" in done.stdout
    assert "1 failed; the others are probed and joined" in done.stderr
    assert f"probe.py run_dir=runs/{OWN[1]} study=quick n_jobs=1 logger=none cross_task=null" in done.stderr
    assert "Traceback" not in done.stderr
    assert "(3 cells, e.g. direct train layer 2 step 8)" in (root / "study.html").read_text(encoding="utf-8")
    claims = json.loads((root / "claims.json").read_text(encoding="utf-8"))
    assert {run["path"]: run["n_rows"] > 0 for run in claims["runs"]}[OWN[0]]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            [f"run_dir={{root}}/{OWN[0]}", "cross_task=all"],
            "error: cross_task=all means the tasks of several runs: pass runs=",
        ),
        (["cross_task=[pos,3]", "runs={root}"], "error: cross_task=.*: expected a task or several"),
        (["study=e5", "probe=[direct]", "runs={root}"], "error: cross.probes=.*: mlp is not among the chosen probes"),
    ],
)
def test_mistakes_are_told_in_one_line(
    project: Path, tuned: Path, tmp_path: Path, overrides: list[str], message: str
) -> None:
    if "study=e5" in overrides:
        overrides = [*overrides, "cross.probes=[mlp]"]
    arguments = [item.format(root=tuned) for item in overrides]
    command = [sys.executable, str(project / "probe.py"), *arguments, "logger=none"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert re.search(message, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
