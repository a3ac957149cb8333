"""Hand-made studies on disk."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def tables() -> ModuleType:
    """The module of hand-made tables beside this file."""
    path = Path(__file__).with_name("study_tables.py")
    spec = importlib.util.spec_from_file_location("study_tables", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["study_tables"] = module
    spec.loader.exec_module(module)
    return module
