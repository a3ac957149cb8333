"""DirectProbe on vectors that closerlook did not make: one's own files, or a folder of the released code."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from closerlook.config import ProbeConfig
from closerlook.probes.label_distances import LabelDistances, distance_rows, from_probe
from closerlook.probes.space_probe import Where
from closerlook.probing import DirectProbe
from closerlook.probing.released_format import (
    RELEASED_MIN_CLUSTER_SIZE,
    read_released,
    released_embeddings,
    write_released,
)
from closerlook.probing.vectors import read_vectors
from closerlook.results.rows import Place
from closerlook.results.run import RunError
from closerlook.results.run_dir import RunDir
from closerlook.results.store import Cell, CellKey

log = logging.getLogger(__name__)

RELEASED_FOLDER = "released"


@dataclass(frozen=True)
class _Space:
    """A set of vectors.

    Attributes:
        name: What it is called in folders and messages.
        X: (n_examples, n_features) vectors.
        y: (n_examples,) labels.
        tags: All label names of the released code's folder; None for one's own files.
    """

    name: str
    X: np.ndarray
    y: np.ndarray
    tags: tuple[str, ...] | None = None


@dataclass(frozen=True)
class VectorsOutcome:
    """What probing a set of vectors gave.

    Attributes:
        name: What was probed.
        found: Clusters and distances.
        counts: Examples by label, in the order of ``found.classes``.
        nearest: For each label its nearest other label, None where undefined.
        table_file: The tidy table.
        released_files: Folder with the files that the released code would write.
    """

    name: str
    found: LabelDistances
    counts: tuple[int, ...]
    nearest: tuple[str | None, ...]
    table_file: Path
    released_files: Path


def probe_vectors(config: ProbeConfig) -> Iterator[VectorsOutcome]:
    """Probe ``vectors``, or every layer of ``released_dir``.

    Args:
        config: Settings of probe.py.

    Yields:
        One outcome per set of vectors, as soon as its results are on disk.

    Raises:
        RunError: A file is missing or malformed, or settings do not go together; of several layers, the others are
            probed first.
    """
    output, refused = Path(config.output_dir or "probed_vectors"), []
    for name, read in _spaces(config):
        try:
            yield _probe(read(), RunDir(output / name), config)
        except (OSError, ValueError, ArithmeticError, MemoryError) as error:
            why = str(error) or type(error).__name__
            refused.append(why if config.vectors is not None else f"{name}: {why}")
    if refused:
        raise RunError("; ".join(refused))


def _spaces(config: ProbeConfig) -> Iterator[tuple[str, Callable[[], _Space]]]:
    """The names of the spaces, and what reads each."""
    if config.vectors is not None:
        path = Path(config.vectors)
        yield path.stem, lambda: _own_files(path, config.labels)
        return
    folder = Path(str(config.released_dir))
    for split in config.splits:
        try:
            names = released_embeddings(folder, split)
        except FileNotFoundError as error:
            if split == "train":
                raise RunError(str(error)) from error
            continue  # the released code probes one split at a time: a folder without test is whole
        for name in names:
            yield f"{split}/{name}", partial(_released, folder, split, name)


def _own_files(path: Path, labels: str | None) -> _Space:
    read = read_vectors(path, labels)
    return _Space(path.stem, read.X, read.y)


def _released(folder: Path, split: str, name: str) -> _Space:
    read = read_released(folder, split=split, embeddings=name)
    return _Space(f"{split}/{name}", read.X, read.y, read.tags)


def _probe(space: _Space, output: RunDir, config: ProbeConfig) -> VectorsOutcome:
    direct = config.probe.get("direct") or {}
    size = RELEASED_MIN_CLUSTER_SIZE if config.as_released else int(direct.get("min_cluster_size", 1))
    n_labels = len(set(space.y.tolist()))
    log.info("probing %s: %d vectors of %d features, %d labels", space.name, *space.X.shape, n_labels)
    probe = DirectProbe(min_cluster_size=size, n_jobs=config.n_jobs).fit(space.X, space.y)
    found = from_probe(probe)
    key = CellKey(Place("direct", 0, "train", 0), f"min_cluster_size={size}")
    store = output.store()
    store.add(Cell.of(key, 0.0, distance_rows(found, Where(key.place, 0.0))))
    released = output.root / RELEASED_FOLDER
    write_released(released, probe, as_released=config.as_released, tags=space.tags)
    return VectorsOutcome(
        name=space.name,
        found=found,
        counts=tuple(int((space.y.astype(str) == label).sum()) for label in found.classes),
        nearest=_nearest_labels(found),
        table_file=store.write_table(),
        released_files=released,
    )


def _nearest_labels(found: LabelDistances) -> tuple[str | None, ...]:
    """For each label the label whose hull is nearest; None where no distance is defined."""
    distances = found.distances.astype(float).copy()
    np.fill_diagonal(distances, np.nan)
    defined = np.isfinite(distances).any(axis=1)
    return tuple(
        found.classes[int(np.nanargmin(row))] if there else None for row, there in zip(distances, defined, strict=True)
    )
