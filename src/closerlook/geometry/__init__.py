"""How tuning changed a space: label-aware and label-free measures, each with its control.

Pure functions: arrays in, floats or frozen dataclasses out; numpy, scipy and scikit-learn only. Names are loaded on
first use, so importing the package is free.
"""

from importlib import import_module
from typing import Any

_EXPORTS = {
    "MeasureValue": "measure_value",
    "geometry_report": "change_report",
    "space_report": "space_report",
    "spatial_similarity": "similarity",
    "train_test_similarity": "train_test_draws",
    "UndefinedMeasureError": "validation",
}

__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    """Import the module that holds ``name`` on first use (PEP 562)."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it exports {__all__}")
    return getattr(import_module(f"{__name__}.{_EXPORTS[name]}"), name)
