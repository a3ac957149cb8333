"""Starting a command must not load what it does not need."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "transformers", "datasets", "pandas", "pytorch_lightning", "sklearn")
LIGHT = ("task_settings", "tasks", "own_data", "subword_alignment", "splits", "download")


def test_reading_and_aligning_load_nothing_heavy() -> None:
    imports = "; ".join(f"import closerlook.data.{name}" for name in LIGHT)
    code = f"{imports}; import sys; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
