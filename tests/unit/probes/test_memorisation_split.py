"""The subtest part of the training set is fixed, stratified, and never a whole label."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from closerlook.probes.classifier import LinearClassifierAnalysis
from closerlook.probes.memorisation import MemorisationAnalysis, subtest_mask
from closerlook.probes.space_probe import Scope
from closerlook.representations.reader import SnapshotReader
from closerlook.representations.writer import SnapshotWriter, publish, write_examples
from closerlook.results.hits import decode_hits

Y = np.array(["a"] * 50 + ["b"] * 10 + ["c"] * 2 + ["d"])
IDS = [f"text-{i}" for i in range(len(Y))]


def test_a_fifth_of_each_label_is_held_out() -> None:
    mask = subtest_mask(IDS, Y.tolist())
    assert [int(mask[label == Y].sum()) for label in "abcd"] == [10, 2, 0, 0]
    half = subtest_mask(IDS, Y.tolist(), share=0.9)
    assert [int(half[label == Y].sum()) for label in "abcd"] == [45, 9, 1, 0]  # no label goes there whole


def test_the_same_examples_are_held_out_in_any_order() -> None:
    order = np.random.default_rng(0).permutation(len(Y))
    held = {IDS[i] for i in np.flatnonzero(subtest_mask(IDS, Y.tolist()))}
    shuffled = subtest_mask([IDS[i] for i in order], Y[order].tolist())
    assert {IDS[order[i]] for i in np.flatnonzero(shuffled)} == held
    other = {IDS[i] for i in np.flatnonzero(subtest_mask(IDS, Y.tolist(), seed=1))}
    assert other != held


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 80.0])
def test_share_out_of_range_is_an_error(share: float) -> None:
    with pytest.raises(ValueError, match=rf"subtest share is {share}, expected a share in \(0, 1\)"):
        subtest_mask(IDS, Y.tolist(), share=share)


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="got 63 example ids and 62 labels"):
        subtest_mask(IDS, Y[:-1].tolist())


N = {"train": 150, "test": 60}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> SnapshotReader:
    """One snapshot of three labels that overlap; the test set has a fourth that training lacks."""
    pytest.importorskip("torch")
    root = tmp_path_factory.mktemp("snapshots")
    rng = np.random.default_rng(0)
    writer = SnapshotWriter(
        root, 0, layers=(0,), dtype="float32", rows={s: range(n) for s, n in N.items()}, n_features=dict.fromkeys(N, 5)
    )
    for split, n in N.items():
        y = np.arange(n) % 3
        names = np.array(["a", "b", "c"])[y]
        names[:3] = ["d", "d", "d"] if split == "test" else names[:3]
        ids = [f"{split}{i}" for i in range(n)]
        write_examples(root, split, pd.DataFrame({"example_id": ids, "text_id": ids, "label": names, "form": ids}))
        writer.write(
            split, np.arange(n), {0: (np.eye(3, 5)[y] + rng.normal(scale=0.45, size=(n, 5))).astype("float32")}
        )
    writer.close()
    publish(root, 0, epoch=0.0, layers=(0,), dtype="float32", n_features=dict.fromkeys(N, 5), n_examples=dict(N))
    return SnapshotReader(root)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_perceptron_answers_as_scikit_learns_does(reader: SnapshotReader) -> None:
    """An oracle of another kind: scikit-learn's fits one by one, on the part that the probe is given."""
    probe = MemorisationAnalysis(classifier="mlp", hidden=(16, 8), n_seeds=3, max_iter=200)
    scope = Scope((0,), (0,), ("train", "test"))
    (cell,) = probe.cells(reader, scope)
    rows = {row.measure: row for row in probe.compute(reader, cell, scope)}
    X, y = np.asarray(reader.vectors(0, "train", 0)), reader.labels("train")
    held = subtest_mask(reader.examples("train")["example_id"].tolist(), y.tolist())
    scores = []
    for seed in range(3):
        model = MLPClassifier((16, 8), alpha=1e-4, random_state=seed, max_iter=200).fit(X[~held], y[~held])
        scores.append((model.score(X[held], y[held]), model.score(reader.vectors(0, "test", 0), reader.labels("test"))))
    seen, unseen = np.mean(scores, axis=0)
    assert 0.6 < unseen < 0.95
    # float32 against float64: an example on the border may fall on the other side
    assert rows["subtest_accuracy"].value == pytest.approx(seen, abs=1 / held.sum())
    assert rows["unseen_accuracy"].value == pytest.approx(unseen, abs=1 / N["test"])
    gap = rows["memorisation_gap"]
    assert gap.value == pytest.approx(rows["subtest_accuracy"].value - rows["unseen_accuracy"].value)
    assert gap.low < gap.value < gap.high
    settings = "perceptron (16, 8), alpha 0.0001, mean of 3 initialisations"
    assert gap.note == f"{settings}; 3 not converged after 200 epochs"


def test_hits_are_the_examples_that_scikit_learn_answers_right(reader: SnapshotReader) -> None:
    scope = Scope((0,), (0,), ("train", "test"))
    rows = {}
    for probe in (LinearClassifierAnalysis(C=1.0), MemorisationAnalysis(C=1.0)):
        (cell,) = probe.cells(reader, scope)
        rows |= {row.measure: row for row in probe.compute(reader, cell, scope) if "hits" in row.measure}
    X, y = np.asarray(reader.vectors(0, "train", 0)), reader.labels("train")
    X_test, y_test = np.asarray(reader.vectors(0, "test", 0)), reader.labels("test")
    held = subtest_mask(reader.examples("train")["example_id"].tolist(), y.tolist())
    whole, part = (
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(X[kept], y[kept])
        for kept in (np.ones(len(y), dtype=bool), ~held)
    )
    for name, right in {
        "test_hits": whole.predict(X_test) == y_test,
        "subtest_hits": part.predict(X[held]) == y[held],
        "unseen_hits": part.predict(X_test) == y_test,
    }.items():
        assert (decode_hits(rows[name].note).shares != right).sum() <= 1, name  # float32: one on the border
        assert 0.5 < right.mean() < 1
    assert rows["subtest_hits"].place.split == "train"
    same_examples = {decode_hits(rows[name].note).examples for name in ("test_hits", "unseen_hits")}
    assert len(same_examples) == 1


def test_both_classifiers_have_cells_of_their_own(reader: SnapshotReader) -> None:
    scope = Scope((0,), (0,), ("train", "test"))
    keys = {MemorisationAnalysis(classifier=name).cells(reader, scope)[0].digest for name in ("linear", "mlp")}
    assert len(keys) == 2
    with pytest.raises(ValueError, match=r"memorisation.classifier: got forest, expected linear or mlp"):
        MemorisationAnalysis(classifier="forest")
