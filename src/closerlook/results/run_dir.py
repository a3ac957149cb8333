"""The one place that knows what a run directory holds, where, and how it is read."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from closerlook.files import sha256_of, write_text
from closerlook.results.plain_yaml import read_plain_yaml
from closerlook.results.run import CrossOrigin, RunError, RunInfo, RunResults, RunState
from closerlook.results.sealed import from_plain, read_sealed, write_sealed
from closerlook.results.store import ResultStore
from closerlook.results.tables import example_rows, numbers_of

RUN_FILE = "run.json"
CROSS_FOLDER = "cross"
MODEL_FOLDER = "model"
MODEL_WRITING = ".model.writing"
"""Where an export is until it is whole."""
_AGAIN = "Run train.py again with overwrite=true"
_OLD_NAME = re.compile(r"^seed-\d+(?:__(?P<variant>.+))?$")


@dataclass(frozen=True)
class RunDir:
    """A run directory. Nothing is read or made until it is asked for.

    ::

        run.json  config.yaml  state.json  checksums.json  metrics.csv  .lock
        checkpoints/last.ckpt  best.ckpt
        model/                 the tuned encoder for transformers
        snapshots/             hidden states, see closerlook.representations
        results/               cells.jsonl, results.parquet, arrays/
        report.html  space.html
        cross/<task>/          run directories of other tasks in this run's encoder, with cross.json
        random_encoder/        the same examples in an untrained encoder
        wandb/

    Attributes:
        root: The directory.
        output: Where results, report and the untrained encoder's space go; None = ``root``. For runs that cannot be
            written to.
    """

    root: Path
    output: Path | None = None

    @property
    def info_file(self) -> Path:
        """What the run is (:class:`closerlook.results.run.RunInfo`)."""
        return self.root / RUN_FILE

    @property
    def config_file(self) -> Path:
        """The resolved configuration."""
        return self.root / "config.yaml"

    @property
    def state_file(self) -> Path:
        """How the run stands or ended (:class:`closerlook.results.run.RunState`)."""
        return self.root / "state.json"

    @property
    def checksums_file(self) -> Path:
        """SHA-256 of the files that have no checksum of their own, by path; see :meth:`seal`."""
        return self.root / "checksums.json"

    @property
    def lock_file(self) -> Path:
        """Held by the process that trains in the directory."""
        return self.root / ".lock"

    @property
    def history_file(self) -> Path:
        """Training metrics."""
        return self.root / "metrics.csv"

    @property
    def cross_file(self) -> Path:
        """Whose encoder another task's space is of (:class:`closerlook.results.run.CrossOrigin`)."""
        return self.root / "cross.json"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.root / "checkpoints"

    @property
    def last_checkpoint(self) -> Path:
        """The checkpoint that an interrupted run goes on from, and that holds the tuned encoder of a finished one."""
        return self.checkpoints / "last.ckpt"

    @property
    def model(self) -> Path:
        """The tuned encoder as a folder of transformers, see :meth:`whole_model`."""
        return self.root / MODEL_FOLDER

    @property
    def snapshots(self) -> Path:
        """Folder of the hidden states."""
        return self.root / "snapshots"

    @property
    def results(self) -> Path:
        """Folder of the finished cells and their table."""
        return self._writable / "results"

    @property
    def report_file(self) -> Path:
        """The HTML report."""
        return self._writable / "report.html"

    @property
    def space_file(self) -> Path:
        """The page that shows every example, snapshot by snapshot."""
        return self._writable / "space.html"

    @property
    def random_encoder(self) -> RunDir:
        """The untrained encoder's space of the same examples."""
        return RunDir(self._writable / "random_encoder")

    @property
    def cross_folder(self) -> Path:
        """Folder of the other tasks' spaces."""
        return self._writable / CROSS_FOLDER

    def cross(self, task: str) -> RunDir:
        """The run directory of another task in this run's encoder."""
        return RunDir(self.cross_folder / task)

    @property
    def owner(self) -> RunDir:
        """The run whose encoder this is: itself, unless it holds another task's space."""
        return RunDir(self.root.parents[1]) if self.is_cross else self

    @property
    def is_cross(self) -> bool:
        """Whether it holds another task's space in a run's encoder."""
        return self.cross_file.is_file()

    @property
    def _writable(self) -> Path:
        return self.output or self.root

    def info(self) -> RunInfo:
        """What the run is.

        Raises:
            RunError: The directory or its ``run.json`` is missing or damaged.
        """
        try:
            return from_plain(RunInfo, read_sealed(self.info_file))
        except (FileNotFoundError, NotADirectoryError):
            raise RunError(
                f"no run in {self.root}: expected the file {RUN_FILE}, which train.py writes. "
                "Pass the directory that train.py printed, e.g. run_dir=runs/bbc_topics/minilm_l6/seed-0"
            ) from None
        except (OSError, ValueError) as error:
            raise RunError(f"{self.info_file} is damaged ({error}): expected what train.py wrote. {_AGAIN}") from error

    def save_info(self, info: RunInfo) -> None:
        """Write ``run.json``, all or nothing."""
        write_sealed(self.info_file, asdict(info))

    def state(self) -> RunState | None:
        """How the run stands or ended; None when none has started here.

        Raises:
            RunError: The file is damaged.
        """
        try:
            return from_plain(RunState, read_sealed(self.state_file))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise RunError(
                f"{self.state_file} is damaged ({error}): it says how the run in its folder ended. Delete the folder, "
                "or start anew with overwrite=true"
            ) from error

    def save_state(self, state: RunState) -> None:
        """Write ``state.json``, all or nothing."""
        write_sealed(self.state_file, asdict(state))

    @property
    def status(self) -> str:
        """``finished``, ``running`` (or killed), ``failed`` or ``interrupted``; a run without a record is finished.

        Raises:
            RunError: The record is damaged.
        """
        state = self.owner.state()
        return "finished" if state is None else state.status

    def config(self) -> dict[str, Any]:
        """The resolved configuration as it was stored; empty when there is none.

        No interpolation in it is resolved, so that a stranger's run cannot read this machine's environment.

        Raises:
            RunError: The file is damaged.
        """
        self.require_intact(self.config_file)
        try:
            return read_plain_yaml(self.config_file)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise RunError(
                f"{self.config_file} is damaged ({error}): expected the settings that train.py wrote. {_AGAIN}"
            ) from error

    def save_config(self, content: str) -> None:
        """Write ``config.yaml`` and its checksum."""
        self.unseal(self.config_file)
        write_text(self.config_file, content)
        self.seal(self.config_file)

    def history(self) -> pd.DataFrame:
        """The training metrics that were logged, in order; an empty table when there are none.

        Raises:
            RunError: The file is damaged.
        """
        path = self.history_file
        if not path.exists() or path.stat().st_size == 0:
            return pd.DataFrame({"step": pd.Series(dtype="int64"), "epoch": pd.Series(dtype="float64")})
        self.require_intact(path)
        try:
            history = pd.read_csv(path)
        except ValueError as error:  # pandas' parser errors and wrong encodings are ValueErrors
            raise _damaged_history(path, str(error)) from error
        if "step" not in history or not history.dtypes.map(pd.api.types.is_numeric_dtype).all():
            raise _damaged_history(path, f"columns {', '.join(map(str, history.columns[:5]))}")
        return history

    def origin(self) -> CrossOrigin | None:
        """Whose encoder the space is of; None for a run's own space.

        Raises:
            RunError: The file is damaged.
        """
        try:
            return from_plain(CrossOrigin, read_sealed(self.cross_file))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise RunError(
                f"{self.cross_file} is damaged ({error}). Delete the folder {self.root} and run the same probe.py "
                "command with cross_task= again"
            ) from error

    def save_origin(self, origin: CrossOrigin) -> None:
        """Write ``cross.json``, all or nothing."""
        write_sealed(self.cross_file, asdict(origin))

    @property
    def variant(self) -> str:
        """How the run differs from a plain one of its task, model and seed; empty for a plain one.

        Raises:
            RunError: ``run.json`` is missing or damaged.
        """
        recorded = self.owner.info().variant
        if recorded is not None:
            return recorded
        match = _OLD_NAME.match(self.owner.root.name)  # earlier versions had it in the directory's name only
        return (match["variant"] or "") if match else ""

    def store(self) -> ResultStore:
        """The finished cells, as they are on disk now."""
        return ResultStore(self.results, self.snapshots)

    def load(self) -> RunResults:
        """Everything that dashboards, reports and notebooks draw from; works while the run is trained or probed.

        Raises:
            RunError: There is no run, or it has not been probed.
        """
        info = self.info()
        store = self.store()
        if not store.path.exists():
            raise RunError(f"{self.root} has no results yet: run `python probe.py run_dir={self.root}` first")
        table = store.table()
        return RunResults(self.root, info, self.config(), numbers_of(table), self.history(), example_rows(table))

    def seal(self, *files: Path) -> None:
        """Record the SHA-256 of files that have no checksum of their own."""
        found = {self._key(path): sha256_of(path) for path in files}
        write_sealed(self.checksums_file, {"files": self._seals() | found})

    def unseal(self, *files: Path) -> None:
        """Forget the checksums of files that are about to change."""
        before = self._seals()
        left = {key: value for key, value in before.items() if key not in {self._key(path) for path in files}}
        if left != before:
            write_sealed(self.checksums_file, {"files": left})

    def seal_of(self, path: Path) -> str | None:
        """The SHA-256 that was recorded for a file; None when there is none.

        Raises:
            RunError: The record is damaged.
        """
        return self._seals().get(self._key(path))

    def require_intact(self, path: Path) -> None:
        """Compare a file with the checksum that was recorded for it, if one was.

        Raises:
            RunError: It has other bytes, or the record is damaged.
        """
        expected = self.seal_of(path)
        if expected is not None and path.is_file() and sha256_of(path) != expected:
            raise RunError(
                f"{path} is damaged: got other bytes than {self.checksums_file.name} says, expected those that were "
                "written. Put the old file back; if you changed it on purpose, delete its line in "
                f"{self.checksums_file.name}, and the line 'checksum'"
            )

    def whole_model(self) -> Path:
        """The exported model's folder, when it holds the files that were written when the run ended.

        Raises:
            RunError: The run has exported none, or a file of it is gone or another one.
        """
        names = [name for name in self._seals() if name.startswith(f"{MODEL_FOLDER}/")]
        missing = [name for name in names if not (self.root / name).is_file()]
        if missing or not names:
            what = f"{missing[0]} is gone" if missing else f"{self.checksums_file.name} knows of no model"
            raise RunError(
                f"{self.model} is not the model that the run exported: {what}. Run the same train.py command again "
                "with overwrite=true, or copy the folder elsewhere to use it as it is"
            )
        for name in names:
            self.require_intact(self.root / name)
        return self.model

    def _seals(self) -> dict[str, str]:
        try:
            return dict(read_sealed(self.checksums_file).get("files", {}))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError) as error:
            raise RunError(
                f"{self.checksums_file} is damaged ({error}). Delete it: the files that it is about are then read "
                "without being compared"
            ) from error

    def _key(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def load_run(run_dir: Path) -> RunResults:
    """Read a run's results back from disk, see :meth:`RunDir.load`."""
    return RunDir(Path(run_dir)).load()


def _damaged_history(path: Path, got: str) -> RunError:
    return RunError(
        f"{path} is damaged: got {got[:150]}, expected a column 'step' and numbers. "
        "Delete it (it holds the training curves only), or run train.py again with overwrite=true"
    )
