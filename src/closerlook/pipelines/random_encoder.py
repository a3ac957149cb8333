"""The random-encoder baseline: the same probe on the vectors of an untrained encoder of the same architecture.

What it reaches is owed to word identity, to the tokenizer and to the probe, not to pre-training or tuning
(Conneau et al. 2018, 1805.01070; Zhang & Bowman 2018, 1809.10040).
"""

from __future__ import annotations

import logging

from closerlook import measures as m
from closerlook.config import ProbeConfig
from closerlook.data.task_settings import TaskSettings
from closerlook.data.tasks import load_corpus
from closerlook.locks import locked
from closerlook.models.encoder_settings import SnapshotSettings
from closerlook.pipelines.spaces import Moment, build_space, store_examples, store_space
from closerlook.probes.runner import plan_cells, run_probes
from closerlook.probes.space_probe import Scope, SpaceProbe
from closerlook.representations.format import SnapshotError
from closerlook.representations.reader import SnapshotReader
from closerlook.results.rows import ResultRow
from closerlook.results.run import RunError
from closerlook.results.run_dir import RunDir
from closerlook.results.store import RANDOM_ENCODER, Cell, CellKey, ResultStore

log = logging.getLogger(__name__)

CLASSIFIERS = ("linear", "mlp", "mlp_grid")


def random_encoder_baseline(
    run: RunDir, probe: SpaceProbe, scope: Scope, store: ResultStore, config: ProbeConfig
) -> None:
    """Run a classifier probe on an untrained encoder's space of the run's own examples; other probes have no baseline.

    The vectors are stored once, below ``<run>/random_encoder``; the accuracies go into ``store`` beside the others.

    Args:
        run: A run of train.py.
        probe: The probe.
        scope: Layers to look at.
        store: The run's results.
        config: Settings of probe.py.

    Raises:
        RunError: The run has no configuration, so its encoder cannot be rebuilt.
    """
    if probe.name not in CLASSIFIERS:
        return
    reader = _untrained_space(run, trust_remote_code=config.trust_remote_code)
    own = run.random_encoder.store()
    work = plan_cells(reader, [probe], Scope((0,), scope.layers, ("train", "test")))
    outcome = run_probes(reader, work, own, n_jobs=config.n_jobs)
    for failed in outcome.failed:
        log.warning("random-encoder baseline: layer %d failed: %s", failed.key.place.layer, failed.error)
    wanted = {one.key for one in work}
    for cell in own.cells():
        baseline = _baseline(cell) if cell.key in wanted else None
        if baseline is not None and baseline.key not in store:
            store.add(baseline)


def _baseline(cell: Cell) -> Cell:
    accuracy = cell.rows(m.ACCURACY)[0]
    row = ResultRow(
        cell.key.place,
        0.0,
        m.RANDOM_ENCODER_ACCURACY,
        value=accuracy.value,
        low=accuracy.low,
        high=accuracy.high,
        n=accuracy.n,
        control=accuracy.control,
        note="untrained encoder of the same architecture; control: majority",
    )
    place = cell.key.place._replace(probe=f"{cell.key.place.probe}{RANDOM_ENCODER}")
    return Cell.of(CellKey(place, cell.key.digest), cell.seconds, [row])


def _untrained_space(run: RunDir, *, trust_remote_code: bool) -> SnapshotReader:
    """The stored vectors of an untrained encoder; stored now if there are none."""
    root = run.random_encoder.snapshots
    with locked(run.random_encoder.lock_file):
        try:
            return SnapshotReader(root)
        except SnapshotError:
            pass
        info, config = run.info(), run.config()
        if not config:
            raise RunError(f"{run.root} has no configuration, so its encoder cannot be rebuilt. Train it again")
        log.info("storing the space of an untrained encoder, once")
        task = TaskSettings(**config["task"])
        corpus = load_corpus(task)
        if dict(corpus.checksums) != info.checksums:
            raise RunError(
                f"the data of {info.task} are not those that {run.root} was trained on: got {dict(corpus.checksums)}, "
                f"expected {info.checksums}. Put the old files back, or train the run again"
            )
        encoder, data = build_space(config, info, task, corpus, untrained=True, trust_remote_code=trust_remote_code)
        settings = SnapshotSettings(**config["snapshot"])
        store_space(root, Moment(0, 0.0), encoder, store_examples(root, data, settings), settings)
    return SnapshotReader(root)
