"""DirectProbe's workloads: wall and CPU time, peak memory, work done, and the ratio to a baseline of the same run.

    python tests/benchmarks/bench_direct_probe.py [W1 W2 W3 R W4 predict] [--jobs 2] [--no-baseline] [--prove]

Each measurement is a process of its own, so that peak memory is its own. Vectors are made once and kept in
.cache/bench, where results.json and growth.png are written too. A workload whose answer is not the known one fails.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

import bench_spaces
import numpy as np
from bench_spaces import CACHE

GOALS = {
    "W1": "wall < 3 s, < 0.5 GB",
    "W2": "wall < 60 s, < 2 GB",
    "W3": "wall < 4 s",
    "R": "wall < 1 s",
    "predict": "wall < 10 s",
}
TASKS = {"W1": "ps_role", "W2": "pos", "W3": "trec50"}
#: True distances of POS by two other methods (shared reference, 4 to 6 digits).
POS_DISTANCES = {
    ("NOUN", "VERB"): 0.033672, ("ADJ", "ADV"): 0.066097, ("ADJ", "VERB"): 0.063336,
    ("AUX", "VERB"): 0.144690, ("DET", "NOUN"): 0.393535, ("ADP", "PUNCT"): 0.360559,
}  # fmt: skip
GROWTH = {
    "n": [1000, 2000, 4000, 8000, 16000],  # linear up to 8,000: the last step is that to a space that is not
    "overlapping": [350, 700, 1400, 2800, 5600],
    "d": [64, 128, 256, 384, 768],
    "labels": [2, 5, 10, 25, 50],
}


def load(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Points and labels of a workload."""
    if name == "R":
        reference = bench_spaces.reference()
        return reference["X"], reference["y"]
    if name in TASKS:
        made = bench_spaces.space(TASKS[name])
        return made.last, made.y
    axis, value = name.split("=")
    return _grown(axis, int(value))


def _grown(axis: str, value: int) -> tuple[np.ndarray, np.ndarray]:
    """A point of the growth plot.

    n examples of POS; as many of its labels that meet, in 64 features, which are never linear; d features of POS; the
    largest labels of TREC.
    """
    made = bench_spaces.space("trec50" if axis == "labels" else "pos")
    rng = np.random.default_rng(0)
    if axis == "labels":
        names, counts = np.unique(made.y, return_counts=True)
        rows = np.flatnonzero(np.isin(made.y, names[np.argsort(-counts, kind="stable")[:value]]))
        return made.last[rows], made.y[rows]
    if axis == "overlapping":
        meeting = np.flatnonzero(np.isin(made.y, ["NOUN", "ADJ", "PROPN"]))
        rows = np.sort(rng.permutation(meeting)[:value])
        return made.last[rows, :64], made.y[rows]
    rows = np.sort(rng.permutation(len(made.y))[: value if axis == "n" else 4000])
    X = made.last if axis == "n" else np.hstack([made.last, made.middle])[:, :value]
    return X[rows], made.y[rows]


def run_probe(name: str, jobs: int) -> dict[str, Any]:
    """Fit, measure all distances, check the answer."""
    from closerlook.probing import DirectProbe

    X, y = load(name)
    started = time.perf_counter()
    _warm_up()
    loaded = time.perf_counter() - started
    measured, probe = _timed(lambda: _fit(DirectProbe(n_jobs=jobs), X, y))
    _check(name, probe)
    counts = probe.solve_counts_
    n_verified = sum(probe.certificates_.verify(pair) for pair in probe.certificates_)
    return measured | {
        "n": len(X),
        "d": X.shape[1],
        "labels": len(probe.classes_),
        "clusters": probe.n_clusters_,
        "exact_solves": counts.exact_solves,
        "cheap_verdicts": counts.cheap_verdicts,
        "refusals": counts.refusals,
        "contradictions": len(probe.contradictions_),
        "certificates_verified": f"{n_verified}/{len(probe.certificates_)}",
        "load_compiled_s": round(loaded, 2),
    }


def _warm_up() -> None:
    """Load the compiled code (or compile it, the first time): not part of a workload."""
    from closerlook.probing import DirectProbe

    X = np.random.default_rng(0).normal(size=(40, 3))
    probe = DirectProbe().fit(X, np.arange(40) % 3)
    probe.predict(X[:2])


def _fit(probe: Any, X: np.ndarray, y: np.ndarray) -> Any:
    probe.fit(X, y)
    _ = probe.label_distances_
    return probe


def _timed(work: Callable[[], Any]) -> tuple[dict[str, Any], Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"wall_s": round(wall, 3), "cpu_s": round(cpu, 3), "peak_gb": round(peak, 3)}, result


def _check(name: str, probe: Any) -> None:
    """Fail if the answer is not the known one."""
    if name == "W1":
        assert probe.is_linear_
        assert probe.n_clusters_ == 46
    if name == "W2":
        at = {str(label): k for k, label in enumerate(probe.classes_)}
        for (a, b), true in POS_DISTANCES.items():
            if (probe.cluster_labels_ == a).sum() == (probe.cluster_labels_ == b).sum() == 1:
                assert abs(probe.label_distances_[at[a], at[b]] - true) < 1e-4 * true
        assert not probe.is_linear_
    if name == "W3":
        assert len(probe.contradictions_) == 1
        assert not probe.is_linear_
    if name == "R":
        clusters = bench_spaces.reference()["clusters"]
        assert len(set(zip(probe.labels_.tolist(), clusters.tolist(), strict=True))) == probe.n_clusters_ == 41


