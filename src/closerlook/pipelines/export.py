"""The tuned encoder of a finished run as a folder of transformers: ``<run>/model``."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from closerlook.config import TrainConfig
from closerlook.models.export import Exported, save_model
from closerlook.models.finetuning_module import FineTuningModule
from closerlook.models.stored_space import evaluating
from closerlook.pipelines.build import Built
from closerlook.pipelines.model_card import model_card
from closerlook.results.run import RunInfo
from closerlook.results.run_dir import MODEL_WRITING, RunDir

log = logging.getLogger(__name__)

_N_TEXTS = 64
"""Test examples on which the folder's logits are compared with the run's own."""


def export(
    run: RunDir, config: TrainConfig, built: Built, module: FineTuningModule, info: RunInfo, scores: dict[str, float]
) -> Exported | None:
    """Write ``<run>/model``, whole or not at all, with checksums.

    The run is finished without it: what goes wrong with somebody's model class is logged, not raised.

    Args:
        run: The run.
        config: Its settings.
        built: Its texts and encoder.
        module: The tuned module, whole on this process.
        info: What the run is.
        scores: Its test metrics.

    Returns:
        What was written; None when nothing was.

    Raises:
        OSError: The disk is full.
    """
    data = built.data
    some = data.stratified_subset("test", _N_TEXTS)
    batches = list(data.ordered_batches("test", example_subset=some, batch_size=16))
    try:
        with _new_folder(run) as folder, evaluating(module), torch.random.fork_rng():
            exported = save_model(folder, built.encoder, module.head, built.loaded.tokenizer, info.label_names, batches)
            (folder / "README.md").write_text(model_card(info, config, scores, exported), encoding="utf-8")
    except OSError:
        raise
    except Exception as error:  # whatever transformers raises for one of its model classes
        log.warning("the tuned model is not exported: %s: %s", type(error).__name__, error)
        return None
    run.seal(*(path for path in sorted(run.model.rglob("*")) if path.is_file()))
    return exported


def withdraw(run: RunDir) -> None:
    """Take an earlier export away: the weights are about to change, or it was never finished."""
    if run.model.is_symlink():
        run.model.unlink()
    files = [path for path in run.model.rglob("*") if path.is_file()] if run.model.is_dir() else []
    if files:
        run.unseal(*files)
        shutil.rmtree(run.model)
    shutil.rmtree(run.root / MODEL_WRITING, ignore_errors=True)


@contextmanager
def _new_folder(run: RunDir) -> Iterator[Path]:
    """A folder that takes the place of ``<run>/model`` at once, when the block ends without an error."""
    folder = run.root / MODEL_WRITING
    withdraw(run)
    folder.mkdir(parents=True)
    try:
        yield folder
        for path in folder.rglob("*"):
            if path.is_file():
                with path.open("rb") as handle:
                    os.fsync(handle.fileno())
        os.replace(folder, run.model)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
