"""A run directory from models that exist already: the same texts through each of them, a snapshot a model.

One model is in memory at a time. All are loaded and checked before the first is computed; a snapshot is whole or not
there, so the same command goes on after a kill, and takes in checkpoints that have been added since.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from omegaconf import OmegaConf

from closerlook.callbacks.snapshot import is_complete
from closerlook.config import ProbeConfig, folder_name
from closerlook.data.corpus import Corpus
from closerlook.data.tasks import load_corpus
from closerlook.models.encoder import PooledEncoder
from closerlook.models.head_outputs import head_outputs
from closerlook.models.loading import load_encoder
from closerlook.models.stored_space import Moment, choose_examples, store_examples, store_space
from closerlook.pipelines.build import to_evaluate
from closerlook.pipelines.checkpoint_checks import (
    CheckedModel,
    CheckedModels,
    Watch,
    all_there,
    check_models,
    digest_of,
    earlier_run,
    job_settings,
    layers_of,
    refuse_settings,
)
from closerlook.pipelines.checkpoint_sources import CheckpointSource, checkpoint_sources, run_name
from closerlook.pipelines.run_state import FINISHED, INTERRUPTED, RUNNING, only_process, write_state
from closerlook.pipelines.trainer_files import moments_of, updates_per_epoch, write_history
from closerlook.representations.writer import discard_unfinished
from closerlook.results.provenance import git_commit, now, versions
from closerlook.results.run import RunError, RunInfo
from closerlook.results.run_dir import RunDir


@dataclass(frozen=True)
class CheckpointRun:
    """A run directory made of checkpoints.

    Attributes:
        run: The run directory.
        info: What it is.
        n_stored: Snapshots that were stored now.
        n_kept: Snapshots that were there before.
    """

    run: RunDir
    info: RunInfo
    n_stored: int
    n_kept: int


@dataclass(frozen=True)
class _Job:
    """A command at work in its directory: what it is asked for, and what was there before."""

    run: RunDir
    config: ProbeConfig
    sources: tuple[CheckpointSource, ...]
    corpus: Corpus
    before: RunInfo | None
    digest: str


def run_directory(config: ProbeConfig, sources: Sequence[CheckpointSource], *, one_of_many: bool) -> Path:
    """Where the run of these checkpoints is: ``output_dir`` itself, or a folder of it that tells them apart.

    Args:
        config: Settings of probe.py.
        sources: The models.
        one_of_many: It is one job of a sweep.
    """
    if config.output_dir is not None and not one_of_many:
        return Path(config.output_dir)
    root = Path(config.output_dir or config.paths.runs_dir)
    model = run_name(sources, config.checkpoints, config.model)
    return root / folder_name(config.task.name) / folder_name(model) / "seed-0"


def store_checkpoints(config: ProbeConfig, watch: Watch, *, one_of_many: bool = False) -> CheckpointRun:
    """Store the space of each of ``config.checkpoints``, unless it is there.

    Args:
        config: Settings of probe.py with ``checkpoints`` and ``task``.
        watch: A progress bar.
        one_of_many: It is one job of a sweep.

    Raises:
        RunError: No task is named, a setting has no meaning here, or the directory holds other checkpoints, settings
            or data, or another process is at work in it.
        DataError: The data is missing or malformed.
        ModelError: A model cannot be loaded; none has been computed then.
        Interrupted: SIGTERM or Ctrl-C came; the same command goes on from there.
    """
    refuse_settings(config)
    sources = checkpoint_sources(config.checkpoints, config.model)
    run = RunDir(run_directory(config, sources, one_of_many=one_of_many))
    with only_process(run):
        before = earlier_run(run, config)
        corpus = load_corpus(config.task)
        if before is not None and before.checksums != dict(corpus.checksums):
            raise RunError(
                f"{run.root} was made from other data: got {dict(corpus.checksums)}, expected {before.checksums}. Put "
                "the old files back, or choose another output_dir"
            )
        discard_unfinished(run.snapshots)
        if before is not None and all_there(run, sources, before):
            return CheckpointRun(run, before, 0, len(before.checkpoints))
        return _store(_Job(run, config, sources, corpus, before, digest_of(config)), watch)


def _store(job: _Job, watch: Watch) -> CheckpointRun:
    run = job.run
    checked = check_models(job.config, job.sources, job.corpus, job.before, watch)
    write_state(run, RUNNING, job.digest)
    settings = job_settings(job.config) | {"model": asdict(checked.models[0].settings), "seed": 0}
    run.save_config(OmegaConf.to_yaml(OmegaConf.create(settings)))
    info = _describe(job, checked)
    run.save_info(info)
    sources = [one.source for one in checked.models]
    write_history(run, sources)
    moments = moments_of(sources)
    todo = [one for one in checked.models if not is_complete(run.snapshots, one.origin.step)]
    try:
        for i, one in enumerate(todo):
            _compute(job, checked, one, moments[one.origin.step], watch(one.origin.name, i, len(todo)))
    except BaseException as stop:
        write_state(run, INTERRUPTED, job.digest, error=f"{type(stop).__name__}: {stop}")
        raise
    write_state(run, FINISHED, job.digest)
    return CheckpointRun(run, info, len(todo), len(checked.models) - len(todo))


def _compute(
    job: _Job, checked: CheckedModels, one: CheckedModel, moment: Moment, on_texts: Callable[[int], object]
) -> None:
    """Run the texts through one model, which is in memory as long as this takes."""
    settings = job.config.snapshot
    data = checked.tokenised[one.tokenised]
    chosen = choose_examples(data, settings.splits, settings.max_examples)
    size = settings.batch_size or data.eval_batch_size
    outputs = head_outputs(one.settings, job.corpus.level, data, chosen, size)  # gone before the encoder is loaded
    encoder = to_evaluate(PooledEncoder(load_encoder(one.settings), job.corpus.level, final_norm=settings.final_norm))
    store_examples(job.run.snapshots, data, chosen)
    store_space(
        job.run.snapshots,
        moment,
        encoder,
        data,
        chosen,
        layers=layers_of(settings, encoder.n_layers),
        dtype=settings.dtype,
        batch_size=size,
        coordinates=one.coordinates,
        outputs=outputs,
        on_texts=on_texts,
    )


def _describe(job: _Job, checked: CheckedModels) -> RunInfo:
    corpus, models = job.corpus, checked.models
    data = checked.tokenised[models[0].tokenised]
    read = [f"{split}: {data.encoded(split).report.summary()}" for split in data.splits]
    first = models[0].origin
    return RunInfo(
        task=corpus.name,
        level=corpus.level,
        model=run_name(job.sources, job.config.checkpoints, job.config.model),
        model_source=first.base or first.source,
        model_revision=first.revision,
        seed=0,
        label_names=corpus.label_names,
        n_layers=max(one.origin.n_layers for one in models),
        hidden_size=first.hidden_size,
        n_train=data.encoded("train").n_examples,
        n_test=data.encoded("test").n_examples,
        n_epochs=0,
        n_updates=models[-1].origin.step,
        created=job.before.created if job.before else now(),
        git_commit=git_commit(),
        versions=versions(),
        checksums=dict(corpus.checksums),
        notes=(*checked.notes, *corpus.notes, *read),
        variant="",
        updates_per_epoch=updates_per_epoch([one.source for one in models]),
        checkpoints=tuple(one.origin for one in models),
    )
