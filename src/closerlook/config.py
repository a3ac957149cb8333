"""The typed schema of the command line, the resolvers that conf/ uses, and where conf/ is."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import math
import os
import re
import stat
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from closerlook.data.task_settings import TaskSettings
from closerlook.errors import UserError
from closerlook.models.encoder_settings import FineTuningSettings, ModelSettings, SnapshotSettings
from closerlook.models.method_settings import MethodSettings, check_method
from closerlook.redaction import redact


@dataclass
class PathSettings:
    """Where things are.

    Attributes:
        data_dir: Source files of the paper's tasks; the environment variable CLOSERLOOK_DATA_DIR sets it.
        runs_dir: Where runs are written.
    """

    data_dir: str = "data"
    runs_dir: str = "runs"


@dataclass
class SweepSettings:
    """How a sweep (``-m``) goes about its jobs.

    Attributes:
        plan: Print what each job would do, and do nothing.
        isolate: Run each job in a process of its own, so that a crash or running out of memory ends only that job.
    """

    plan: bool = False
    isolate: bool = True


@dataclass
class TrainConfig:
    """Settings of train.py.

    Attributes:
        task: Which data.
        model: Which encoder.
        method: What of it is trained.
        finetuning: How it is tuned.
        snapshot: What is stored of the space, and when.
        optimizer: A ``_partial_`` node that makes the optimizer.
        trainer: Arguments of ``pytorch_lightning.Trainer``.
        callbacks: Named callback nodes.
        logger: Named logger nodes.
        paths: Where things are.
        seed: Seeds weights of the head, order of the data and dropout.
        ckpt_path: Checkpoint to resume from; null resumes an interrupted run by itself.
        overwrite: Delete what an earlier run left in the same directory.
        export: Write the tuned model as a folder of transformers, ``<run_dir>/model``.
        estimate: Measure a few batches, print what the job takes (time, memory, disk), and do nothing.
        sweep: How a sweep goes about its jobs.
        tags: Tags of the run.
        variant: What sets the run apart from a plain one of its task, model and seed; part of its directory's name.
        run_dir: The run's directory.
    """

    task: TaskSettings = field(default_factory=TaskSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    method: MethodSettings = field(default_factory=MethodSettings)
    finetuning: FineTuningSettings = field(default_factory=FineTuningSettings)
    snapshot: SnapshotSettings = field(default_factory=SnapshotSettings)
    optimizer: dict[str, Any] = field(default_factory=dict)
    trainer: dict[str, Any] = field(default_factory=dict)
    callbacks: dict[str, Any] | None = field(default_factory=dict)
    logger: dict[str, Any] | None = field(default_factory=dict)
    paths: PathSettings = field(default_factory=PathSettings)
    seed: int = 0
    ckpt_path: str | None = None
    overwrite: bool = False
    export: bool = True
    estimate: bool = False
    sweep: SweepSettings = field(default_factory=SweepSettings)
    tags: list[str] = field(default_factory=list)
    variant: str = ""
    run_dir: str = "???"


@dataclass
class CrossSettings:
    """What is probed of another task's space (``cross_task``), in place of what the run's own space is probed for.

    Attributes:
        probes: Names of probes among the chosen ones; null = all of them.
        steps: As ``steps``; null takes that.
        layers: As ``layers``; null takes that.
        splits: As ``splits``; null takes that.
    """

    probes: list[str] | None = None
    steps: Any = None
    layers: Any = None
    splits: list[str] | None = None


@dataclass
class CheckpointTaskSettings(TaskSettings):
    """The texts that run through ``checkpoints``: train.py's ``task``, without a default.

    Attributes:
        name: As there; empty = none was chosen.
    """

    name: str = ""


@dataclass
class CheckpointModelSettings(ModelSettings):
    """How the models in ``checkpoints`` are read: train.py's ``model`` for all of them.

    Attributes:
        name: Name of the run in directories and dashboards; empty = made of the checkpoints' names.
        source: The base of PEFT adapters, where it is not what their adapter_config.json names.
        tokenizer: The tokenizer of checkpoints that hold none.
    """

    name: str = ""


@dataclass
class ProbeConfig:
    """Settings of probe.py.

    Attributes:
        run_dir: Directory of the run to probe, as train.py printed it.
        checkpoints: Instead of a run: models that exist, in order, whose spaces are stored as a run's first: folders,
            hub ids (``id@revision``), PEFT adapters, a Trainer's output folder with its ``checkpoint-*``, .gguf files,
            names of ``conf/model``.
        task: With ``checkpoints``: which data, as in train.py.
        model: With ``checkpoints``: how they are read.
        snapshot: With ``checkpoints``: what is stored of their spaces.
        cross_task: Probe another task's examples in the encoder that ``run_dir`` tuned (E5), e.g. ``ps_fxn``, or
            several: ``[pos,ps_fxn]``. With ``runs``, in each of the runs; ``all`` takes the tasks of those runs.
        cross: What is probed of another task's space.
        runs: Instead of a run: join all runs below this directory into tables, claims and figures.
        each: With ``runs``: first probe every finished run, then join. A ``study`` sets it.
        select: With ``runs``: only runs whose path has this text in it; ``*`` stands for any text.
        serve: With ``runs``: show them on a local page that fills while they are trained.
        port: The page's port on this machine; 0 = a free one.
        dashboards: With ``runs``: ``dry_run`` writes the W&B workspace and report as JSON, ``save`` sends them.
        vectors: Instead of a run: your own vectors (.npy, .npz, .parquet, .safetensors).
        labels: Labels of ``vectors``, one a line (.txt) or an array; null when the file holds them.
        released_dir: Instead of a run: a folder of the released DirectProbe code.
        as_released: With ``released_dir``: drop clusters of 5 points or fewer and write 0 for missing
            pairs, as the released code does.
        output_dir: Where results go: of ``vectors`` or ``released_dir``, of joined ``runs``, or of a ``run_dir`` that
            cannot be written to; null = beside what is read. With ``checkpoints``: the run directory that is made (in
            a sweep, the folder of all of them); null = below ``paths.runs_dir``, like a trained run's.
        show: Instead of probing, show single examples of a probed run: ``witnesses``, ``suspects`` or ``moved``.
        label: With ``show``: only of this label.
        show_rows: With ``show``: rows of a table.
        probe: Named probe nodes.
        steps: ``all``, ``first_last``, or a list of steps.
        layers: ``all``, ``blocks`` (without the embeddings), ``last``, or a list of layers.
        splits: Splits to look at.
        scopes: Steps, layers and splits of single probes, by name; one mapping or a list of them.
        trust_remote_code: Run code that comes with a run's model, to rebuild its encoder (``random_encoder``,
            ``cross_task``). What the run's own files say of it is not followed: they may come from somebody else.
        random_encoder: Also run the classifier probes on an untrained encoder of the same architecture.
        n_jobs: Processes; -1 = all cores.
        cluster: Spread the work over a cluster: ``dask``, ``ray``, ``dask@tcp://host:8786`` or ``ray@host:6379``.
        report: Write report.html.
        verify: Compare every stored vector file with its checksum first.
        logger: Named logger nodes.
        paths: Where things are.
        tags: Tags of the run.
    """

    run_dir: str | None = None
    checkpoints: Any = None
    task: CheckpointTaskSettings = field(default_factory=CheckpointTaskSettings)
    model: CheckpointModelSettings = field(default_factory=CheckpointModelSettings)
    snapshot: SnapshotSettings = field(default_factory=SnapshotSettings)
    cross_task: Any = None
    cross: CrossSettings = field(default_factory=CrossSettings)
    runs: str | None = None
    each: bool = False
    select: str | None = None
    serve: bool = False
    port: int = 8765
    dashboards: Any = None
    vectors: str | None = None
    labels: str | None = None
    released_dir: str | None = None
    as_released: bool = False
    output_dir: str | None = None
    show: str | None = None
    label: str | None = None
    show_rows: int = 20
    probe: dict[str, Any] = field(default_factory=dict)
    steps: Any = "all"
    layers: Any = "all"
    splits: list[str] = field(default_factory=lambda: ["train", "test"])
    scopes: dict[str, Any] = field(default_factory=dict)
    trust_remote_code: bool = False
    random_encoder: bool = False
    n_jobs: int = -1
    cluster: str | None = None
    report: bool = True
    verify: bool = False
    logger: dict[str, Any] | None = field(default_factory=dict)
    paths: PathSettings = field(default_factory=PathSettings)
    tags: list[str] = field(default_factory=list)


IDENTITY_KEYS = ("task", "model", "method", "finetuning", "snapshot", "optimizer", "trainer", "callbacks", "seed")
"""Settings that decide what a run computes; the others decide where it goes and who sees it."""

_WITHOUT_EFFECT = {
    "trainer": ("enable_progress_bar", "enable_model_summary", "default_root_dir", "log_every_n_steps"),
    "callbacks": ("progress",),
    "task": ("data_dir", "download"),  # the files themselves are in the run's checksums
}
_NOT_IN_NAME = re.compile(
    r"^(task|model|seed|overwrite|export|ckpt_path|estimate|tags|run_dir|variant)$"
    r"|^(sweep|logger|paths|hydra)([.@/].*)?$"
    r"|^trainer\.(enable_progress_bar|enable_model_summary|default_root_dir|log_every_n_steps)$"
    r"|^callbacks\.progress(\..*)?$|^task\.(data_dir|download|name)$|^model\.name$"
)
"""Settings that decide nothing, as in :func:`identity`, and those that the directory's other folders name."""
_NAME_LENGTH = 100


