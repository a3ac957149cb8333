"""Open a Weights & Biases run and close it on every way out; its trouble never stops the work."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, Protocol, cast

import wandb

from closerlook.redaction import redact
from closerlook.tracking import metric_names as names
from closerlook.tracking.wandb_record import read_record, write_record
from closerlook.tracking.wandb_settings import DEFAULT_PROJECT, WandbSettings, has_key

log = logging.getLogger(__name__)

_FOLDERS = {"WANDB_DATA_DIR": "data", "WANDB_CACHE_DIR": "cache", "WANDB_ARTIFACT_DIR": "artifacts"}
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_P = ParamSpec("_P")


class Described(Protocol):
    """What a run says about itself: a dataclass with a title; runs of one group belong together."""

    @property
    def title(self) -> str:
        """Name for people."""

    @property
    def group(self) -> str:
        """Name of the group."""


@contextmanager
def open_run(
    settings: WandbSettings, *, run_dir: Path, info: Described, config: dict[str, Any], job_type: str
) -> Iterator[wandb.Run]:
    """A W&B run that is finished however the block is left: normally, by an exception, by Ctrl-C.

    Everything that W&B writes goes under ``<run_dir>/wandb``, unless ``WANDB_DIR`` says otherwise. When the server
    cannot be reached or refuses, the run goes on offline; when even that fails, on nothing at all; one warning says
    so. A job that was logged before goes on with its own W&B run. Open it on the first process only.

    Args:
        settings: Where and how to log.
        run_dir: The run's directory.
        info: What the run is (a dataclass); in the run's configuration before its first step.
        config: The resolved configuration; secrets in it are replaced.
        job_type: ``train`` or ``probe``.

    Yields:
        The run.
    """
    run_dir = Path(run_dir).resolve()
    job_type = settings.job_type or job_type
    before = _earlier(run_dir, job_type)
    with _folders_inside(run_dir):
        run = _start(settings, run_dir, info, config, job_type, before.get("id"))
        exit_code = 1
        try:
            _record(run, run_dir, job_type, before)
            yield run
            exit_code = 0
        finally:
            _finish(run, exit_code)


def _earlier(run_dir: Path, job_type: str) -> dict[str, Any]:
    """The record of the same job, if its files are still there: what is trained anew starts a run of its own."""
    entry = read_record(run_dir).get(job_type, {})
    folder, run_id = entry.get("folder"), entry.get("id")
    usable = isinstance(folder, str) and folder and isinstance(run_id, str) and _ID.fullmatch(run_id)
    return entry if usable and (run_dir / str(folder)).is_dir() else {}


@contextmanager
def _folders_inside(run_dir: Path) -> Iterator[None]:
    """Keep artifacts' staging and caches out of the home directory: inside the run's."""
    missing = [name for name in _FOLDERS if name not in os.environ]
    os.environ.update({name: str(run_dir / "wandb" / _FOLDERS[name]) for name in missing})
    (run_dir / "wandb").mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for name in missing:
            os.environ.pop(name, None)


def _start(
    settings: WandbSettings, run_dir: Path, info: Described, config: dict[str, Any], job_type: str, run_id: str | None
) -> wandb.Run:
    """Open the run online, else offline, else a disabled one that takes everything and keeps nothing."""
    modes = ["online", "offline", "disabled"]
    if settings.offline is False and not has_key():
        log.warning("W&B: no API key found (`wandb login`, or WANDB_API_KEY), so the run is kept offline")
    for mode in modes[modes.index(settings.mode) :]:
        try:
            run = _init(settings, run_dir, info, config, job_type, mode, run_id)
        except Exception as error:  # whatever it is, training must go on
            log.warning("W&B: cannot open a run %s: %s", mode, without_key(error))
            continue
        if mode == "online":
            log.info("W&B run: %s", run.url)
        return run
    raise RuntimeError("W&B could not even open a disabled run; use logger=none")


@contextmanager
def _command_line_without_keys() -> Iterator[None]:
    """W&B records the command line that a run was started with; there is no setting for it."""
    given = sys.argv[1:]
    sys.argv[1:] = redact(given)
    try:
        yield
    finally:
        sys.argv[1:] = given


def _init(
    settings: WandbSettings,
    run_dir: Path,
    info: Described,
    config: dict[str, Any],
    job_type: str,
    mode: Any,
    run_id: str | None,
) -> wandb.Run:
    with _command_line_without_keys():
        run = wandb.init(
            mode=mode,
            dir=os.environ.get("WANDB_DIR") or str(run_dir),
            id=run_id,
            resume="allow" if run_id and mode == "online" else None,  # offline, wandb cannot resume
            project=settings.project or DEFAULT_PROJECT,
            entity=settings.entity,
            group=settings.group or info.group,
            name=settings.name or (f"{info.title} (probe)" if job_type == "probe" else info.title),
            job_type=job_type,
            tags=redact(list(settings.tags)),
            notes=redact(settings.notes),
            config=redact(config) | {"run": redact(asdict(cast(Any, info)))},
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
    run.define_metric(names.UPDATE, step_metric=names.EPOCH, hidden=True)
    return run


def _record(run: wandb.Run, run_dir: Path, job_type: str, before: dict[str, Any]) -> None:
    """Note the run in the run directory, so that people and later jobs find it; say so when it is a second one."""
    folder = "" if run.disabled else _relative(run.settings.sync_dir, run_dir)
    earlier = [one for one in [*before.get("earlier", []), before.get("folder")] if one]
    entry: dict[str, Any] = {
        "id": run.id,
        "folder": folder,
        "project": run.project,
        "entity": run.entity,
        "group": run.group,
    }
    sent = {"url": run.url, "path": f"{run.entity}/{run.project}"} if is_online(run) else {"url": None, "path": None}
    entry |= {"name": run.name, "tags": list(run.tags or ()), "earlier": earlier}
    write_record(run_dir, job_type, entry | sent)
    if job_type == "train" and earlier and run.offline and not run.disabled:
        paths = " ".join(str(run_dir / one) for one in [*earlier, folder])
        log.info(
            "W&B: this training goes on from an interrupted one. Offline, W&B keeps it as %d runs of one id; "
            "to send all of it, in order: wandb sync %s (metrics.csv has every row, too)",
            len(earlier) + 1,
            paths,
        )


def _relative(folder: str, run_dir: Path) -> str:
    path = Path(folder).resolve()
    return str(path.relative_to(run_dir)) if path.is_relative_to(run_dir) else str(path)


def harmless(work: Callable[_P, None]) -> Callable[_P, None]:
    """W&B trouble becomes one warning: the results are on disk, and the work must go on."""

    @wraps(work)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            work(*args, **kwargs)
        except Exception as error:  # whatever W&B raises
            target: Any = args[0]
            hint = sync_hint(target) if hasattr(target, "settings") else "see the run directory"
            what = work.__name__.strip("_")
            log.warning("W&B: %s failed (%s). To send what is on disk: %s", what, without_key(error), hint)

    return guarded


def is_online(run: wandb.Run) -> bool:
    """Whether the run is being sent to a server."""
    return not (run.offline or run.disabled)


def sync_hint(run: wandb.Run) -> str:
    """How to send what is on disk to the server."""
    return f"wandb sync {run.settings.sync_dir}"


def _finish(run: wandb.Run, exit_code: int) -> None:
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
    """The error's type and text without keys, should it quote one."""
    return str(redact(f"{type(error).__name__}: {error}"))
