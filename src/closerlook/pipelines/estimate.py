"""What a job takes before it starts: updates, time, disk and probe time, measured on a few batches of its own data."""

from __future__ import annotations

import logging
import math
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from closerlook.callbacks.planned_length import PlannedLength
from closerlook.callbacks.stopwatch import Stopwatch
from closerlook.config import TrainConfig, config_dir
from closerlook.data.datamodule import CorpusDataModule
from closerlook.models.encoder import PooledEncoder
from closerlook.models.encoder_settings import SnapshotSettings
from closerlook.models.finetuning_module import FineTuningModule
from closerlook.models.method_settings import MethodSettings
from closerlook.models.stored_space import (
    Moment,
    choose_examples,
    choose_layers,
    extract,
    store_examples,
    store_space,
)
from closerlook.pipelines.fine_tune import prepare, with_length
from closerlook.pipelines.fit import n_processes
from closerlook.pipelines.instances import make
from closerlook.probes.runner import plan_cells, run_probes
from closerlook.probes.space_probe import Scope
from closerlook.representations.reader import SnapshotReader
from closerlook.results.run import RunInfo
from closerlook.results.store import ResultStore

_TRAIN_LIMIT_S, _FORWARD_LIMIT_S = 20.0, 10.0
_N_BATCHES = 24
_PROBE_SIZES = (400, 1200)
PROBES = ("direct", "centroids", "linear")
"""The probes of probe.py when none are named."""


@dataclass(frozen=True)
class ProbeEstimate:
    """What one probe takes over all snapshots.

    Attributes:
        name: The probe.
        n_cells: Its cells: layers x splits x snapshots, or as it cuts its work.
        seconds: Seconds on one core.
    """

    name: str
    n_cells: int
    seconds: float


@dataclass(frozen=True)
class Estimate:
    """What a job takes.

    Attributes:
        info: What the job is.
        device: What the batches were measured on.
        n_examples: By split that is stored, the examples of a snapshot.
        n_snapshots: Snapshots.
        n_layers: Layers stored, embeddings included.
        subwords: Subwords of an epoch, padding included.
        update_s: Mean seconds of an update (forward, backward, optimizer).
        forward_ms: Mean milliseconds of an example's way through the encoder in a snapshot.
        train_s: Seconds of all updates.
        validation_s: Seconds of all validation passes and the test.
        snapshot_s: Seconds of all snapshots.
        snapshot_bytes: Bytes of one snapshot.
        checkpoint_bytes: Bytes of all checkpoints that are kept.
        model_bytes: Bytes of the exported model.
        peak_bytes: Most GPU memory in use while training; None on a CPU.
        probes: The default probes, on one core.
    """

    info: RunInfo
    device: str
    n_examples: dict[str, int]
    n_snapshots: int
    n_layers: int
    subwords: int
    update_s: float
    forward_ms: float
    train_s: float
    validation_s: float
    snapshot_s: float
    snapshot_bytes: int
    checkpoint_bytes: int
    model_bytes: int
    peak_bytes: int | None
    probes: tuple[ProbeEstimate, ...]

    @property
    def total_s(self) -> float:
        """Seconds of training, evaluation and snapshots."""
        return self.train_s + self.validation_s + self.snapshot_s

    @property
    def disk_bytes(self) -> int:
        """Bytes of all snapshots, checkpoints and the exported model."""
        return self.n_snapshots * self.snapshot_bytes + self.checkpoint_bytes + self.model_bytes


