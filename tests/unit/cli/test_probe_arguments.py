"""``--dry-run``, which Hydra does not know, becomes an override before it looks."""

from __future__ import annotations

import pytest

from closerlook.cli.probe import as_overrides


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        (["runs=runs", "study=e1"], ["runs=runs", "study=e1"]),
        (["runs=runs", "dashboards=true", "--dry-run"], ["runs=runs", "dashboards=dry_run"]),
        (["--dry-run", "runs=runs"], ["runs=runs", "dashboards=dry_run"]),
        (["runs=runs", "dashboards=true"], ["runs=runs", "dashboards=true"]),
    ],
)
def test_dry_run_is_of_the_dashboards(given: list[str], understood: list[str]) -> None:
    assert as_overrides(given) == understood