def run_predict(jobs: int) -> dict[str, Any]:
    """500 TREC test questions against the hulls of the training questions."""
    from closerlook.probing import DirectProbe

    train, test = bench_spaces.space("trec50"), bench_spaces.space("trec50", "test")
    _warm_up()
    probe = DirectProbe(n_jobs=jobs).fit(train.last, train.y)
    measured, score = _timed(lambda: probe.score(test.last, test.y))
    return measured | {"n": len(test.y), "clusters": probe.n_clusters_, "accuracy": round(score, 4)}


def run_proof(name: str) -> dict[str, Any]:
    """Prove the clusters of a workload by their certificates and an independent replay of the order."""
    sys.path.insert(0, str(bench_spaces.PROJECT / "tests" / "unit" / "probing"))
    from hull_oracles import prove_partition

    from closerlook.probing import DirectProbe

    X, y = load(name)
    return {"refusals_proved": prove_partition(X, y, DirectProbe(n_jobs=-1).fit(X, y))}


def run_svc(name: str) -> dict[str, Any]:
    """All pairs of labels that can be separated by scikit-learn's hard-margin SVC, one thread."""
    from itertools import combinations

    from sklearn.svm import SVC

    from closerlook.probing import hull_distance

    X, y = load(name)
    X = X.astype(np.float64)
    X -= X.mean(axis=0)
    pairs = []
    for a, b in combinations(np.unique(y), 2):
        A, B = X[y == a], X[y == b]
        if hull_distance(A, B).disjoint:
            pairs.append((np.vstack([A, B]), np.repeat([0, 1], [len(A), len(B)])))

    def fit_all() -> None:
        for points, side in pairs:
            SVC(kernel="linear", C=1e9, tol=1e-5, max_iter=-1).fit(points, side)

    measured, _ = _timed(fit_all)
    return measured | {"pairs": len(pairs)}


def run_linkage(name: str) -> dict[str, Any]:
    """Scipy's centroid linkage of each label, one thread: it only orders the merges, and checks none."""
    from scipy.cluster.hierarchy import linkage

    X, y = load(name)

    def link_all() -> None:
        for label in np.unique(y):
            if (y == label).sum() > 1:
                linkage(X[y == label].astype(np.float64), "centroid")

    return _timed(link_all)[0]


def child(kind: str, name: str, jobs: int) -> dict[str, Any]:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, "--child", kind, name, "--jobs", str(jobs)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{kind} {name} failed; its message is above.")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def run_child(kind: str, name: str, jobs: int) -> dict[str, Any]:
    """What a child process measures."""
    if kind == "make":
        bench_spaces.space(*name.split("/"))
        return {}
    if kind == "predict":
        return run_predict(jobs)
    if kind == "probe":
        return run_probe(name, jobs)
    return {"svc": run_svc, "linkage": run_linkage, "prove": run_proof}[kind](name)


def growth(jobs: int, baseline: bool) -> dict[str, dict[str, Any]]:
    """Time against n, d and the number of labels, with exponents of the upper half of each curve."""
    results = {}
    for axis, values in GROWTH.items():
        for value in values:
            name = f"{axis}={value}"
            results[name] = child("probe", name, jobs)
            if baseline:
                results[name]["scipy_linkage_cpu_s"] = child("linkage", name, jobs)["cpu_s"]
            show(name, results[name])
    for axis, exponent in plot_growth(results).items():
        print(f"W4 exponent of CPU time in {axis}: {exponent:.2f}", flush=True)
    return results


def plot_growth(results: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Draw growth.png; return the exponents fitted to the last three points."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(GROWTH), figsize=(17, 4), sharey=True)
    exponents = {}
    for (axis, values), ax in zip(GROWTH.items(), axes, strict=True):
        for key, style in (("cpu_s", "o-"), ("wall_s", "s--"), ("scipy_linkage_cpu_s", "^:")):
            times = [results[f"{axis}={v}"].get(key, np.nan) for v in values]
            ax.loglog(values, times, style, label=key)
        cpu = [results[f"{axis}={v}"]["cpu_s"] for v in values]
        exponents[axis] = float(np.polyfit(np.log(values[-3:]), np.log(cpu[-3:]), 1)[0])
        ax.set(xlabel=axis, title=f"exponent {exponents[axis]:.2f} (last three)")
        ax.grid(visible=True, which="both", alpha=0.3)
    axes[0].set_ylabel("seconds")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(CACHE / "growth.png", dpi=120)
    return exponents


def show(name: str, result: dict[str, Any]) -> None:
    """Print one line."""
    print(f"{name:<18}" + "  ".join(f"{key} {value}" for key, value in result.items()), flush=True)


def main() -> None:
    """Run the workloads asked for and write results.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", default=["W1", "W3", "R", "predict", "W2", "W4"])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--no-baseline", action="store_true")
    parser.add_argument("--prove", action="store_true", help="prove the clusters of W1-W3 and R by a replay")
    parser.add_argument("--child", nargs=2, metavar=("KIND", "NAME"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(run_child(*options.child, options.jobs)))
        return
    for made in ("ps_role/train", "trec50/train", "trec50/test", "pos/train"):
        child("make", made, options.jobs)
    results: dict[str, Any] = {}
    for name in options.workloads:
        if name == "W4":
            results |= growth(options.jobs, not options.no_baseline)
            continue
        results[name] = child("predict" if name == "predict" else "probe", name, options.jobs)
        if not options.no_baseline and name in TASKS:
            svc = child("svc", name, options.jobs)
            results[name] |= {
                "svc_cpu_s": svc["cpu_s"],
                "svc_over_ours": round(svc["cpu_s"] / results[name]["cpu_s"], 1),
            }
        if options.prove and name != "predict":
            results[name] |= child("prove", name, options.jobs)
        show(name, results[name] | {"goal": GOALS[name]})
    (CACHE / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
