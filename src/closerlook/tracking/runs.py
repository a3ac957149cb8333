"""Open a Weights & Biases run and close it on every way out; its trouble never stops the work."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from closerlook.files import write_json
from closerlook.redaction import redact
from closerlook.results.run import RunInfo
from closerlook.tracking import metric_names as names
from closerlook.tracking.settings import WandbSettings, has_key

if TYPE_CHECKING:
    from wandb import Run

log = logging.getLogger(__name__)

RECORD_FILE = "wandb.json"
"""In the run directory: id, folder and address of the W&B run of each job type."""

_FOLDERS = {"WANDB_DATA_DIR": "data", "WANDB_CACHE_DIR": "cache", "WANDB_ARTIFACT_DIR": "artifacts"}


@contextmanager
def open_run(
    settings: WandbSettings, *, run_dir: Path, info: RunInfo, config: dict[str, Any], job_type: str
) -> Iterator[Run]:
    """A W&B run that is finished however the block is left: normally, by an exception, by Ctrl-C.

    Everything that W&B writes goes under ``<run_dir>/wandb``. When the server cannot be reached or refuses,
    the run goes on offline; when even that fails, on nothing at all; one warning says so. Open it on the
    first process only.

    Args:
        settings: Where and how to log.
        run_dir: The run's directory.
        info: What the run is; in the run's configuration before its first step.
        config: The resolved configuration; secrets in it are replaced.
        job_type: ``train`` or ``probe``.

    Yields:
        The run.
    """
    run_dir = Path(run_dir).resolve()
    job_type = settings.job_type or job_type
    with _folders_inside(run_dir):
        run = _start(settings, run_dir, info, config, job_type)
        exit_code = 1
        try:
            _record(run, run_dir, job_type)
            yield run
            exit_code = 0
        finally:
            _finish(run, exit_code)


@contextmanager
def _folders_inside(run_dir: Path) -> Iterator[None]:
    """Keep artifacts' staging and caches out of the home directory: inside the run's."""
    before = {name: os.environ.get(name) for name in _FOLDERS}
    os.environ.update({name: str(run_dir / "wandb" / folder) for name, folder in _FOLDERS.items()})
    (run_dir / "wandb").mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _start(settings: WandbSettings, run_dir: Path, info: RunInfo, config: dict[str, Any], job_type: str) -> Run:
    """Open the run online, else offline, else a disabled one that takes everything and keeps nothing."""
    modes = ["offline", "disabled"] if settings.is_offline() else ["online", "offline", "disabled"]
    if settings.offline is False and not has_key():
        log.warning("W&B: no API key found (`wandb login`, or WANDB_API_KEY), so the run is kept offline")
    for mode in modes:
        try:
            run = _init(settings, run_dir, info, config, job_type, mode)
        except Exception as error:  # whatever it is, training must go on
            log.warning("W&B: cannot open a run %s: %s", mode, without_key(error))
            continue
        if mode == "online":
            log.info("W&B run: %s", run.url)
        return run
    raise RuntimeError("W&B could not even open a disabled run; use logger=none")


def _init(
    settings: WandbSettings, run_dir: Path, info: RunInfo, config: dict[str, Any], job_type: str, mode: Any
) -> Run:
    # wandb's reports about itself wait up to 30 s at exit for a server that does not answer.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    run = wandb.init(
        mode=mode,
        dir=str(run_dir),
        project=settings.project,
        entity=settings.entity,
        group=settings.group or info.group,
        name=settings.name or info.title,
        job_type=job_type,
        tags=list(settings.tags),
        notes=settings.notes,
        config=redact(config) | {"run": redact(asdict(info))},
        reinit="finish_previous",  # a run that somebody forgot must not receive this job's numbers
        settings=wandb.Settings(
            init_timeout=settings.init_timeout,
            finish_timeout=settings.finish_timeout,
            finish_timeout_raises=True,  # so that the warning can say how to send the rest
            silent=True,  # the lines that matter are logged here
            disable_code=True,
        ),
    )
    run.define_metric(names.EPOCH, hidden=True)
    run.define_metric(names.UPDATE, step_metric=names.EPOCH)
    return run


def _record(run: Run, run_dir: Path, job_type: str) -> None:
    """Note the run in the run directory, so that people and later jobs find it."""
    record = read_record(run_dir)
    record[job_type] = {
        "id": run.id,
        "folder": str(run_folder(run, run_dir) or ""),
        "url": run.url if is_online(run) else None,
        "path": f"{run.entity}/{run.project}" if is_online(run) else None,
    }
    write_json(run_dir / RECORD_FILE, record)


def read_record(run_dir: Path) -> dict[str, Any]:
    """The W&B runs of a run directory by job type; empty when there are none."""
    path = Path(run_dir) / RECORD_FILE
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def is_online(run: Run) -> bool:
    """Whether the run is being sent to a server."""
    return not (run.offline or run.disabled)


def run_folder(run: Run, run_dir: Path) -> Path | None:
    """The folder that W&B writes the run into, relative to the run directory; None for a disabled run."""
    if run.disabled:
        return None
    return Path(run.settings.sync_dir).relative_to(Path(run_dir).resolve())


def sync_hint(run: Run) -> str:
    """How to send what is on disk to the server."""
    return f"wandb sync {run.settings.sync_dir}"


def _finish(run: Run, exit_code: int) -> None:
    offline, online = run.offline and not run.disabled, is_online(run)
    try:
        run.finish(exit_code=exit_code)
    except Exception as error:  # the results are on disk; a failing upload must not hide how the job ended
        log.warning("W&B: the run did not end well (%s). To send it: %s", without_key(error), sync_hint(run))
        return
    if offline:
        log.info("W&B: kept offline. To send it: %s", sync_hint(run))
    elif online:  # wandb does not tell when it gave up on a part
        log.info("W&B: sent to %s. Should anything be missing there: %s", run.url, sync_hint(run))


def without_key(error: BaseException) -> str:
    """The error's text without the API key, should it quote it."""
    text = str(redact(f"{type(error).__name__}: {error}"))
    key = os.environ.get("WANDB_API_KEY", "")
    return text.replace(key, "***") if key else text
