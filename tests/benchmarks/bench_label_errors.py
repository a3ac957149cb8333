"""Suspected label errors: wrong labels are planted, and rankings are compared by how many they put among the first.

    python tests/benchmarks/bench_label_errors.py RUN_DIR [--seeds 0 1 2] [--wrong 20]
    python tests/benchmarks/bench_label_errors.py RUN_DIR --clean CLEAN_RUN_DIR

First form: labels are planted into the vectors that a run stored before tuning (step 0 does not know labels).
Second form: RUN_DIR was trained on data with wrong labels, CLEAN_RUN_DIR on the same texts with the right ones.
Printed: how many of the planted are among the first 20, 40 and 60; the CPU time of all readings.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from closerlook.probes.witnesses import Space, find_witnesses
from closerlook.probing import DirectProbe
from closerlook.probing.held_out import Readings, read_held_out
from closerlook.representations.reader import SnapshotReader

FIRST = (20, 40, 60)


def planted(y: np.ndarray, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels with ``n`` wrong ones, each drawn evenly from the others, and which they are."""
    rng = np.random.default_rng(seed)
    rows, names, noisy = rng.choice(len(y), n, replace=False), np.unique(y), y.copy()
    for row in rows:
        noisy[row] = rng.choice(names[names != y[row]])
    return noisy, rows


def changed(reader: SnapshotReader, clean: SnapshotReader) -> np.ndarray:
    """The examples whose label differs from the one that the same text has in another run."""
    right = clean.examples("train").drop_duplicates("form").set_index("form")["label"]
    mine = reader.examples("train")
    return np.flatnonzero(mine["label"].to_numpy() != right.reindex(mine["form"]).to_numpy())


def probabilities(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, Readings]:
    """Out-of-fold probabilities of all labels with the L2 weight that the readings chose, for cleanlab."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    readings, _ = read_held_out(X, y)
    weight = float(readings.setting.split(",")[0].removeprefix("C = "))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=weight, max_iter=300, tol=1e-3))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return cross_val_predict(model, X.astype(np.float32), y, cv=folds, method="predict_proba"), readings


def rankings(spaces: dict[tuple[int, int], np.ndarray], y: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Scores by name, the most doubted label lowest.

    Args:
        spaces: Vectors by (step, layer).
        y: Labels, the wrong ones among them.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_ensemble_scores, get_label_quality_scores

    start = time.process_time()
    found = {place: read_held_out(X, y)[0] for place, X in spaces.items()}
    print(f"  {len(spaces)} readings of {len(y):,} examples: {time.process_time() - start:.1f} s CPU")
    last, step0 = max(spaces), min(step for step, _ in spaces)
    mean = {place: one.log_odds for place, one in found.items()}
    yield "ours: mean log odds, all layers and snapshots", np.nanmean(list(mean.values()), axis=0)
    if len({step for step, _ in spaces}) > 1:
        yield "ours, before tuning only", np.nanmean([v for (s, _), v in mean.items() if s == step0], axis=0)
    yield "plain probe loss, last layer and snapshot", found[last].own
    X = spaces[last]
    P, _ = probabilities(X, y)
    codes = np.unique(y, return_inverse=True)[1]
    rows = np.arange(len(y))
    yield "the same with scikit-learn's cross_val_predict", P[rows, codes]
    for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy"):
        yield f"cleanlab {method}", get_label_quality_scores(codes, P, method=method)
    issues = find_label_issues(codes, P, return_indices_ranked_by="self_confidence")
    ranked = np.full(len(y), np.inf)
    ranked[issues] = np.arange(len(issues))
    yield f"cleanlab find_label_issues ({len(issues)})", ranked
    every = [probabilities(one, y)[0] for (step, _), one in spaces.items() if step == last[0]]
    yield (
        "cleanlab ensemble over the layers of the last snapshot",
        get_label_quality_ensemble_scores(codes, every, verbose=False),
    )
    load = np.zeros(len(y))
    probe = DirectProbe().fit(X, y)
    for pair in find_witnesses(Space(X, y, ""), probe):
        load[pair.rows] += pair.weights
    yield "witness weight only, last layer and snapshot", -load
    sizes = np.bincount(probe.labels_)[probe.labels_]
    yield "small clusters, then witness weight", sizes * 1e6 - load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--clean", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--wrong", type=int, default=20)
    options = parser.parse_args()
    reader = SnapshotReader(options.run_dir / "snapshots")
    y, lines = reader.labels("train"), []
    cases = [planted(y, options.wrong, seed) for seed in options.seeds]
    steps: tuple[int, ...] = (0,)
    if options.clean:
        cases = [(y, changed(reader, SnapshotReader(options.clean / "snapshots")))]
        steps = reader.steps
    spaces = {
        (step, layer): np.asarray(reader.vectors(step, "train", layer), dtype=np.float64)
        for step in steps
        for layer in reader.layers
        if layer > 0
    }
    for case, (labels, wrong) in enumerate(cases):
        for name, score in rankings(spaces, labels):
            first = np.argsort(np.where(np.isnan(score), np.inf, score), kind="stable")
            among = [int(np.isin(first[:k], wrong).sum()) for k in FIRST]
            lines.append([name, case, *among, len(wrong)])
    table = pd.DataFrame(lines, columns=["ranking", "case", *(f"first {k}" for k in FIRST), "of"])
    print(
        table.pivot_table(
            index="ranking", columns="case", values=["first 40", "first 20", "first 60"], sort=False
        ).to_string()
    )
    print(table.groupby("ranking", sort=False)[[f"first {k}" for k in FIRST] + ["of"]].mean().to_string())


if __name__ == "__main__":
    main()
