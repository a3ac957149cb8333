"""What unit tests of several packages share."""

from __future__ import annotations

from pathlib import Path

import pytest

from closerlook.results.run import RunResults
from closerlook.results.run_dir import load_run


@pytest.fixture(scope="session")
def results(digits_run: Path) -> RunResults:
    """The digits run, read back."""
    return load_run(digits_run)
