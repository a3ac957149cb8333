"""What a job takes before it starts: updates, time, disk and probe time, measured on a few batches of its own data."""

from __future__ import annotations

import logging
import math
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from closerlook.models.encoder_settings import SnapshotSettings
from closerlook.pipelines.train import build, n_processes
from closerlook.results.run import RunInfo

if TYPE_CHECKING:
    from closerlook.data.datamodule import CorpusDataModule
    from closerlook.models.finetuning_module import FineTuningModule

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
    peak_bytes: int | None
    probes: tuple[ProbeEstimate, ...]

    @property
    def total_s(self) -> float:
        """Seconds of training, evaluation and snapshots."""
        return self.train_s + self.validation_s + self.snapshot_s

    @property
    def disk_bytes(self) -> int:
        """Bytes of all snapshots and checkpoints."""
        return self.n_snapshots * self.snapshot_bytes + self.checkpoint_bytes


def estimate(config: DictConfig) -> Estimate:
    """Measure a few batches of a job and work out what the whole takes; nothing is written to its directory.

    The mean cost of a subword, padding included, is measured on batches of every length and multiplied by the
    job's number of subwords. Start-up (imports, reading the data, loading the encoder) is not included.

    Args:
        config: A composed ``train`` configuration.

    Raises:
        DataError: The data is missing or malformed.
        ModelError: The encoder cannot be loaded.
    """
    import pytorch_lightning as pl

    settings: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    pl.seed_everything(settings["seed"], workers=True, verbose=False)
    data, module, info = build(config, settings)
    processes = n_processes(settings["trainer"])
    snapshot = SnapshotSettings(**settings["snapshot"])
    splits = {
        split: data.stratified_subset(split, snapshot.max_examples) for split in snapshot.splits or ["train", "test"]
    }
    layers = tuple(snapshot.layers or range(info.n_layers + 1))
    size = snapshot.batch_size or settings["finetuning"]["eval_batch_size"]

    seconds, subwords, device, peak = _time_updates(config, module, data)
    epoch_subwords = _epoch_subwords(data)
    train_s = seconds / subwords * epoch_subwords * info.n_epochs / processes
    forward_s = _time_forward(module, data, splits, layers, size, device)
    n_snapshots = len(snapshot_steps(info, snapshot)) if snapshot.enabled else 0
    n_stored = sum(map(len, splits.values()))
    evaluated = sum(
        data.encoded(s).n_examples * n for s, n in (("validation", info.n_epochs), ("test", 1)) if s in data.splits
    )
    itemsize = np.dtype(snapshot.dtype).itemsize
    return Estimate(
        info=info,
        device=device,
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
        peak_bytes=peak,
        probes=_time_probes(module, data, splits, layers, n_snapshots, size, device),
    )


def snapshot_steps(info: RunInfo, settings: SnapshotSettings) -> set[int]:
    """The updates after which a snapshot is taken."""
    per_epoch = info.n_updates // max(info.n_epochs, 1)
    steps = {epoch * per_epoch for epoch in range(settings.every_n_epochs, info.n_epochs + 1, settings.every_n_epochs)}
    steps.add(info.n_updates)
    if settings.every_n_updates:
        steps |= set(range(settings.every_n_updates, info.n_updates + 1, settings.every_n_updates))
    return steps | ({0} if settings.before_training else set())


def _time_updates(
    config: DictConfig, module: FineTuningModule, data: CorpusDataModule
) -> tuple[float, int, str, int | None]:
    """Seconds and subwords of a few updates by Lightning itself, with the job's precision and optimizer."""
    import torch
    from hydra.utils import instantiate

    from closerlook.callbacks.stopwatch import Stopwatch

    watch = Stopwatch(_TRAIN_LIMIT_S)
    with tempfile.TemporaryDirectory() as folder:
        trainer = instantiate(config.trainer, _convert_="object", _partial_=True)(
            callbacks=[watch], logger=False, enable_checkpointing=False, enable_progress_bar=False,
            limit_train_batches=_N_BATCHES, limit_val_batches=0, max_epochs=1, devices=1, num_nodes=1,
            strategy="auto", default_root_dir=folder, profiler=None,
        )  # fmt: skip
        level = logging.getLogger("pytorch_lightning").level
        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        try:
            trainer.fit(module, datamodule=data)
        finally:
            logging.getLogger("pytorch_lightning").setLevel(level)
    device = trainer.strategy.root_device
    peak = int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else None
    data.trainer = None
    return watch.seconds, watch.subwords, str(device), peak


def _epoch_subwords(data: CorpusDataModule) -> int:
    """Subwords of the first epoch, padding included."""
    encoded = data.encoded("train")
    loader: Any = data.train_dataloader()
    return int(sum(len(batch) * encoded.lengths[batch].max() for batch in loader.bucket_sampler.epoch_batches(0)))


