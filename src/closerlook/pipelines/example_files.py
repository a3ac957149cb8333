"""Tables of single examples beside the run's results, with their texts: witnesses, suspects, who moved."""

from __future__ import annotations

from pathlib import Path

from closerlook.files import replacing
from closerlook.representations.reader import stored_examples
from closerlook.results.example_tables import Examples
from closerlook.results.run import RunResults
from closerlook.results.run_dir import RunDir


def write_example_files(run: RunDir, results: RunResults) -> list[Path]:
    """Write ``results/witnesses.parquet`` and its like, each all or nothing; those without rows are not written.

    Args:
        run: The run.
        results: What was found.

    Returns:
        The files.
    """
    if results.by_example.empty:
        return []
    examples, made = Examples(results.by_example, stored_examples(run.snapshots)), []
    for name, table in examples.tables():
        if len(table):
            path = run.results / f"{name}.parquet"
            with replacing(path) as temporary:
                table.to_parquet(temporary, index=False)
            made.append(path)
    return made
