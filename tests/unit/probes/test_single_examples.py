"""Suspected label errors, who moved, and the way of both from stored snapshots to terminal, files and report."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from closerlook import measures as m
from closerlook.cli.show_tables import print_examples
from closerlook.config import ProbeConfig
from closerlook.pipelines.example_sample import example_sample
from closerlook.pipelines.probe_run import publish
from closerlook.probes.label_distances import DirectProbeAnalysis
from closerlook.probes.movement import MovementAnalysis, follow, head_readings
from closerlook.probes.runner import plan_cells, run_probes
from closerlook.probes.space_probe import Scope
from closerlook.probes.suspects import SuspectAnalysis
from closerlook.probes.witnesses import WitnessAnalysis
from closerlook.representations.format import TunedHead
from closerlook.representations.reader import SnapshotReader
from closerlook.representations.writer import SnapshotWriter, write_examples
from closerlook.representations.writer import publish as publish_snapshot
from closerlook.results.example_tables import Examples
from closerlook.results.movement import courses
from closerlook.results.readings import ReadingPlace, ReadingSeries, rank_suspects
from closerlook.results.run import RunError, RunInfo
from closerlook.results.run_dir import RunDir
from closerlook.tracking.log_results import log_probed_run
from closerlook.tracking.wandb_settings import WandbSettings

STEPS, N, D = (0, 5, 10), 90, 6
LABELS = np.array(["noun", "verb", "<b>x</b>"])[np.arange(N) % 3]
WRONG = 4
"""This example lies among the verbs before and after, and is labelled otherwise."""


def vectors(step: int, layer: int) -> np.ndarray:
    rng = np.random.default_rng(layer)
    places = np.arange(N) % 3
    true = places.copy()
    true[WRONG] = (true[WRONG] + 1) % 3
    return (rng.normal(scale=0.15, size=(N, D)) + np.eye(3, D)[true] * (1 + step * layer)).astype(np.float32)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    root = tmp_path_factory.mktemp("run")
    made = RunDir(root)
    made.save_info(RunInfo(
        task="words", level="word", model="m", model_source="s", model_revision="r", seed=0,
        label_names=tuple(sorted(set(LABELS))), n_layers=1, hidden_size=D, n_train=N, n_test=N, n_epochs=2,
        n_updates=10,
        created="2026-01-01T00:00:00+00:00",
    ))  # fmt: skip
    sizes, counts = {"train": D, "test": D}, {"train": N, "test": N}
    for split in counts:
        ids = [f"{split}-s{i}/1" for i in range(N)]
        write_examples(made.snapshots, split, pd.DataFrame({
            "example_id": ids, "text_id": [one[:-2] for one in ids], "label": LABELS,
            "form": [f"w{i}" for i in range(N)], "context": [f"the w{i} <i>here</i>" for i in range(N)],
        }))  # fmt: skip
    head = TunedHead(1, np.array(["verb", "noun", "<b>x</b>"]), np.eye(3, D)[[1, 0, 2]], np.zeros(3))
    for step in STEPS:
        rows = {split: range(N) for split in counts}
        writer = SnapshotWriter(made.snapshots, step, layers=(0, 1), dtype="float32", rows=rows, n_features=sizes)
        for split in counts:
            writer.write(split, np.arange(N), {layer: vectors(step, layer) for layer in (0, 1)})
        writer.close()
        publish_snapshot(
            made.snapshots, step, epoch=step / 5, layers=(0, 1), dtype="float32", n_features=sizes, n_examples=counts,
            head=head if step else None,
        )  # fmt: skip
    reader, store = SnapshotReader(made.snapshots), made.store()
    probes = [DirectProbeAnalysis(), WitnessAnalysis(), SuspectAnalysis(), MovementAnalysis()]
    outcome = run_probes(reader, plan_cells(reader, probes, Scope(STEPS, (0, 1), ("train", "test"))), store)
    assert not outcome.failed
    publish(made, ProbeConfig(run_dir=str(root), logger={}), store)
    return made


def found(run: RunDir) -> Examples:
    reader = SnapshotReader(run.snapshots)
    return Examples(run.load().by_example, {split: reader.examples(split) for split in ("train", "test")})


def test_a_wrong_label_leads_the_suspects_and_its_right_one_is_suggested(run: RunDir) -> None:
    for split in ("train", "test"):
        table = found(run).suspects(split)
        assert table is not None
        first = table.iloc[0]
        assert (first["form"], first["suggested"], first["rank"]) == (f"w{WRONG}", "<b>x</b>", 1)
        assert first["misread"] == first["readings"] == 3  # layer 1 at three snapshots: embeddings are not read
        assert first["agreement"] == 1
        assert table["log_odds"].is_monotonic_increasing
        assert first["against"] >= 1


def test_the_tuned_head_never_learned_it_and_learned_the_others(run: RunDir) -> None:
    table = found(run).moved(layer=1, split="train")
    assert table is not None
    assert table["read_by"].iloc[0] == "the tuned head"
    never = table[table["fate"] == "never learned"]
    assert never["form"].tolist() == [f"w{WRONG}"]
    assert (table["confidence"].drop(WRONG) > 0.9).all()


def test_own_movement_leaves_out_what_the_label_does() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)), np.array(["a", "b"])[np.arange(40) % 2]
    shift = np.where(y[:, None] == "a", [[3.0, 0, 0]], [[0, 4.0, 0]])
    moved = follow(iter([X, X + shift / 2, X + shift]), y, k=5)
    np.testing.assert_allclose(moved.displacement, np.where(y == "a", 3, 4))
    np.testing.assert_allclose(moved.own_displacement, 0, atol=1e-12)
    np.testing.assert_allclose(moved.own_path, 0, atol=1e-12)
    alone = X.copy()
    alone[0] += [0, 0, 10.0]
    there_and_back = follow(iter([X, alone, X]), y, k=5)
    assert there_and_back.own_displacement.max() < 1e-12
    assert there_and_back.own_path[0] == pytest.approx(20 * 19 / 20)  # a twentieth of it is its label's shift
    np.testing.assert_allclose(there_and_back.kept_neighbours, 1)
    assert np.isnan(follow(iter([X, X]), y, k=5, max_points=10).kept_neighbours).sum() == 30


def test_rotation_and_scale_change_movement_as_they_should() -> None:
    rng = np.random.default_rng(1)
    spaces, y = rng.normal(size=(3, 30, 4)), np.array(["a", "b", "c"])[np.arange(30) % 3]
    turn = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    plain, turned = follow(iter(spaces), y), follow(iter(3 * spaces @ turn + 1), y)
    np.testing.assert_allclose(turned.kept_neighbours, plain.kept_neighbours)
    for name in ("displacement", "own_displacement", "own_path"):
        np.testing.assert_allclose(getattr(turned, name), 3 * getattr(plain, name))


def test_fates_and_moments_of_a_course() -> None:
    odds = np.array(
        [[1, 1, 1, 1], [-1, -1, 1, 1], [1, -1, 1, -1], [-1, -1, -1, -1], [-1, 1, -1, 1], [1, 1, 1, np.nan]]
    ).T
    series = ReadingSeries(
        tuple(ReadingPlace(1, s) for s in (0, 5, 10, 15)), odds - 2, np.full_like(odds, -2.0), odds, ""
    )
    table = courses(series, (0, 5, 10, 15))
    assert table["fate"].tolist() == ["right throughout", "learned", "forgotten", "never learned", "learned", ""]
    np.testing.assert_array_equal(table["learned_at"], [np.nan, 10, np.nan, np.nan, 15, np.nan])
    np.testing.assert_array_equal(table["forgotten_at"], [np.nan, np.nan, 15, np.nan, np.nan, np.nan])
    assert table["crossings"].tolist()[:5] == [0, 1, 3, 0, 3]


def test_what_no_classifier_could_read_is_ranked_last_and_has_no_number() -> None:
    own = np.log([[0.9, np.nan, 0.1], [0.8, np.nan, np.nan]])
    series = ReadingSeries(
        (ReadingPlace(1, 0), ReadingPlace(2, 0)), own, np.log([[0.1, 0.5, 0.9]] * 2), np.ones((2, 3), int), ""
    )
    table = rank_suspects(series, ["a", "b"])
    assert table["row"].tolist() == [2, 0, 1]
    assert table["readings"].tolist() == [1, 2, 0]
    assert np.isnan(table["log_odds"].iloc[-1])


def test_the_heads_order_of_labels_does_not_matter() -> None:
    X, y = np.eye(3), np.array(["a", "b", "z"])
    head = TunedHead(1, np.array(["b", "a"]), np.array([[0, 2.0, 0], [2.0, 0, 0]]), np.zeros(2))
    found = head_readings(head, X, y)
    assert found.classes == ("a", "b")
    np.testing.assert_allclose(found.log_odds[:2], 2)
    assert np.isnan(found.own[2])


@pytest.mark.parametrize(
    ("show", "expected"),
    [
        ("witnesses", ["who holds labels apart, layer 1, update 0 → 10 (train)", "noun", "the *w"]),
        ("suspects", ["labels to look at again", f"the *w{WRONG}* <i>here</i>", "3/3"]),
        ("moved", ["who moved, layer 1 (train)", "Never learned", "read by the tuned head"]),
    ],
)
def test_the_terminal_shows_them_in_80_columns(
    run: RunDir, show: str, expected: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_examples(ProbeConfig(run_dir=str(run.root), show=show, show_rows=5))
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    for text in expected:
        assert text in out


def test_all_witnesses_of_a_label_with_their_weights_before_and_now(
    run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    print_examples(ProbeConfig(run_dir=str(run.root), show="witnesses", label="noun", layers=[1], steps=[5, 10]))
    out = capsys.readouterr().out
    assert "update 5 → 10" in out
    assert "from its nearest label" in out
    assert "before" in out


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"show": "witnesess"}, "expected one of witnesses, suspects, moved"),
        ({"show": "moved", "run_dir": None}, "needs run_dir"),
        ({"show": "moved", "label": "adverb"}, "label=adverb: expected one of"),
        ({"show": "witnesses", "layers": [7]}, r"layers=\[7\]: expected"),
        ({"show": "witnesses", "steps": [3]}, r"steps=\[3\]: not measured"),
        ({"show": "suspects", "splits": ["dev"]}, r"nothing was measured on dev.*probe=\[suspects"),
    ],
)
def test_what_cannot_be_shown_is_one_clear_error(run: RunDir, settings: dict[str, object], message: str) -> None:
    with pytest.raises(RunError, match=message):
        print_examples(ProbeConfig(**({"run_dir": str(run.root)} | settings)))  # type: ignore[arg-type]


def test_files_hold_the_same_with_texts(run: RunDir) -> None:
    names = ("witnesses", "suspects", "moved")
    witnesses, suspects, moved = (pd.read_parquet(run.results / f"{name}.parquet") for name in names)
    assert {"weight", "pair_label", "form", "context", "layer", "step"} <= set(witnesses.columns)
    own = witnesses[(witnesses["pair_label"] == witnesses["label"])]
    sums = own.groupby(["layer", "split", "step", "pair_label", "pair_other"])["weight"].sum()
    np.testing.assert_allclose(sums, 1, atol=1e-5)
    assert len(suspects) == 2 * N
    assert set(moved["split"]) == {"train", "test"}
    assert not run.load().table["measure"].isin([m.WITNESSES, m.HELD_OUT_READING, m.EXAMPLE_MOVEMENT]).any()


def test_a_table_of_some_examples_goes_to_wandb(run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    results = run.load()
    sample = example_sample(run, results, 12)
    assert sample.groupby("update").size().to_dict() == dict.fromkeys(STEPS, 12)
    assert sample.groupby("update")["label"].value_counts().unique().tolist() == [4]
    assert sample["text"].str.match(r"the \*w\d+\* <i>here</i>").all()
    assert np.isfinite(sample[["x", "y", "witness", "log_odds", "suspect_rank"]].to_numpy()).all()
    moved = sample.groupby("example_id")[["x", "y"]].agg(np.ptp).to_numpy()
    assert (moved > 0).any(axis=1).all()
    copy = dataclasses.replace(results, run_dir=tmp_path)
    log_probed_run(WandbSettings(), copy, {}, {}, sample)
    (path,) = tmp_path.rglob("examples_*.table.json")
    sent = json.loads(path.read_text(encoding="utf-8"))
    assert sent["columns"][:5] == ["epoch", "update", "example_id", "text", "label"]
    assert len(sent["data"]) == 36
    assert example_sample(run, results, 0).empty
    assert example_sample(RunDir(tmp_path), results, 12).empty  # no snapshots there


def test_the_report_shows_them_escaped_with_the_word_marked(run: RunDir) -> None:
    page = run.report_file.read_text(encoding="utf-8")
    for part in ('id="witnesses"', 'id="suspects"', 'id="moved"', 'id="data-map"'):
        assert part in page
    assert f"<mark>w{WRONG}</mark> &lt;i&gt;here&lt;/i&gt;" in page
    assert "<i>here</i>" not in page
    assert "<b>x</b>" not in page
