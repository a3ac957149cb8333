"""A run read back from its directory: everything that dashboards, reports and notebooks draw from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from closerlook.errors import UserError
from closerlook.files import write_json
from closerlook.results.store import CELLS_FILE, ResultStore

RUN_FILE = "run.json"
CONFIG_FILE = "config.yaml"
RESULTS_FOLDER = "results"
SNAPSHOTS_FOLDER = "snapshots"
HISTORY_FILE = "metrics.csv"
REPORT_FILE = "report.html"


class RunError(UserError):
    """A run directory that cannot be used; the message says what is missing and what to do."""


@dataclass(frozen=True)
class RunInfo:
    """What a run is, written before its first step.

    Attributes:
        task: The task's name.
        level: ``word``, ``pair`` or ``sentence``.
        model: The model setting's name, e.g. ``minilm_l6``.
        model_source: The hub id, package or path the weights came from.
        model_revision: Revision or SHA-256 of the weights.
        seed: The seed.
        label_names: The classes, sorted.
        n_layers: Number of blocks; layers go from 0 (embeddings) to ``n_layers``.
        hidden_size: Length of a hidden vector.
        n_train: Number of training examples.
        n_test: Number of test examples.
        n_epochs: Planned number of epochs.
        n_updates: Planned number of optimizer updates.
        created: Time of the start, ISO 8601 with zone.
        git_commit: Commit of the checkout, or empty when there is none.
        versions: Versions of the packages that matter.
        checksums: Digest of every data file.
        notes: Sentences about the data that a reader of the results should know.
    """

    task: str
    level: str
    model: str
    model_source: str
    model_revision: str
    seed: int
    label_names: tuple[str, ...]
    n_layers: int
    hidden_size: int
    n_train: int
    n_test: int
    n_epochs: int
    n_updates: int
    created: str
    git_commit: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    checksums: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """Runs that differ only in their seed share a group: ``task/model``."""
        return f"{self.task}/{self.model}"

    @property
    def title(self) -> str:
        """A name for people: ``task/model/seed=0``."""
        return f"{self.group}/seed={self.seed}"

    def save(self, run_dir: Path) -> None:
        """Write ``run.json`` into the run directory, all or nothing."""
        write_json(run_dir / RUN_FILE, asdict(self))

    @classmethod
    def load(cls, run_dir: Path) -> RunInfo:
        """Read ``run.json``.

        Raises:
            RunError: The directory or its ``run.json`` is missing, damaged, or was written by another version.
        """
        path = Path(run_dir) / RUN_FILE
        if not path.is_file():
            raise RunError(
                f"no run in {run_dir}: expected the file {RUN_FILE}, which train.py writes. "
                "Pass the directory that train.py printed, e.g. run_dir=runs/bbc_topics/minilm_l6/seed-0"
            )
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
        except (ValueError, AttributeError, RecursionError) as error:
            raise RunError(
                f"{path} is damaged ({error}): expected what train.py wrote. Run train.py again with overwrite=true"
            ) from error
        try:
            return cls(**values)
        except TypeError as error:
            raise RunError(f"{path} was written by another version of closerlook ({error}). Train again.") from error


@dataclass(frozen=True)
class RunResults:
    """All that is known of one run.

    Attributes:
        run_dir: Its directory.
        info: What the run is; None for vectors that closerlook did not train.
        config: The resolved configuration as plain dictionaries.
        table: Tidy results, columns of :data:`closerlook.results.rows.COLUMNS`.
        history: Training metrics: columns ``step``, ``epoch`` and one per metric, NaN where not logged.
    """

    run_dir: Path
    info: RunInfo
    config: dict[str, Any]
    table: pd.DataFrame
    history: pd.DataFrame


def load_run(run_dir: Path) -> RunResults:
    """Read a run's results back from disk; works while it is still training or probing.

    Raises:
        RunError: There is no run in ``run_dir``, or it has not been probed.
    """
    run_dir = Path(run_dir)
    info = RunInfo.load(run_dir)
    folder = run_dir / RESULTS_FOLDER
    if not (folder / CELLS_FILE).exists():
        raise RunError(f"{run_dir} has no results yet: run `python probe.py run_dir={run_dir}` first")
    return RunResults(run_dir, info, load_config(run_dir), ResultStore(folder).table(), load_history(run_dir))


def load_config(run_dir: Path) -> dict[str, Any]:
    """The run's resolved configuration; empty when it has none.

    Raises:
        RunError: The file is damaged.
    """
    path = Path(run_dir) / CONFIG_FILE
    if not path.exists():
        return {}
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError  # type: ignore[import-untyped]

    try:
        return dict(OmegaConf.to_container(OmegaConf.load(path), resolve=True))  # type: ignore[arg-type]
    except (OSError, ValueError, TypeError, RecursionError, YAMLError, OmegaConfBaseException) as error:
        raise RunError(
            f"{path} is damaged ({type(error).__name__}): expected the settings that train.py wrote. "
            "Run train.py again with overwrite=true"
        ) from error


def load_history(run_dir: Path) -> pd.DataFrame:
    """The training metrics that were logged, in order; an empty table when there are none.

    Raises:
        RunError: The file is damaged.
    """
    path = Path(run_dir) / HISTORY_FILE
    if not path.exists() or path.stat().st_size == 0:
        return pd.DataFrame({"step": pd.Series(dtype="int64"), "epoch": pd.Series(dtype="float64")})
    try:
        history = pd.read_csv(path)
        if history.dtypes.map(pd.api.types.is_numeric_dtype).all() and "step" in history:
            return history
    except ValueError as error:  # pandas' parser errors and wrong encodings are ValueErrors
        raise _damaged_history(path, str(error)) from error
    raise _damaged_history(path, f"columns {', '.join(map(str, history.columns[:5]))}")


def _damaged_history(path: Path, got: str) -> RunError:
    return RunError(
        f"{path} is damaged: got {got[:150]}, expected a column 'step' and numbers. "
        "Delete it (it holds the training curves only), or run train.py again with overwrite=true"
    )
