"""DirectProbe on vectors that closerlook did not make: one's own files, or a folder of the released code."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from closerlook.probes.label_distances import LabelDistances, distance_rows, from_probe
from closerlook.results.rows import ResultRow
from closerlook.results.run import RESULTS_FOLDER, RunError
from closerlook.results.store import Cell, CellKey, ResultStore

log = logging.getLogger(__name__)

Space = tuple[str, np.ndarray, np.ndarray, tuple[str, ...] | None]
"""Name, vectors, labels, and all label names of the released code's folder."""

RELEASED_FOLDER = "released"
_RELEASED_MIN_SIZE = 6
"""The released code drops clusters of 5 points or fewer."""


@dataclass(frozen=True)
class VectorsOutcome:
    """What probing a set of vectors gave.

    Attributes:
        name: What was probed.
        output_dir: Where the results are.
        found: Clusters and distances.
        counts: Examples by label, in the order of ``found.classes``.
        nearest: For each label its nearest other label, None where undefined.
        table_file: The tidy table.
        released_files: Folder with the files that the released code would write.
    """

    name: str
    output_dir: Path
    found: LabelDistances
    counts: tuple[int, ...]
    nearest: tuple[str | None, ...]
    table_file: Path
    released_files: Path


def probe_vectors(settings: dict[str, Any]) -> list[VectorsOutcome]:
    """Probe ``vectors``, or every layer of ``released_dir``.

    Args:
        settings: The resolved ``probe`` configuration.

    Returns:
        One outcome per set of vectors.

    Raises:
        RunError: A file is missing or malformed, or settings do not go together.
    """
    as_released = bool(settings["as_released"])
    output = Path(settings["output_dir"] or "probed_vectors")
    try:
        spaces = list(_spaces(settings))
    except (OSError, ValueError) as error:
        raise RunError(f"{error}") from error
    return [_probe(name, X, y, tags, output / name, settings, as_released) for name, X, y, tags in spaces]


def _spaces(settings: dict[str, Any]) -> list[Space]:
    from closerlook.probing.released_format import read_released, released_embeddings
    from closerlook.probing.vectors import read_vectors

    if settings["vectors"] is not None:
        read = read_vectors(settings["vectors"], settings["labels"])
        return [(Path(settings["vectors"]).stem, read.X, read.y, None)]
    folder = Path(settings["released_dir"])
    spaces: list[Space] = []
    for split in settings["splits"]:
        try:
            names = released_embeddings(folder, split)
        except FileNotFoundError:
            if split == "train":
                raise
            continue  # the released code probes one split at a time: a folder without test is whole
        for name in names:
            read_split = read_released(folder, split=split, embeddings=name)
            spaces.append((f"{split}/{name}", read_split.X, read_split.y, read_split.tags))
    return spaces


def _probe(
    name: str,
    X: np.ndarray,
    y: np.ndarray,
    tags: tuple[str, ...] | None,
    output: Path,
    settings: dict[str, Any],
    as_released: bool,
) -> VectorsOutcome:
    from closerlook.probing import DirectProbe
    from closerlook.probing.released_format import write_released

    direct = settings["probe"].get("direct") or {}
    size = _RELEASED_MIN_SIZE if as_released else int(direct.get("min_cluster_size", 1))
    log.info("probing %s: %d vectors of %d features, %d labels", name, *X.shape, len(set(y.tolist())))
    probe = DirectProbe(min_cluster_size=size, n_jobs=settings["n_jobs"]).fit(X, y)
    found = from_probe(probe, len(y))
    rows = distance_rows(found, "direct", step=0, epoch=0.0, layer=0, split="train")
    released = output / RELEASED_FOLDER
    write_released(released, probe, as_released=as_released, tags=tags)
    return VectorsOutcome(
        name=name,
        output_dir=output,
        found=found,
        counts=tuple(int((y.astype(str) == label).sum()) for label in found.classes),
        nearest=nearest_labels(found),
        table_file=_save(output, rows, size),
        released_files=released,
    )


def _save(output: Path, rows: list[ResultRow], size: int) -> Path:
    store = ResultStore(output / RESULTS_FOLDER)
    store.add(Cell(CellKey("direct", 0, "train", 0, f"min_cluster_size={size}"), 0.0, tuple(rows)))
    return store.write_table()


def nearest_labels(found: LabelDistances) -> tuple[str | None, ...]:
    """For each label the label whose hull is nearest; None where no distance is defined."""
    distances = found.distances.astype(float).copy()
    np.fill_diagonal(distances, np.nan)
    defined = np.isfinite(distances).any(axis=1)
    return tuple(
        found.classes[int(np.nanargmin(row))] if there else None for row, there in zip(distances, defined, strict=True)
    )
