"""The weights of an encoder at the moments of a run: before the first update and at the last, or of each checkpoint.

Nothing is loaded until it is asked for. Every source is compared with what ``run.json`` records of it, weights are read
as tensors only, and code that comes with a model runs only where the command line says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from closerlook.config import TrainConfig, stored
from closerlook.models.encoder_settings import ModelSettings
from closerlook.pipelines.run_checkpoint import intact_digest, read_checkpoint
from closerlook.results.run import CheckpointOrigin, RunError, RunInfo
from closerlook.results.run_dir import RunDir

if TYPE_CHECKING:
    from closerlook.models.loading import LoadedEncoder
    from closerlook.models.weights import EncoderWeights


@dataclass(frozen=True)
class StepWeights:
    """The weights of one moment.

    Attributes:
        step: When, as snapshots count it.
        digest: What they are, known without loading them.
        load: Reads them.
    """

    step: int
    digest: str
    load: Callable[[], EncoderWeights]


def run_weights(run: RunDir, *, trust_remote_code: bool = False) -> tuple[StepWeights, ...]:
    """The moments of a run whose weights are known, in order; the first is what the others are compared with.

    Args:
        run: A run of train.py with its last checkpoint, or one that was made from models that existed before.
        trust_remote_code: Run code that comes with the model, whatever the run's files say.

    Raises:
        RunError: There is no run or no checkpoint, or the checkpoint is not the run's own.
    """
    info = run.info()
    if info.checkpoints:
        ordered = sorted(info.checkpoints, key=lambda one: one.step)
        return tuple(_existing(one, trust_remote_code=trust_remote_code) for one in ordered)
    config = stored(run.root)
    config = replace(config, model=replace(config.model, trust_remote_code=trust_remote_code))
    digest = intact_digest(run)
    step, _ = read_checkpoint(run)
    untuned = _digest(info.model_revision, *sorted(info.model_checksums.values()), str(config.seed))
    return (
        StepWeights(0, untuned, lambda: _untuned(config, info)),
        StepWeights(step, digest, lambda: _tuned(run, config, info)),
    )


def _untuned(config: TrainConfig, info: RunInfo) -> EncoderWeights:
    from closerlook.models.weights import encoder_weights

    return encoder_weights(_load(config.model, info.seed, info.model_revision).backbone)


def _tuned(run: RunDir, config: TrainConfig, info: RunInfo) -> EncoderWeights:
    from closerlook.models.encoder import PooledEncoder
    from closerlook.models.tuned_weights import load_tuned
    from closerlook.models.tuning_method import apply_method
    from closerlook.models.weights import encoder_weights

    encoder = PooledEncoder(_load(config.model, info.seed, info.model_revision), "word")
    apply_method(encoder, config.method, seed=info.seed)
    load_tuned(encoder, read_checkpoint(run)[1])
    return encoder_weights(encoder.backbone)


def _existing(origin: CheckpointOrigin, *, trust_remote_code: bool) -> StepWeights:
    source, revision = origin.base or origin.source, ""
    if not Path(source).expanduser().exists():  # a hub id, perhaps with a revision
        source, _, revision = source.partition("@")
    model = ModelSettings(
        name=origin.name,
        source=source,
        revision=origin.base_revision or revision or None,
        adapter=origin.source if origin.base else None,
        trust_remote_code=trust_remote_code,
    )
    if source.startswith("package:"):
        model = replace(model, source=None, package=source.removeprefix("package:"))
    digest = origin.tensors or _digest(origin.source, origin.revision, origin.base, origin.base_revision)

    def load() -> EncoderWeights:
        from closerlook.models.weights import encoder_weights

        return encoder_weights(_load(model, 0, origin.revision).backbone)

    return StepWeights(origin.step, digest, load)


def _load(model: ModelSettings, seed: int, revision: str) -> LoadedEncoder:
    """An encoder, which has to be the one that the run's vectors are of.

    Raises:
        RunError: It is another one.
        ModelError: It cannot be loaded.
    """
    from closerlook.models.loading import load_encoder

    loaded = load_encoder(model, seed=seed)
    if loaded.revision != revision:
        raise RunError(
            f"the model at {loaded.source} is not the one that the run was made with: got {loaded.revision}, expected "
            f"{revision}. Put the old files back, or make the run again"
        )
    return loaded


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
