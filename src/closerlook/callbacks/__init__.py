"""When to snapshot and when to probe; what they do is a plain function elsewhere.

``SnapshotCallback`` and ``SnapshotTrainerCallback`` go into other people's trainings; they are loaded when asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from closerlook.callbacks.lightning_loop import SnapshotCallback
    from closerlook.callbacks.trainer_loop import SnapshotTrainerCallback

__all__ = ["SnapshotCallback", "SnapshotTrainerCallback"]
_PLACES = {"SnapshotCallback": "lightning_loop", "SnapshotTrainerCallback": "trainer_loop"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
