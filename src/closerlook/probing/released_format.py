"""Files of the released DirectProbe code, read and written, so that its users can move over.

A folder holds ``entities/<split>.txt`` (example TAB label a line), ``labels/tags.txt`` (a label a line) and
``embeddings/**/*.txt`` (numbers separated by spaces, a line per example). The answers go to ``clusters.txt``,
``vec.txt``, ``inside_max.txt``, ``inside_mean.txt`` and ``outside_min.txt``.
"""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from closerlook.probing.direct_probe import DirectProbe
from closerlook.probing.hulls import FloatArray

#: The released code drops clusters of 5 points or fewer before it measures anything.
RELEASED_MIN_CLUSTER_SIZE = 6


@dataclass(frozen=True, eq=False)
class ReleasedSplit:
    """One split of a folder of the released code.

    Attributes:
        X: (n_examples, n_features) vectors.
        y: (n_examples,) labels.
        entities: the examples' text, as written.
        tags: all labels of ``labels/tags.txt``, sorted; labels without an example included.
    """

    X: FloatArray
    y: NDArray[np.str_]
    entities: tuple[str, ...]
    tags: tuple[str, ...]


def released_embeddings(folder: str | Path, split: str = "train") -> dict[str, Path]:
    """Find the vector files of a split.

    Args:
        folder: the folder with ``embeddings``.
        split: name of the split: a file's stem (``embeddings/bert/train.txt``) or a part of its path
            (``embeddings/layers/train/12.txt``).

    Returns:
        Files by what is left of their path without the split ("bert", "layers/12"), in natural order.

    Raises:
        FileNotFoundError: if there is none.
    """
    root = Path(folder) / "embeddings"
    found = {}
    for path in root.rglob("*.txt"):
        parts = path.relative_to(root).with_suffix("").parts
        if split in parts:
            found["/".join(part for part in parts if part != split) or "embeddings"] = path
    if not found:
        msg = f"No vectors of split {split!r} in {root}: expected **/{split}.txt or **/{split}/*.txt."
        raise FileNotFoundError(msg)
    return dict(sorted(found.items(), key=lambda item: [(len(p), p) for p in item[0].split("/")]))


def read_released(folder: str | Path, *, split: str = "train", embeddings: str | Path | None = None) -> ReleasedSplit:
    """Read one split and one file of vectors.

    Args:
        folder: the folder with ``entities``, ``labels`` and ``embeddings``.
        split: name of the split.
        embeddings: file of vectors, or a name of `released_embeddings`; None if there is only one.

    Returns:
        Vectors and labels.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a line has no tab, a label is not in ``tags.txt``, a vector is not finite or of another
            length, the numbers of lines differ, or `embeddings` leaves a choice.
    """
    folder = Path(folder)
    entities_path = _existing(folder / "entities" / f"{split}.txt")
    pairs = []
    for number, line in enumerate(_lines(entities_path), start=1):
        parts = line.split("\t")
        if len(parts) != 2:
            msg = f"{entities_path}, line {number}: expected 'entity<TAB>label', got {line!r}."
            raise ValueError(msg)
        pairs.append((parts[0], parts[1].strip()))
    tags_path = _existing(folder / "labels" / "tags.txt")
    tags = sorted({line.strip() for line in _lines(tags_path)})
    if unknown := sorted({label for _, label in pairs} - set(tags)):
        msg = f"{entities_path} has labels that {tags_path} lacks: {unknown[:5]}."
        raise ValueError(msg)
    path = _choose(folder, split, embeddings)
    X = _read_vectors(path)
    if len(X) != len(pairs):
        msg = f"Expected one vector per example: {path} has {len(X)} lines, {entities_path} has {len(pairs)}."
        raise ValueError(msg)
    return ReleasedSplit(X, np.array([p[1] for p in pairs]), tuple(p[0] for p in pairs), tuple(tags))


def write_released(
    folder: str | Path,
    probe: DirectProbe,
    *,
    as_released: bool = False,
    tags: tuple[str, ...] | None = None,
) -> None:
    """Write a fitted probe's answers in the released code's files.

    Args:
        folder: where to write; made if needed.
        probe: fitted probe.
        as_released: write 0 where a value is missing, as the released code does; else "nan". The probe must
            then leave out clusters of 5 points or fewer (``min_cluster_size=6``), as that code does.
        tags: labels to write, those without an example included; None for the probe's classes.

    Raises:
        ValueError: if `as_released` is asked of a probe with another `min_cluster_size`.
    """
    if as_released and probe.min_cluster_size != RELEASED_MIN_CLUSTER_SIZE:
        msg = (
            f"as_released needs DirectProbe(min_cluster_size={RELEASED_MIN_CLUSTER_SIZE}), got "
            f"{probe.min_cluster_size}: the released code leaves out clusters of 5 points or fewer."
        )
        raise ValueError(msg)
    missing = 0.0 if as_released else np.nan
    inside, distances, nearest = probe.inside_, probe.label_distances_, probe.min_distances_
    code = {str(name): at for at, name in enumerate(probe.classes_)}
    names = sorted({*code, *(tags or ())})

    def value(values: FloatArray, *labels: str) -> str:
        known = all(label in code for label in labels)
        number = float(values[tuple(code[label] for label in labels)]) if known else np.nan
        return f"{missing if np.isnan(number) else number:.4f}"

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "clusters.txt", [str(k) for k in probe.labels_])
    _write(folder / "vec.txt", [f"{a}---{b},{value(distances, a, b)}" for a, b in combinations(names, 2)])
    for name, values in (
        ("inside_max", inside.label_max),
        ("inside_mean", inside.label_mean),
        ("outside_min", nearest),
    ):
        _write(folder / f"{name}.txt", [f"{a},{value(values, a)}" for a in names])


def _existing(path: Path) -> Path:
    if not path.is_file():
        msg = f"{path} is missing; a folder of the released code has entities/, labels/tags.txt and embeddings/."
        raise FileNotFoundError(msg)
    return path


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8-sig").split("\n") if line.strip()]


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _choose(folder: Path, split: str, embeddings: str | Path | None) -> Path:
    if embeddings is not None and Path(embeddings).is_file():
        return Path(embeddings)
    found = released_embeddings(folder, split)
    if embeddings is None and len(found) == 1:
        return next(iter(found.values()))
    if embeddings is not None and str(embeddings) in found:
        return found[str(embeddings)]
    msg = f"Expected embeddings to be a file or one of {list(found)}, got {embeddings!r}."
    raise ValueError(msg)


def _read_vectors(path: Path) -> FloatArray:
    try:
        X = pd.read_csv(path, sep=r"\s+", header=None, dtype=np.float64, skip_blank_lines=True).to_numpy()
    except (ValueError, pd.errors.ParserError) as error:
        msg = f"{path}: expected numbers separated by spaces, equally many a line ({error})."
        raise ValueError(msg) from error
    if not np.isfinite(X).all():
        row = int(np.flatnonzero(~np.isfinite(X).all(axis=1))[0]) + 1
        msg = f"{path}, line {row}: a value is missing or not finite."
        raise ValueError(msg)
    return X