def estimate(config: TrainConfig) -> Estimate:
    """Measure a few batches of a job and work out what the whole takes; nothing is written to its directory.

    The mean cost of a subword, padding included, is measured on batches of every length and multiplied by the
    job's number of subwords. Start-up (imports, reading the data, loading the encoder) is not included.

    Args:
        config: The settings of train.py.

    Raises:
        DataError: The data is missing or malformed.
        ModelError: The encoder cannot be loaded.
    """
    parts = prepare(_one_stage(config))
    data, module, snapshot = parts.built.data, parts.module, config.snapshot
    info = replace(parts.info, method=config.method.label)
    processes = n_processes(config)
    splits = choose_examples(data, snapshot.splits, snapshot.max_examples)
    layers = choose_layers(snapshot.layers, info.n_layers)
    size = snapshot.batch_size or config.finetuning.eval_batch_size

    timed = _time_updates(config, module, data)
    info = with_length(info, *_shared_out(config, timed.planned, processes))
    epoch_subwords = _epoch_subwords(data)
    train_s = timed.seconds / max(timed.subwords, 1) * epoch_subwords * info.n_epochs / processes
    share = _head_share(config, info)
    space = _Sampled(module.to(timed.device).encoder.eval(), data, splits, layers, size)
    forward_s = _time_forward(space)
    head_s = forward_s / max(sum(map(len, splits.values())), 1) * info.n_train * info.n_epochs / processes
    train_s = (1 - share) * train_s + share * head_s
    n_snapshots = len(snapshot_steps(info, snapshot)) if snapshot.enabled else 0
    n_stored = sum(map(len, splits.values()))
    evaluated = sum(
        data.encoded(s).n_examples * n for s, n in (("validation", info.n_epochs), ("test", 1)) if s in data.splits
    )
    itemsize = np.dtype(snapshot.dtype).itemsize
    return Estimate(
        info=info,
        device=timed.device,
        n_examples={split: len(positions) for split, positions in splits.items()},
        n_snapshots=n_snapshots,
        n_layers=len(layers),
        subwords=epoch_subwords,
        update_s=train_s / max(info.n_updates, 1),
        forward_ms=1000 * forward_s / max(n_stored, 1),
        train_s=train_s,
        validation_s=forward_s / max(n_stored, 1) * evaluated / processes,
        snapshot_s=forward_s * n_snapshots / processes,
        snapshot_bytes=n_stored * module.encoder.n_features * len(layers) * itemsize,
        checkpoint_bytes=_checkpoint_bytes(module) * (2 if "validation" in data.splits else 1),
        model_bytes=sum(4 * p.numel() for p in module.parameters()) if config.export else 0,
        peak_bytes=timed.peak_bytes,
        probes=_time_probes(space, n_snapshots),
    )


def _one_stage(config: TrainConfig) -> TrainConfig:
    """The settings without a first stage of the head alone, which a few updates would not get beyond."""
    return replace(config, method=MethodSettings()) if config.method.name == "lp_ft" else config


def _head_share(config: TrainConfig, info: RunInfo) -> float:
    """Share of the updates that train the head alone before all weights: they cost a forward pass."""
    method = config.method
    if method.name != "lp_ft":
        return 0.0
    first = method.head_updates or (method.head_epochs or 0) * (info.updates_per_epoch or 0)
    return min(first / max(info.n_updates, 1), 1.0)


def snapshot_steps(info: RunInfo, settings: SnapshotSettings) -> set[int]:
    """The updates after which a snapshot is taken."""
    per_epoch = info.updates_per_epoch or 1
    steps = {epoch * per_epoch for epoch in range(settings.every_n_epochs, info.n_epochs + 1, settings.every_n_epochs)}
    steps = {step for step in steps if step <= info.n_updates} | {info.n_updates}
    if settings.every_n_updates:
        steps |= set(range(settings.every_n_updates, info.n_updates + 1, settings.every_n_updates))
    return steps | ({0} if settings.before_training else set())


class _Updates(NamedTuple):
    """A few updates: their seconds and subwords, the device, the most GPU memory in use (None on a CPU), the plan.

    The plan is the trainer's own, for one process: updates in all, and of an epoch.
    """

    seconds: float
    subwords: int
    device: str
    peak_bytes: int | None
    planned: tuple[int, int]


