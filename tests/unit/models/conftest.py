"""Small random models of many real architectures."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

PROJECT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def tiny_models() -> ModuleType:
    """The module that builds them."""
    path = PROJECT.parent / "shared" / "tools" / "tiny_models.py"
    if not path.is_file():
        pytest.skip(f"the builder of small models is not at {path}")
    spec = importlib.util.spec_from_file_location("tiny_models", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
