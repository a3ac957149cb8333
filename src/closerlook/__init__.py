"""closerlook: see how fine-tuning changes the space in which an encoder places its examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from closerlook.callbacks.plain_loop import snapshot

__version__ = "0.1.0"
__all__ = ["__version__", "snapshot"]


def __getattr__(name: str) -> Any:
    if name == "snapshot":  # with torch, which takes seconds: only when it is asked for
        from closerlook.callbacks.plain_loop import snapshot

        return snapshot
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
