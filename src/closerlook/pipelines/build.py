"""Build what every command needs from the settings: the texts as an encoder reads them, and the encoder."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytorch_lightning as pl
import torch

from closerlook.config import TrainConfig
from closerlook.data.corpus import Corpus
from closerlook.data.datamodule import CorpusDataModule
from closerlook.models.encoder import PooledEncoder
from closerlook.models.loading import LoadedEncoder, load_encoder
from closerlook.models.tuning_method import apply_method


@dataclass(frozen=True)
class Built:
    """A task in an encoder.

    Attributes:
        corpus: The task.
        loaded: The encoder's network and tokenizer, and where they came from.
        data: The texts, tokenised.
        encoder: The encoder with one vector an example; those weights require gradients that the method trains.
    """

    corpus: Corpus
    loaded: LoadedEncoder
    data: CorpusDataModule
    encoder: PooledEncoder


def build(config: TrainConfig, corpus: Corpus) -> Built:
    """Seed, load the encoder, and tokenise the texts for it; nothing is written.

    Args:
        config: The settings of a run. For another task's texts, or an untrained encoder, change ``task`` or ``model``.
        corpus: The texts of ``config.task``.

    Raises:
        DataError: The data is missing or malformed.
        ModelError: The encoder cannot be loaded, takes shorter texts than ``task.max_length`` asks for, or has nothing
            to train by the method.
    """
    pl.seed_everything(config.seed, workers=True, verbose=False)
    loaded = load_encoder(config.model, seed=config.seed)
    data = encode(config, corpus, loaded)
    encoder = PooledEncoder(loaded, corpus.level, final_norm=config.snapshot.final_norm)
    apply_method(encoder, config.method, seed=config.seed)
    return Built(corpus, loaded, data, encoder)


def encode(config: TrainConfig, corpus: Corpus, loaded: LoadedEncoder) -> CorpusDataModule:
    """Tokenise the texts for an encoder.

    Raises:
        DataError: The texts do not fit it.
        ModelError: It takes shorter texts than ``task.max_length`` asks for.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # forked workers would warn and fall back to it anyway
    task, tuning = config.task, config.finetuning
    data = CorpusDataModule(
        corpus,
        loaded.tokenizer,
        batch_size=tuning.batch_size,
        eval_batch_size=tuning.eval_batch_size,
        seed=config.seed,
        allow_truncation=task.allow_truncation,
        allow_dropped_words=task.allow_dropped_words,
        **loaded.encoding_options(task.max_length),
    )
    data.setup()
    return data


def to_evaluate(encoder: PooledEncoder) -> PooledEncoder:
    """The encoder in evaluation mode, on a GPU when there is one."""
    return encoder.eval().to("cuda" if torch.cuda.is_available() else "cpu")
