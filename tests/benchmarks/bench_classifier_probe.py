"""The batched grid against joblib over scikit-learn: PS-role, last layer of MiniLM-L6, one run.

    python tests/benchmarks/bench_classifier_probe.py [--search full halving:3:8] [--dtypes float32 float64]

scikit-learn is measured on one random L2 weight for each of the 16 sizes and multiplied by 8 (fits of one
size cost about the same whatever the weight); its five final fits are measured in full, at the setting
that the batched grid selected. Both sides train on the same 80 % of the training set, score the same held-out
20 %, and use the same seeds. CPU seconds (user + system) stand beside the wall clock, for busy machines.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from bench_classifier_vectors import CACHE, load
from joblib import Parallel, delayed

from closerlook.probing.mlp_grid import PAPER_ALPHAS, PAPER_UNITS, heldout_split, mlp_grid
from closerlook.probing.mlp_result import MLPGridResult
from closerlook.probing.mlp_settings import Halving, MLPTraining

Task = dict[str, np.ndarray]


def timed(function: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return the result, wall seconds and CPU seconds of this process."""
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    out = function()
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return out, time.perf_counter() - wall, cpu


def fit_one(size: tuple[int, int], alpha: float, seed: int, data: Task) -> tuple[float, float, int]:
    """Fit one MLPClassifier in a worker: accuracy on data["X_eval"], its CPU seconds, its epochs."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits

    start = time.process_time()
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = MLPClassifier(size, alpha=alpha, max_iter=1000, random_state=seed).fit(data["X"], data["y"])
    return model.score(data["X_eval"], data["y_eval"]), time.process_time() - start, model.n_iter_


def scikit_learn(jobs: list[tuple[tuple[int, int], float, int]], data: Task, n_jobs: int) -> dict[str, Any]:
    """Run the fits through joblib and return accuracies, wall seconds and CPU seconds."""
    start = time.perf_counter()
    fits = Parallel(n_jobs=n_jobs)(delayed(fit_one)(*job, data) for job in jobs)
    wall = time.perf_counter() - start
    return {
        "accuracy": [f[0] for f in fits],
        "wall": wall,
        "cpu": sum(f[1] for f in fits),
        "n_iter": [f[2] for f in fits],
    }


def row(name: str, wall: float, cpu: float, result: MLPGridResult) -> dict[str, Any]:
    """One line of the report for a batched grid."""
    best = result.best
    return {
        "what": name,
        "wall_s": round(wall, 1),
        "cpu_s": round(cpu, 1),
        "hidden": best.hidden,
        "alpha": best.alpha,
        "accuracy": round(best.accuracy, 4),
        "std": round(best.accuracy_std, 4),
        "heldout": round(result.heldout_accuracy, 4),
        "epochs": sum(cell.n_iter for cell in result.cells),
    }


def compare(dtype: str, result: MLPGridResult, train: Task, test: Task, n_jobs: int) -> dict[str, Any]:
    """Time scikit-learn on 16 cells and the final fits; set its accuracies against the batched ones."""
    sizes = [(a, b) for a in PAPER_UNITS for b in PAPER_UNITS]
    alphas = np.random.default_rng(0).choice(PAPER_ALPHAS, size=len(sizes))
    kept, held = heldout_split(np.unique(train["y"], return_inverse=True)[1], 0.2, 0)
    X = train["X"].astype(dtype)
    inner = {"X": X[kept], "y": train["y"][kept], "X_eval": X[held], "y_eval": train["y"][held]}
    outer = {"X": X, "y": train["y"], "X_eval": test["X"].astype(dtype), "y_eval": test["y"]}
    Parallel(n_jobs=n_jobs)(delayed(time.sleep)(0.1) for _ in range(n_jobs))  # start the workers before the clock
    cells = scikit_learn([(size, float(alpha), 0) for size, alpha in zip(sizes, alphas, strict=True)], inner, n_jobs)
    final = scikit_learn([(result.best.hidden, result.best.alpha, seed) for seed in range(5)], outer, n_jobs)
    ours = {(cell.hidden, cell.alpha): cell for cell in result.cells}
    pairs = [ours[size, float(alpha)] for size, alpha in zip(sizes, alphas, strict=True)]
    # A cell that halving dropped was scored half-trained: only finished cells can be compared.
    both = zip(cells["accuracy"], pairs, strict=True)
    gaps = np.array([theirs - cell.heldout_accuracy for theirs, cell in both if cell.status != "dropped"] or [np.nan])
    return {
        "what": f"scikit-learn {dtype}",
        "wall_s_extrapolated": round(8 * cells["wall"] + final["wall"], 1),
        "cpu_s_extrapolated": round(8 * cells["cpu"] + final["cpu"], 1),
        "final_accuracy": round(float(np.mean(final["accuracy"])), 4),
        "final_std": round(float(np.std(final["accuracy"], ddof=1)), 4),
        "heldout_gap_mean": round(float(gaps.mean()), 4),
        "heldout_gap_std": round(float(gaps.std()), 4),
        "n_iter": cells["n_iter"],
        "n_iter_batched": [cell.n_iter for cell in pairs],
    }


def main() -> None:
    """Run both sides and print one JSON object a line; the last lines are the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--search",
        nargs="+",
        default=["halving:3:8", "halving:4:5", "full"],
        help="full, or halving:FACTOR:MIN_EPOCHS",
    )
    parser.add_argument("--dtypes", nargs="+", default=["float32", "float64"], choices=["float32", "float64"])
    parser.add_argument("--n-jobs", type=int, default=2)
    args = parser.parse_args()
    train, test = load("ps_role", "train"), load("ps_role", "test")
    arrays = (train["X"], train["y"], test["X"], test["y"])
    training = MLPTraining(n_jobs=args.n_jobs)
    lines: list[dict[str, Any]] = [{"machine": platform.processor() or platform.machine(), "n_jobs": args.n_jobs}]
    print(json.dumps(lines[0]), flush=True)

    def report(line: dict[str, Any]) -> None:
        lines.append(line)
        print(json.dumps(line), flush=True)

    results: dict[str, MLPGridResult] = {}
    for search in args.search:
        halving = None if search == "full" else Halving(*(int(part) for part in search.split(":")[1:]))
        results[search], wall, cpu = timed(lambda h=halving: mlp_grid(*arrays, halving=h, training=training))
        report(row(f"batched {search}", wall, cpu, results[search]))
    reference = results.get("full", results[args.search[0]])
    for dtype in args.dtypes:
        report(compare(dtype, reference, train, test, args.n_jobs))
    for theirs in [line for line in lines if "wall_s_extrapolated" in line]:
        for ours in [line for line in lines if "wall_s" in line]:
            wall, cpu = theirs["wall_s_extrapolated"] / ours["wall_s"], theirs["cpu_s_extrapolated"] / ours["cpu_s"]
            report({"ratio": f"{theirs['what']} / {ours['what']}", "wall": round(wall, 1), "cpu": round(cpu, 1)})
    (CACHE / "classifier_probe.json").write_text(json.dumps(lines, indent=1))


if __name__ == "__main__":
    main()
