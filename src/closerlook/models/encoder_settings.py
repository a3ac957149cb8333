"""Settings of an encoder and of its fine-tuning: plain dataclasses, also the schema of the command line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class ModelSettings:
    """Which encoder, from where, and how its vectors are read.

    Attributes:
        name: Name in run directories and dashboards.
        source: Hub id (``google/bert_uncased_L-2_H-128_A-2``) or local folder; None when ``package`` is set.
        package: Import name of an installed package that ships the model; None for hub ids and folders.
        package_folder: Folder of the model inside the package.
        adapter: Folder or hub id (``id@revision``) of a PEFT adapter, which is folded into the weights.
        revision: Branch, tag or commit on the hub; pin it for work you publish.
        sha256: Expected SHA-256 of the weights file; checked when the file is local.
        tokenizer: Hub id or folder of the tokenizer; None = it comes with the model.
        sentence_pooling: The vector of a sentence: ``cls`` (the class token, as in the paper), ``mean`` over its
            subwords, ``last`` (its last subword), or ``auto``: what the model was made for.
        random_init: Keep the architecture, drop the weights: the random-encoder baseline.
        trust_remote_code: Run code that comes with the model; never on by itself.
        attn_implementation: ``sdpa``, ``eager``, ...; None = the library's choice.
    """

    name: str = "???"
    source: str | None = None
    package: str | None = None
    package_folder: str = "model"
    adapter: str | None = None
    revision: str | None = None
    sha256: str | None = None
    tokenizer: str | None = None
    sentence_pooling: str = "auto"
    random_init: bool = False
    trust_remote_code: bool = False
    attn_implementation: str | None = None


@dataclass
class FineTuningSettings:
    """How the encoder and its linear head are tuned.

    Attributes:
        epochs: Passes over the training texts.
        batch_size: Texts per update and process.
        eval_batch_size: Texts per forward pass when nothing is learned.
        learning_rate: Peak learning rate.
        warmup_fraction: Share of the updates with rising learning rate; it then falls linearly to 0.
        head_dropout: Dropout before the linear layer.
        layer_decay: Factor of the learning rate from one block to the one below, in (0, 1], the embeddings last
            (2003.10555); None = one rate for all.
        compile: Run the encoder through ``torch.compile``; pays on GPUs only.
    """

    epochs: int = 3
    batch_size: int = 32
    eval_batch_size: int = 64
    learning_rate: float = 5e-5
    warmup_fraction: float = 0.1
    head_dropout: float = 0.1
    layer_decay: float | None = None
    compile: bool = False


@dataclass
class SnapshotSettings:
    """What is stored of the space, and when.

    Attributes:
        enabled: Store snapshots at all.
        every_n_updates: Also store one every so many optimizer updates; None = at epoch ends only.
        every_n_epochs: Store one at the end of every so many epochs; the last epoch always.
        before_training: Store the space before the first update (step 0).
        layers: Layers to store, 0 = embeddings; None = all.
        splits: Splits to store.
        max_examples: At most so many examples per split, stratified by label; None = all.
        dtype: ``float32`` or ``float16`` (half the space, about three digits).
        final_norm: Many models (GPT, Llama, T5, ModernBERT) apply one norm after their last block only, so that the
            last layer is scaled unlike the layers before it. True stores it so, as transformers gives it; false
            stores it before that norm, as all other layers are.
        batch_size: Texts per forward pass; None = ``finetuning.eval_batch_size``.
    """

    enabled: bool = True
    every_n_updates: int | None = None
    every_n_epochs: int = 1
    before_training: bool = True
    layers: list[int] | None = None
    splits: list[str] | None = None
    max_examples: int | None = None
    dtype: str = "float32"
    final_norm: bool = True
    batch_size: int | None = None
