"""Which other tasks an encoder is looked into with, with which settings, and what is probed of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from closerlook.config import ProbeConfig
from closerlook.data.task_settings import TaskSettings
from closerlook.pipelines.cross_task import task_settings
from closerlook.results.run import RunError
from closerlook.results.run_dir import RunDir

ALL_TASKS = "all"
_ALIKE = ("model", "finetuning", "snapshot", "seed")


def task_names(wanted: Any) -> list[str]:
    """The names in ``cross_task=``, each once.

    Raises:
        RunError: It is neither a name nor a list of names.
    """
    names = [wanted] if isinstance(wanted, str) else list(wanted or [])
    if not names or not all(isinstance(name, str) and name for name in names):
        raise RunError(f"cross_task={wanted}: expected a task or several, e.g. cross_task=[pos,ps_fxn]")
    return list(dict.fromkeys(names))


def for_other_tasks(config: ProbeConfig) -> ProbeConfig:
    """The settings of probing another task's space: ``config.cross`` in place of what the own one is probed for.

    Raises:
        RunError: ``cross.probes`` names a probe that is not chosen.
    """
    cross = config.cross
    probe = config.probe
    if cross.probes is not None:
        if missing := [name for name in cross.probes if name not in probe]:
            raise RunError(
                f"cross.probes={list(cross.probes)}: {missing[0]} is not among the chosen probes: {', '.join(probe)}"
            )
        probe = {name: probe[name] for name in cross.probes}
    chosen = {key: getattr(cross, key) for key in ("steps", "layers", "splits") if getattr(cross, key) is not None}
    return replace(
        config,
        **chosen,
        probe=probe,
        scopes={} if chosen else config.scopes,
        random_encoder=False,  # the runs of that task have it
    )


@dataclass(frozen=True)
class OtherTask:
    """Another task, as the runs below a directory have it.

    Attributes:
        settings: Its settings.
        pretrained: A run of it that starts from the same pre-trained encoder; None when there is none.
    """

    settings: TaskSettings
    pretrained: RunDir | None = None


def task_of_sibling(
    name: str, config: dict[str, Any], others: Mapping[Path, dict[str, Any]], data_dir: str
) -> OtherTask:
    """Settings of another task: those of a run that was tuned on it, or else of its file in ``conf/task``.

    So the space is of the examples that the run of that task has, its own data files included. A run with the same
    model, then the same settings and seed, comes before others.

    Args:
        name: The other task.
        config: Configuration of the run whose encoder is looked into.
        others: Configurations of all runs, by folder.
        data_dir: Stands in for a folder of source files that is not there.

    Raises:
        RunError: No run was tuned on it, and it is no task of ``conf/task``.
    """
    siblings = {path: other for path, other in others.items() if (other.get("task") or {}).get("name") == name}
    if not siblings:
        return OtherTask(task_settings(name, data_dir=data_dir))
    alike = {path: [other.get(key) == config.get(key) for key in _ALIKE] for path, other in siblings.items()}
    nearest = max(siblings, key=lambda path: alike[path])
    settings = dict(siblings[nearest]["task"])
    if not Path(settings.get("data_dir") or ".").is_dir():  # the runs were made on another machine
        settings["data_dir"] = data_dir
    same_encoder = alike[nearest][0] and not config["model"].get("random_init")  # its weights depend on the seed
    return OtherTask(TaskSettings(**settings), RunDir(nearest) if same_encoder else None)