def _time_forward(
    module: FineTuningModule,
    data: CorpusDataModule,
    splits: dict[str, np.ndarray],
    layers: tuple[int, ...],
    batch_size: int,
    device: str,
) -> float:
    """Seconds of one snapshot, from a sample of its batches."""
    from closerlook.callbacks.snapshot import extract

    module.to(device).eval()
    total = 0.0
    for split, positions in splits.items():
        batches = list(data.ordered_batches(split, example_subset=positions, batch_size=batch_size))
        spread = np.unique(np.linspace(0, len(batches) - 1, min(len(batches), _N_BATCHES // 2)).round().astype(int))
        extract(module.encoder, batches[spread[len(spread) // 2]].to(device), layers)  # warm-up
        spent, done = 0.0, 0
        for i in spread:
            start = time.perf_counter()
            extract(module.encoder, batches[i].to(device), layers)
            spent += time.perf_counter() - start
            done += batches[i].input_ids.numel()
            if spent > _FORWARD_LIMIT_S:
                break
        total += spent / done * sum(batch.input_ids.numel() for batch in batches)
    return total


def _checkpoint_bytes(module: FineTuningModule) -> int:
    """Bytes of a checkpoint: the weights, and Adam's two moments of those that are trained."""
    return sum(p.numel() * p.element_size() * (3 if p.requires_grad else 1) for p in module.parameters())


def _time_probes(
    module: FineTuningModule,
    data: CorpusDataModule,
    splits: dict[str, np.ndarray],
    layers: tuple[int, ...],
    n_snapshots: int,
    batch_size: int,
    device: str,
) -> tuple[ProbeEstimate, ...]:
    """Probe parts of the last layer of two sizes, and go on from there by a power of the number of examples."""
    if not n_snapshots:
        return ()
    n_train = len(splits.get("train", ()))
    sizes = [size for size in _PROBE_SIZES if size < n_train] or [n_train]
    _probe_times(module, data, min(50, n_train), layers[-1], batch_size, device)  # imports, compilation
    times = [_probe_times(module, data, size, layers[-1], batch_size, device) for size in sizes]
    n_cells = len(layers) * n_snapshots
    found = []
    for name in PROBES:
        cells = [measured[name] for measured in times]
        exponent = 0.0
        if len(cells) > 1:
            exponent = min(max(math.log(cells[1][1] / cells[0][1]) / math.log(sizes[1] / sizes[0]), 0.5), 2.5)
        n_probed, seconds = cells[-1]
        found.append(ProbeEstimate(name, n_probed * n_cells, seconds * (n_train / sizes[-1]) ** exponent * n_cells))
    return tuple(found)


def _probe_times(
    module: FineTuningModule, data: CorpusDataModule, size: int, layer: int, batch_size: int, device: str
) -> dict[str, tuple[int, float]]:
    """By probe, the cells of one layer of one snapshot and their seconds, on ``size`` training examples."""
    from hydra.utils import instantiate

    from closerlook.config import config_dir
    from closerlook.probes.runner import plan_cells, run_probes
    from closerlook.probes.space_probe import Scope
    from closerlook.representations.reader import SnapshotReader
    from closerlook.results.store import ResultStore

    share = size / max(data.encoded("train").n_examples, 1)
    sizes = {"train": size, "test": max(1, round(share * data.encoded("test").n_examples))}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _store(
            root, module, data, {s: data.stratified_subset(s, n) for s, n in sizes.items()}, layer, batch_size, device
        )
        reader = SnapshotReader(root)
        scope = Scope(reader.steps, reader.layers, tuple(reader.splits))
        found = {}
        for name in PROBES:
            probe = instantiate(OmegaConf.load(config_dir() / "probe" / f"{name}.yaml")[name])  # type: ignore[index]
            work = plan_cells(reader, [probe], scope)
            found[name] = (len(work), run_probes(reader, work, ResultStore(root / name), n_jobs=1).seconds)
    return found


def _store(
    root: Path,
    module: FineTuningModule,
    data: CorpusDataModule,
    subsets: dict[str, np.ndarray],
    layer: int,
    batch_size: int,
    device: str,
) -> None:
    from closerlook.callbacks.snapshot import example_table
    from closerlook.representations.writer import SnapshotWriter, publish, write_examples

    n = {split: len(positions) for split, positions in subsets.items()}
    n_features = dict.fromkeys(subsets, module.encoder.n_features)
    for split, positions in subsets.items():
        write_examples(root, split, example_table(data.encoded(split).examples, positions))
    writer = SnapshotWriter(
        root, 0, layers=(layer,), dtype="float32", rows={s: range(k) for s, k in n.items()}, n_features=n_features
    )
    for split, rows, vectors in _vectors(module, data, subsets, layer, batch_size, device):
        writer.write(split, rows, vectors)
    writer.close()
    publish(root, 0, epoch=0.0, layers=(layer,), dtype="float32", n_features=n_features, n_examples=n)


def _vectors(
    module: FineTuningModule,
    data: CorpusDataModule,
    subsets: dict[str, np.ndarray],
    layer: int,
    batch_size: int,
    device: str,
) -> Iterator[tuple[str, np.ndarray, dict[int, np.ndarray]]]:
    from closerlook.callbacks.snapshot import extract

    for split, positions in subsets.items():
        row_of = {int(position): i for i, position in enumerate(positions)}
        for batch in data.ordered_batches(split, example_subset=positions, batch_size=batch_size):
            rows = np.array([row_of[int(i)] for i in batch.example_index], dtype=np.int64)
            yield split, rows, extract(module.encoder, batch.to(device), (layer,))
