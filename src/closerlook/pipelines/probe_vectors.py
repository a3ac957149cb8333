"""DirectProbe on vectors that closerlook did not make: one's own files, or a folder of the released code."""

from __future__ import annotations

import logging
from dataclasses import dataclass
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


def probe_vectors(config: ProbeConfig) -> list[VectorsOutcome]:
    """Probe ``vectors``, or every layer of ``released_dir``.

    Args:
        config: Settings of probe.py.

    Returns:
        One outcome per set of vectors.

    Raises:
        RunError: A file is missing or malformed, or settings do not go together.
    """
    output = Path(config.output_dir or "probed_vectors")
    try:
        spaces = _own_files(config) if config.vectors is not None else _released(config)
    except (OSError, ValueError, MemoryError) as error:
        raise RunError(f"{error}") from error
    return [_probe(space, RunDir(output / space.name), config) for space in spaces]


def _own_files(config: ProbeConfig) -> list[_Space]:
    path = Path(str(config.vectors))
    read = read_vectors(path, config.labels)
    return [_Space(path.stem, read.X, read.y)]


def _released(config: ProbeConfig) -> list[_Space]:
    folder = Path(str(config.released_dir))
    spaces: list[_Space] = []
    for split in config.splits:
        try:
            names = released_embeddings(folder, split)
        except FileNotFoundError:
            if split == "train":
                raise
            continue  # the released code probes one split at a time: a folder without test is whole
        for name in names:
            read = read_released(folder, split=split, embeddings=name)
            spaces.append(_Space(f"{split}/{name}", read.X, read.y, read.tags))
    return spaces


def _probe(space: _Space, output: RunDir, config: ProbeConfig) -> VectorsOutcome:
    direct = config.probe.get("direct") or {}
    size = RELEASED_MIN_CLUSTER_SIZE if config.as_released else int(direct.get("min_cluster_size", 1))
    n_labels = len(set(space.y.tolist()))
    log.info("probing %s: %d vectors of %d features, %d labels", space.name, *space.X.shape, n_labels)
    try:
        probe = DirectProbe(min_cluster_size=size, n_jobs=config.n_jobs).fit(space.X, space.y)
    except (ValueError, ArithmeticError) as error:
        raise RunError(f"{space.name} cannot be probed: {error}") from error
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
