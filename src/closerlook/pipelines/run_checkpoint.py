"""The last checkpoint of a run: whole, the run's own, and read as tensors only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from closerlook.callbacks.checkpoint_file import check_checkpoint
from closerlook.files import sha256_of
from closerlook.results.run import RunError
from closerlook.results.run_dir import RunDir


def require_checkpoint(run: RunDir) -> Path:
    """The file of a run's last checkpoint.

    Raises:
        RunError: There is none.
    """
    path = run.last_checkpoint
    if not path.is_file():
        raise RunError(
            f"{run.root} has no {path.relative_to(run.root)}, so there is no tuned encoder to look into. "
            "Run its train.py command again (callbacks=default keeps the last checkpoint)"
        )
    return path


def intact_digest(run: RunDir) -> str:
    """SHA-256 of the last checkpoint, compared with the one that was recorded when training ended.

    Computed once a process as long as the file is the same: checkpoints are large.

    Raises:
        RunError: The checkpoint is missing, damaged, or another one.
    """
    path = require_checkpoint(run)
    stat = path.stat()
    key = (path.resolve(), stat.st_mtime_ns, stat.st_size)
    if key not in _digests:
        expected = run.seal_of(path)
        if expected is None:  # an earlier version trained the run
            check_checkpoint(path)
        _digests[key] = sha256_of(path)
        if expected not in (None, _digests[key]):
            del _digests[key]
            raise RunError(
                f"{path} is damaged, or the checkpoint of another run: its SHA-256 is not the one that was recorded "
                "when training ended. Put the old file back, or train the run again with overwrite=true"
            )
    return _digests[key]


_digests: dict[tuple[Path, int, int], str] = {}


def read_checkpoint(run: RunDir) -> tuple[int, dict[str, Any]]:
    """The number of updates that the last checkpoint is of, and its weights, mapped from the file; no code is run.

    Raises:
        RunError: It was written before the first update.
    """
    import torch  # seconds to load

    path = run.last_checkpoint
    content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    step = int(content["global_step"])
    if step < 1:
        raise RunError(f"{path} was written before the first update; train the run first")
    return step, content["state_dict"]
