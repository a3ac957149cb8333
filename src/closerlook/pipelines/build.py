"""Build what every command needs from the settings: the texts as an encoder reads them, and the encoder."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytorch_lightning as pl
import torch

from closerlook.data.corpus import Corpus
from closerlook.data.datamodule import CorpusDataModule
from closerlook.data.settings import TaskSettings
from closerlook.data.tasks import load_corpus
from closerlook.models.encoder import PooledEncoder
from closerlook.models.loading import LoadedEncoder, ModelError, load_encoder
from closerlook.models.settings import FineTuningSettings, ModelSettings


@dataclass(frozen=True)
class Built:
    """A task in an encoder.

    Attributes:
        corpus: The task.
        loaded: The encoder's network and tokenizer, and where they came from.
        data: The texts, tokenised.
        encoder: The encoder with one vector an example.
    """

    corpus: Corpus
    loaded: LoadedEncoder
    data: CorpusDataModule
    encoder: PooledEncoder


def build(task: TaskSettings, model: ModelSettings, tuning: FineTuningSettings, seed: int) -> Built:
    """Read the data, load the encoder, and tokenise; nothing is written.

    Args:
        task: Which data.
        model: Which encoder.
        tuning: Batch sizes.
        seed: Seeds everything that draws: order of the data, dropout, weights that are not loaded.

    Raises:
        DataError: The data is missing or malformed.
        ModelError: The encoder cannot be loaded, or takes shorter texts than ``task.max_length`` asks for.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # forked workers would warn and fall back to it anyway
    pl.seed_everything(seed, workers=True, verbose=False)
    corpus = load_corpus(task)
    loaded = load_encoder(model, seed=seed)
    data = CorpusDataModule(
        corpus,
        loaded.tokenizer,
        batch_size=tuning.batch_size,
        eval_batch_size=tuning.eval_batch_size,
        seed=seed,
        max_length=_max_length(task.max_length, loaded.max_length),
        allow_truncation=task.allow_truncation,
        allow_dropped_words=task.allow_dropped_words,
    )
    data.setup()
    return Built(corpus, loaded, data, PooledEncoder(loaded.backbone, corpus.level, model.sentence_pooling))


def to_evaluate(encoder: PooledEncoder) -> PooledEncoder:
    """The encoder in evaluation mode, on a GPU when there is one."""
    return encoder.eval().to("cuda" if torch.cuda.is_available() else "cpu")


def _max_length(wanted: int | None, possible: int) -> int:
    if wanted is not None and wanted > possible:
        raise ModelError(
            f"task.max_length={wanted} is more than the {possible} subwords that the encoder takes: "
            "expected at most that many; leave it null for all of them"
        )
    return wanted or possible