def _shared_out(config: TrainConfig, planned: tuple[int, int], processes: int) -> tuple[int, int]:
    """The plan where several processes share the batches of an epoch."""
    n_updates, per_epoch = planned
    each = -(-per_epoch // processes)
    limited = n_updates == config.trainer.get("max_steps")
    return (n_updates if limited else n_updates // per_epoch * each), each


def _time_updates(config: TrainConfig, module: FineTuningModule, data: CorpusDataModule) -> _Updates:
    """A few updates by Lightning itself, with the job's precision and optimizer."""
    watch, planned = Stopwatch(_TRAIN_LIMIT_S, _N_BATCHES), (0, 1)

    def length(n_updates: int, per_epoch: int) -> None:
        nonlocal planned
        planned = (n_updates, per_epoch)

    with tempfile.TemporaryDirectory() as folder:
        trainer = make(
            config.trainer,
            "trainer",
            callbacks=[PlannedLength(length), watch],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            limit_val_batches=0,
            max_time=None,
            min_epochs=None,
            devices=1,
            num_nodes=1,
            strategy="auto",
            default_root_dir=folder,
            profiler=None,
        )
        chatter = logging.getLogger("pytorch_lightning")
        level = chatter.level
        chatter.setLevel(logging.ERROR)
        try:
            trainer.fit(module, datamodule=data)
        finally:
            chatter.setLevel(level)
    device = trainer.strategy.root_device
    peak = int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else None
    data.trainer = None
    return _Updates(watch.seconds, watch.subwords, str(device), peak, planned)


def _epoch_subwords(data: CorpusDataModule) -> int:
    """Subwords of the first epoch, padding included."""
    encoded = data.encoded("train")
    loader: Any = data.train_dataloader()
    return int(sum(len(batch) * encoded.lengths[batch].max() for batch in loader.bucket_sampler.epoch_batches(0)))


class _Sampled(NamedTuple):
    """The space that is stored: encoder, texts, positions of examples by split, layers, texts per forward pass."""

    encoder: PooledEncoder
    data: CorpusDataModule
    chosen: dict[str, np.ndarray]
    layers: tuple[int, ...]
    batch_size: int


def _time_forward(space: _Sampled) -> float:
    """Seconds of one snapshot, from a sample of its batches."""
    device, total = next(space.encoder.parameters()).device, 0.0
    for split, positions in space.chosen.items():
        batches = list(space.data.ordered_batches(split, example_subset=positions, batch_size=space.batch_size))
        spread = np.unique(np.linspace(0, len(batches) - 1, min(len(batches), _N_BATCHES // 2)).round().astype(int))
        extract(space.encoder, batches[spread[len(spread) // 2]].to(device), space.layers)  # warm-up
        spent, done = 0.0, 0
        for i in spread:
            start = time.perf_counter()
            extract(space.encoder, batches[i].to(device), space.layers)
            spent += time.perf_counter() - start
            done += batches[i].input_ids.numel()
            if spent > _FORWARD_LIMIT_S:
                break
        total += spent / done * sum(batch.input_ids.numel() for batch in batches)
    return total


def _checkpoint_bytes(module: FineTuningModule) -> int:
    """Bytes of a checkpoint: the weights that are trained, and Adam's two moments of them."""
    return sum(3 * p.numel() * p.element_size() for p in module.parameters() if p.requires_grad)


def _time_probes(space: _Sampled, n_snapshots: int) -> tuple[ProbeEstimate, ...]:
    """Probe parts of the last layer of two sizes, and go on from there by a power of the number of examples."""
    if not n_snapshots:
        return ()
    n_train = len(space.chosen.get("train", ()))
    sizes = [size for size in _PROBE_SIZES if size < n_train] or [n_train]
    _probe_times(space, min(50, n_train))  # imports, compilation
    times = [_probe_times(space, size) for size in sizes]
    n_cells = len(space.layers) * n_snapshots
    found = []
    for name in PROBES:
        cells = [measured[name] for measured in times]
        exponent = 0.0
        if len(cells) > 1:
            exponent = min(max(math.log(cells[1][1] / cells[0][1]) / math.log(sizes[1] / sizes[0]), 0.5), 2.5)
        n_probed, seconds = cells[-1]
        found.append(ProbeEstimate(name, n_probed * n_cells, seconds * (n_train / sizes[-1]) ** exponent * n_cells))
    return tuple(found)


def _probe_times(space: _Sampled, size: int) -> dict[str, tuple[int, float]]:
    """By probe, the cells of one layer of one snapshot and their seconds, on ``size`` training examples."""
    data = space.data
    share = size / max(data.encoded("train").n_examples, 1)
    sizes = {"train": size, "test": max(1, round(share * data.encoded("test").n_examples))}
    chosen = {split: data.stratified_subset(split, n) for split, n in sizes.items()}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        store_examples(root, data, chosen)
        last = space.layers[-1:]
        store_space(
            root,
            Moment(0, 0.0),
            space.encoder,
            data,
            chosen,
            layers=last,
            dtype="float32",
            batch_size=space.batch_size,
        )
        reader = SnapshotReader(root)
        scope = Scope(reader.steps, reader.layers, tuple(reader.splits))
        found = {}
        for name in PROBES:
            probe = instantiate(OmegaConf.load(config_dir() / "probe" / f"{name}.yaml")[name])  # type: ignore[index]
            work = plan_cells(reader, [probe], scope)
            found[name] = (len(work), run_probes(reader, work, ResultStore(root / name), n_jobs=1).seconds)
    return found
