"""The random-encoder baseline: the same probe on the vectors of an untrained encoder of the same architecture.

What it reaches is owed to word identity, to the tokenizer and to the probe, not to pre-training or tuning
(Conneau et al. 2018, 1805.01070; Zhang & Bowman 2018, 1809.10040).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from closerlook import measures as m
from closerlook.data.task_settings import TaskSettings
from closerlook.pipelines.spaces import build_space, store_examples, store_space
from closerlook.probes.runner import run_probes
from closerlook.probes.space_probe import Scope, SpaceProbe
from closerlook.representations.format import SnapshotError
from closerlook.representations.reader import SnapshotReader
from closerlook.results.rows import ResultRow
from closerlook.results.run import RESULTS_FOLDER, SNAPSHOTS_FOLDER, RunError, RunInfo, load_config
from closerlook.results.store import Cell, CellKey, ResultStore

log = logging.getLogger(__name__)

FOLDER = "random_encoder"
CLASSIFIERS = ("linear", "mlp", "mlp_grid")


def random_encoder_baseline(
    run_dir: Path, probes: Sequence[SpaceProbe], scope: Scope, store: ResultStore, *, n_jobs: int | None = None
) -> int:
    """Run the classifier probes on an untrained encoder's space of the run's own examples.

    The vectors are stored once, below ``<run>/random_encoder``; the accuracies go into ``store`` beside the others.

    Args:
        run_dir: A run of train.py.
        probes: Probes; those that are no classifiers are left out.
        scope: Layers to look at.
        store: The run's results.
        n_jobs: Processes.

    Returns:
        How many accuracies were added or were there already.

    Raises:
        RunError: The run has no configuration, so its encoder cannot be rebuilt.
    """
    classifiers = [probe for probe in probes if probe.name in CLASSIFIERS]
    if not classifiers:
        return 0
    folder = run_dir / FOLDER
    root = folder / SNAPSHOTS_FOLDER
    _store_vectors(run_dir, root)
    own = ResultStore(folder / RESULTS_FOLDER)
    outcome = run_probes(root, classifiers, Scope((0,), scope.layers, ("train", "test")), own, n_jobs=n_jobs)
    for failed in outcome.failed:
        log.warning("random-encoder baseline: layer %d failed: %s", failed.key.layer, failed.error)
    cells = [cell for cell in own.cells() if cell.key in set(outcome.wanted) and cell.key.probe in CLASSIFIERS]
    for cell in cells:
        baseline = _baseline(cell)
        if baseline.key not in store:
            store.add(baseline)
    return len(cells)


def _baseline(cell: Cell) -> Cell:
    accuracy = next(row for row in cell.rows if row.measure == m.ACCURACY)
    key = CellKey(f"{cell.key.probe}_random_encoder", cell.key.layer, "test", 0, cell.key.digest)
    row = ResultRow(
        cell.key.probe, m.RANDOM_ENCODER_ACCURACY, 0, 0.0, cell.key.layer, "test", value=accuracy.value,
        low=accuracy.low, high=accuracy.high, n=accuracy.n, control=accuracy.control,
        note="untrained encoder of the same architecture; control: majority",
    )  # fmt: skip
    return Cell(key, cell.seconds, (row,))


def _store_vectors(run_dir: Path, root: Path) -> None:
    try:
        SnapshotReader(root)
        return
    except SnapshotError:
        pass
    info, config = RunInfo.load(run_dir), load_config(run_dir)
    if not config:
        raise RunError(f"{run_dir} has no configuration, so its encoder cannot be rebuilt. Train it again")
    log.info("storing the space of an untrained encoder, once")
    untrained = config | {"model": config["model"] | {"random_init": True}}
    encoder, data, _ = build_space(untrained, TaskSettings(**config["task"]), info.seed, None)
    settings = config["snapshot"]
    subsets = store_examples(root, data, settings)
    store_space(root, 0, 0.0, encoder, data, subsets, settings)
