"""DirectProbe fitted on a stored space, once for all probes that look at it one after the other."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

from closerlook.probing import DirectProbe, Hints
from closerlook.representations.reader import SnapshotReader
from closerlook.results.rows import Place

FIT = "fit of DirectProbe"
"""What probes share that look at a fitted space, see `SpaceProbe.shares`."""


class FittedSpace(NamedTuple):
    """A fitted DirectProbe.

    Attributes:
        probe: It; its distances are computed when they are asked for.
        reported: What the solver warned of so far.
        X: (n_examples, n_features) the vectors that it was fitted on.
        y: (n_examples,) their labels.
    """

    probe: DirectProbe
    reported: tuple[str, ...]
    X: np.ndarray
    y: np.ndarray


def fit_vectors(X: np.ndarray, y: np.ndarray, *, min_cluster_size: int, hints: Hints | None) -> FittedSpace:
    """Fit DirectProbe, in this process alone, and keep what it warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        probe = DirectProbe(min_cluster_size=min_cluster_size, n_jobs=1).fit(X, y, hints)
    return FittedSpace(probe, tuple(str(w.message) for w in caught), X, y)


_last: tuple[object, FittedSpace] | None = None
"""The last fit of this process. One is enough: the runner takes the probes of a space one after the other."""


def fit_space(reader: SnapshotReader, place: Place, *, min_cluster_size: int, hints: Hints | None) -> FittedSpace:
    """Fit DirectProbe on one snapshot, layer and split, or take the fit that was just made there.

    Args:
        reader: The run's snapshots.
        place: Where; the name of the probe in it does not matter.
        min_cluster_size: As in `DirectProbe`.
        hints: Of another snapshot of the same examples; they save time and change nothing.
    """
    global _last
    _, layer, split, step = place
    wanted = reader.root, reader.identity, layer, split, step, min_cluster_size
    if _last is None or _last[0] != wanted:
        X, y = reader.vectors(step or 0, split, layer), reader.labels(split)
        _last = wanted, fit_vectors(X, y, min_cluster_size=min_cluster_size, hints=hints)
    return _last[1]