def config_dir() -> Path:
    """The folder of conf/: the packaged copy if there is one, else the checkout's.

    Raises:
        FileNotFoundError: Neither is there.
    """
    here = Path(__file__).resolve().parent
    for folder in (here / "conf", here.parents[1] / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise FileNotFoundError(
        f"conf/ is missing: expected {here / 'conf'} (installed) or {here.parents[1] / 'conf'} (checkout). "
        "Install closerlook again"
    )


def typed(config: DictConfig) -> Any:
    """The settings of a command as the dataclass that is their schema, resolved.

    Args:
        config: What Hydra composed from ``train_schema`` or ``probe_schema``.

    Returns:
        A :class:`TrainConfig` or a :class:`ProbeConfig`; nodes that ``hydra.utils.instantiate`` takes (optimizer,
        trainer, callbacks, logger, probe) stay plain dictionaries.
    """
    try:
        made: Any = OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        raise UserError(" ".join(str(error).split(" object_type=")[0].split())) from error
    refuse_unknown_keys(config, type(made))
    _check_ranges(made)
    return made


def refuse_unknown_keys(config: DictConfig, schema: type, prefix: str = "") -> None:
    """Refuse settings that the schema does not have: ``+key=value``, Hydra's own hint after a typo, adds any.

    Args:
        config: What Hydra composed; ``hydra`` itself may be in it.
        schema: The dataclass that it is of.
        prefix: Where it stands, with a dot at the end.

    Raises:
        UserError: There is such a setting; the message names the nearest one.
    """
    known = {one.name: one.default_factory for one in fields(schema)}
    for key in config:
        name = str(key)
        if not (name == "hydra" and not prefix):
            refuse_unknown_name([name], schema, prefix)
        if is_dataclass(inner := known.get(name)) and isinstance(inner, type):
            refuse_unknown_keys(config[key], inner, f"{prefix}{name}.")


def refuse_unknown_name(parts: Sequence[str], schema: type, prefix: str = "") -> None:
    """Refuse a setting that the schema does not have; what its nodes without a schema hold is not known here.

    Args:
        parts: The setting's name, cut at the dots.
        schema: The dataclass that it is of.
        prefix: Where that stands, with a dot at the end.

    Raises:
        UserError: There is no such setting; the message names the nearest one.
    """
    known = {one.name: one.default_factory for one in fields(schema)}
    if not parts:
        return
    if parts[0] not in known:
        near = difflib.get_close_matches(parts[0], known, n=1, cutoff=0.5)
        hint = f"did you mean {prefix}{near[0]}?" if near else f"expected one of {', '.join(known)}"
        raise UserError(f"{prefix}{parts[0]}: there is no such setting; {hint}")
    if is_dataclass(inner := known[parts[0]]) and isinstance(inner, type):
        refuse_unknown_name(parts[1:], inner, f"{prefix}{parts[0]}.")


_RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**32 - 1),
    "finetuning.epochs": (0, math.inf),
    "finetuning.batch_size": (1, math.inf),
    "finetuning.eval_batch_size": (1, math.inf),
    "finetuning.learning_rate": (0, math.inf),
    "finetuning.layer_decay": (1e-6, 1),
    "snapshot.batch_size": (1, math.inf),
    "snapshot.max_examples": (1, math.inf),
}


