"""Probes of labelled vectors: DirectProbe (convex hulls, no training) and the classifier probes.

Arrays in, arrays out: numpy, scipy and scikit-learn only. Names are loaded on first use.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "DirectProbe": "direct_probe",
    "Hints": "hints",
    "HullDistance": "hulls",
    "hull_distance": "hulls",
    "LabelDistances": "size_matched",
    "label_distances": "size_matched",
    "inside_distances": "inside",
    "read_released": "released_format",
    "write_released": "released_format",
    "read_vectors": "vectors",
    "LabelledVectors": "vectors",
    "released_embeddings": "released_format",
    "Certificates": "pairwise",
    "InsideDistances": "inside",
}


def __getattr__(name: str) -> Any:
    """Load the public names on first use, so that importing the package stays light."""
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    """List the lazily loaded names too."""
    return sorted([*globals(), *_HOMES])
