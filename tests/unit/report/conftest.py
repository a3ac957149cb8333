"""A small real run, built once."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from closerlook.results.run import RunResults, load_run


@pytest.fixture(scope="session")
def digits_module(project: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("digits_run", project / "tests" / "fixtures" / "digits_run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def digits_run(digits_module: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digits_module.shared_run(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def results(digits_run: Path) -> RunResults:
    return load_run(digits_run)
