"""What a run directory knows of its Weights & Biases runs. Read by the commands' last lines: wandb is not imported."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from closerlook.files import write_json

log = logging.getLogger(__name__)

RECORD_FILE = "wandb.json"
"""In the run directory: id, folder, address and names of the W&B run of each job type."""


def read_record(run_dir: Path) -> dict[str, dict[str, Any]]:
    """The W&B runs of a run directory by job type; empty when there are none, or when the file is damaged.

    Nothing depends on it but where W&B goes on, so that damage is no reason to stop.
    """
    path = Path(run_dir) / RECORD_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        log.warning("%s is damaged (%s): its W&B runs are not gone on with", path, type(error).__name__)
        return {}
    known = content.items() if isinstance(content, dict) else ()
    return {str(job): entry for job, entry in known if isinstance(entry, dict)}


def write_record(run_dir: Path, job_type: str, entry: dict[str, Any]) -> None:
    """Note a job's W&B run in the run directory."""
    write_json(Path(run_dir) / RECORD_FILE, read_record(run_dir) | {job_type: entry})