def _check_ranges(config: Any) -> None:
    """Refuse numbers that nothing can be computed with, before anything is loaded.

    Raises:
        UserError: There is one.
    """
    if isinstance(config, ProbeConfig):
        if config.n_jobs == 0 or config.n_jobs < -1:
            raise UserError(f"n_jobs={config.n_jobs}: expected the number of processes, or -1 for all cores")
        return
    for name, (low, high) in _RANGES.items():
        value: Any = config
        for part in name.split("."):
            value = getattr(value, part)
        if value is not None and not low <= value <= high:
            most = "" if high == math.inf else f" and at most {high}"
            raise UserError(f"{name}={value}: expected at least {low}{most}")
    check_method(config.method)


def as_yaml(config: TrainConfig) -> str:
    """The settings as ``config.yaml`` holds them: without keys."""
    return OmegaConf.to_yaml(OmegaConf.create(_each_text(redact(asdict(config)), _hide))).replace(_HIDDEN, "${")


def stored(run_dir: Path) -> TrainConfig:
    """The settings of a run, as its ``config.yaml`` holds them; see :func:`from_plain`.

    Raises:
        RunError: The file is missing or damaged, or holds a setting that this version does not know.
    """
    from closerlook.results.run import RunError  # brings pandas along, which start-up does without
    from closerlook.results.run_dir import RunDir

    plain = RunDir(Path(run_dir)).config()
    if not plain:
        raise RunError(f"{run_dir} has no config.yaml, so how it was trained is not known. Train it again")
    return from_plain(plain | {"run_dir": str(run_dir)})  # it may have been moved


def from_plain(plain: dict[str, Any]) -> TrainConfig:
    """The settings of a run from plain values.

    A run directory may come from anybody: nothing in them is looked up (``${oc.env:...}`` is a text like any other).
    Settings that the run's version did not have take their default.

    Raises:
        RunError: A setting is of another type, or not known in this version.
    """
    from closerlook.results.run import RunError  # brings pandas along, which start-up does without

    try:
        hidden = OmegaConf.create(_each_text({"run_dir": ""} | _renamed(plain), _hide))
        return _shown(OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(TrainConfig), hidden)))
    except (ValueError, TypeError, OmegaConfBaseException) as error:
        raise RunError(
            f"the settings of the run in {plain.get('run_dir')} cannot be read ({' '.join(str(error).split())[:200]}): "
            "expected those that train.py of this version wrote. Train the run again with overwrite=true"
        ) from error


def _renamed(plain: dict[str, Any]) -> dict[str, Any]:
    """The settings with ``finetuning.freeze_encoder``, of earlier versions, as the method that it was."""
    tuning = plain.get("finetuning")
    if not isinstance(tuning, dict) or "freeze_encoder" not in tuning:
        return plain
    kept = {key: value for key, value in tuning.items() if key != "freeze_encoder"}
    return {"method": {"name": "head" if tuning["freeze_encoder"] else "full"}} | plain | {"finetuning": kept}


_HIDDEN = "$\ue000{"
"""Stands for ``${`` while OmegaConf is at work, so that it resolves nothing."""


def _hide(text: str) -> str:
    return text.replace("${", _HIDDEN)


def _shown(tree: Any) -> Any:
    """The same settings with ``${`` in its place again, also inside dataclasses."""
    if is_dataclass(tree) and not isinstance(tree, type):
        return type(tree)(**{one.name: _shown(getattr(tree, one.name)) for one in fields(tree)})
    return _each_text(tree, lambda text: text.replace(_HIDDEN, "${"))


def _each_text(tree: Any, change: Callable[[str], str]) -> Any:
    if isinstance(tree, dict):
        return {key: _each_text(value, change) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_each_text(value, change) for value in tree]
    return change(tree) if isinstance(tree, str) else tree


def register() -> None:
    """Register the schemas and resolvers; safe to call more than once."""
    store = ConfigStore.instance()
    store.store(name="train_schema", node=TrainConfig)
    store.store(name="probe_schema", node=ProbeConfig)
    OmegaConf.register_new_resolver("closerlook.variant", _variant_of_command, replace=True)
    OmegaConf.register_new_resolver("closerlook.run_name", _run_name, replace=True)
    OmegaConf.register_new_resolver("closerlook.output_dir", _output_dir, replace=True)
    OmegaConf.register_new_resolver("closerlook.paper_epochs", paper_epochs, replace=True)
    OmegaConf.register_new_resolver("closerlook.folder", folder_name, replace=True)
    OmegaConf.register_new_resolver("closerlook.groups", groups, replace=True)
    OmegaConf.register_new_resolver("closerlook.directory", _log_directory, replace=True)


def _log_directory(run_dir: Any, output_dir: Any, runs: Any) -> str:
    """Where the log of probe.py goes: what it writes or reads; a mistyped run is not made, but looked for elsewhere."""
    if output_dir is not None:
        return str(output_dir)
    wanted = Path(str(run_dir or runs or "."))
    writable = wanted.is_dir() and os.access(wanted, os.W_OK)
    linked = (wanted / "probe.log").is_symlink()  # of a received run, say: nothing is written through it
    return str(wanted) if writable and not linked else _private_folder()


def _private_folder() -> str:
    """A folder of this user's own below the shared temporary one: nobody else can have put a file or link there."""
    path = Path(tempfile.gettempdir()) / f"closerlook-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022:
        return str(path)
    return tempfile.mkdtemp(prefix="closerlook-")


def groups(app: str) -> str:
    """The groups in a command's defaults list with their files, a line a group: what its ``--help`` shows.

    Hydra's own list is of all folders in conf/, those of the other command too.

    Args:
        app: ``train`` or ``probe``.
    """
    defaults: Any = OmegaConf.load(config_dir() / f"{app}.yaml").defaults
    names = sorted(str(name) for node in defaults if not isinstance(node, str) for name in node if name != "hydra")
    files = {name: sorted(path.stem for path in (config_dir() / name).glob("*.yaml")) for name in names}
    return "\n".join(f"{name}: {', '.join(choices)}" for name, choices in files.items())


def variant(overrides: Iterable[Any]) -> str:
    """What sets a run apart from a plain one of its task, model and seed: the other overrides that have an effect.

    Args:
        overrides: The command line's overrides, e.g. ``["task=pos", "finetuning.epochs=1"]``.

    Returns:
        ``"epochs-1"``, or an empty text. Settings go by the last part of their name where it is clear which. Only
        characters that Hydra takes unquoted on a command line are used; what cannot be told from it (long names,
        paths) is told apart by a digest.
    """
    split = [str(one).lstrip("+").partition("=") for one in overrides]
    kept = {key: value for key, _, value in split if not _NOT_IN_NAME.match(key.lstrip("~"))}
    last = Counter(key.rpartition(".")[2] for key in kept)
    parts = []
    for key in sorted(kept):
        short = key.rpartition(".")[2]
        value = kept[key]
        if "/" in value:
            value = f"{value.rstrip('/').rpartition('/')[2]}-{_digest(value, 6)}"
        parts.append(f"{short if last[short] == 1 else key}-{value}".rstrip("-"))
    name = "__".join(re.sub(r"[^A-Za-z0-9._+-]+", "-", part).strip("-") for part in parts)
    return name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 9]}-{_digest(repr(sorted(kept.items())), 8)}"


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def _variant_of_command() -> str:
    """The variant of the command that Hydra is at work for; empty where a configuration is composed without one."""
    return variant(HydraConfig.get().overrides.task) if HydraConfig.initialized() else ""


def _run_name(seed: Any, variant: str) -> str:
    """The last folder of a run's directory: ``seed-0``, ``seed-0__epochs-1``."""
    return f"seed-{seed}__{variant}" if variant else f"seed-{seed}"


def _output_dir() -> str:
    """Where the run is written. Hydra knows only when it starts a job; ``--cfg job --resolve`` shows where it would."""
    if not HydraConfig.initialized():
        raise ValueError("run_dir is not set: expected run_dir=<directory> where no command is run")
    hydra = HydraConfig.get()
    return str(hydra.run.dir if OmegaConf.is_missing(hydra.runtime, "output_dir") else hydra.runtime.output_dir)


def folder_name(name: Any) -> str:
    """A task's or model's name as one folder: whatever it holds, runs stay below ``paths.runs_dir``.

    Returns:
        ``"google-bert"`` for ``"google/bert"``, ``"x"`` for ``"../x"``.
    """
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", str(name)).strip(".-") or "unnamed"


def paper_epochs(model: str) -> int:
    """Epochs in the paper: 10, and 3 for BERT-base (Zhou & Srikumar 2022, appendix)."""
    return 3 if model == "bert_base" else 10


def identity(config: TrainConfig) -> dict[str, Any]:
    """The part of the settings that decides what is computed."""
    plain = asdict(config)
    kept = {key: plain[key] for key in IDENTITY_KEYS}
    for node, names in _WITHOUT_EFFECT.items():
        kept[node] = {name: value for name, value in (kept[node] or {}).items() if name not in names}
    return kept
