"""Fine-tuning: an encoder, or a part of it, and one linear layer, as a LightningModule."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.classification import BinaryAccuracy

from closerlook.data.batching import IGNORED_LABEL, Batch
from closerlook.data.entity_tags import entity_scores, marks_entities
from closerlook.geometry.label_sums import LabelSums
from closerlook.models.blocks import depth_of
from closerlook.models.encoder import PooledEncoder
from closerlook.models.label_metrics import MacroF1, Predictions
from closerlook.models.live_separation import LabelSeparation
from closerlook.models.model_error import ModelError
from closerlook.models.optimization import Schedule, layer_scales, parameter_groups
from closerlook.models.tuned_weights import frozen_names

SEPARATION = {"fisher_ratio": LabelSums.fisher_ratio, "cdnv": LabelSums.cdnv}
"""Measures of the space in front of the head that minibatches add up."""

OptimizerFactory = Callable[..., torch.optim.Optimizer]
"""Makes an optimizer from parameter groups, e.g. ``functools.partial(torch.optim.AdamW, lr=5e-5)``."""


class FineTuningModule(pl.LightningModule):
    """Tunes an encoder and a linear head on labelled examples with cross-entropy.

    Of the encoder those weights are trained that require gradients when the module is made (see
    :func:`closerlook.models.tuning_method.apply_method`); checkpoints hold those and the head. An encoder of which
    nothing is trained runs in evaluation mode, without dropout: the head learns on the vectors that snapshots store.

    Logs ``train/loss`` per update; ``val/loss``, ``val/accuracy``, ``val/macro_f1`` per epoch, how far the labels stand
    apart in front of the head (``val/fisher_ratio``, ``val/cdnv``), and the same under ``test/``. Accuracies are
    micro-averaged over examples. An example whose label training never showed counts as an error; macro-F1 is over the
    training labels. Where the labels of words mark entities (B-PER, I-PER, O), the test also logs precision, recall and
    F1 of whole entities.

    Args:
        encoder: The encoder to tune.
        n_classes: Number of training labels.
        optimizer: Makes the optimizer from parameter groups.
        warmup_fraction: Share of the updates with rising learning rate, in [0, 1].
        head_dropout: Dropout before the linear layer, in [0, 1).
        weight_decay: Weight decay of matrices; biases and layer norms have none.
        rate_factor: Peak learning rate over the optimizer's; with a first stage, that stage's.
        layer_decay: Factor of the learning rate from one block to the one below, in (0, 1]; None = one rate for all.
        head_epochs: Epochs of a first stage that trains the head alone; None = ``head_updates``, or no such stage.
        head_updates: The same in updates, in place of ``head_epochs``.
        compile_encoder: Run the encoder through ``torch.compile``.

    Raises:
        ModelError: ``warmup_fraction`` or ``head_dropout`` is out of range, or ``layer_decay`` is asked for where
            blocks cannot be told apart.
    """

    def __init__(
        self,
        encoder: PooledEncoder,
        n_classes: int,
        *,
        optimizer: OptimizerFactory,
        warmup_fraction: float = 0.1,
        head_dropout: float = 0.1,
        weight_decay: float = 0.01,
        rate_factor: float = 1.0,
        layer_decay: float | None = None,
        head_epochs: int | None = None,
        head_updates: int | None = None,
        compile_encoder: bool = False,
    ) -> None:
        super().__init__()
        if not 0.0 <= warmup_fraction <= 1.0:
            raise ModelError(
                f"finetuning.warmup_fraction is {warmup_fraction}; expected 0 to 1: set the share of the updates in it"
            )
        if not 0.0 <= head_dropout < 1.0:
            raise ModelError(f"finetuning.head_dropout is {head_dropout}; expected 0 to 1, without 1: lower it")
        self.encoder = encoder
        self.dropout = nn.Dropout(head_dropout)
        self.head = nn.Linear(encoder.n_features, n_classes)
        self._optimizer_factory = optimizer
        self.warmup_fraction = warmup_fraction
        self.weight_decay = weight_decay
        self.rate_factor = rate_factor
        self._rate_scales = {} if layer_decay is None else _layer_scales(encoder, layer_decay)
        self._head_epochs, self._head_updates = head_epochs, head_updates
        self._n_head_updates = 0  # known when training starts
        self._forward = torch.compile(encoder) if compile_encoder else encoder
        self.metrics = nn.ModuleDict({stage: _metrics(n_classes, encoder.n_features) for stage in ("val", "test")})
        self._predictions: Predictions | None = None
        self._trains_encoder = any(p.requires_grad for p in encoder.parameters())
        self.not_in_checkpoints = frozen_names(self)
        self.strict_loading = not self.not_in_checkpoints

    @property
    def head_alone(self) -> bool:
        """Whether the head is trained alone at present: always, or in a first stage."""
        return not self._trains_encoder or self.global_step < self._n_head_updates

    def forward(self, batch: Batch) -> Tensor:
        """(n_examples, n_classes) logits."""
        logits: Tensor = self.head(self.dropout(self._forward(batch)))
        return logits

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Mean cross-entropy over the examples of a batch.

        Raises:
            ModelError: It is not finite: the training has diverged.
        """
        alone = self.head_alone
        if (self._n_head_updates or alone) and self.encoder.training == alone:
            self.encoder.train(not alone)
        with torch.set_grad_enabled(not alone):
            vectors = self._forward(batch)
        logits = self.head(self.dropout(vectors))
        loss = nn.functional.cross_entropy(logits, batch.labels, ignore_index=IGNORED_LABEL)
        self._refuse_divergence(loss, "training")
        self.log("train/loss", loss, batch_size=len(batch.labels), prog_bar=True)
        if alone and self._trains_encoder and isinstance(self.trainer.strategy, DDPStrategy):
            loss = loss + 0.0 * sum(p.sum() for p in self.encoder.parameters())  # DDP waits for every gradient
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Leave the encoder alone while the head is trained alone: no decay, no moments."""
        if self.head_alone:
            self.encoder.zero_grad(set_to_none=True)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Update validation loss and metrics."""
        self._evaluate(batch, "val")

    def on_test_start(self) -> None:
        """Get ready to keep the test's predictions where entities are to be read from them."""
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        if self.encoder.level == "word" and data is not None and marks_entities(data.corpus.label_names):
            self._predictions = Predictions(data.encoded("test").n_examples).to(self.device)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Update test loss and metrics."""
        predicted = self._evaluate(batch, "test")
        if self._predictions is not None:
            self._predictions.update(batch.example_index, predicted)

    def on_test_epoch_end(self) -> None:
        """Log how many whole entities were found."""
        if self._predictions is None:
            return
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        examples = data.encoded("test").examples
        tags = [data.corpus.label_names[index] for index in self._predictions.compute().tolist()]
        scores = entity_scores(examples.text_ids, examples.labels, tags)
        found = {"entity_precision": scores.precision, "entity_recall": scores.recall, "entity_f1": scores.f1}
        self.log_dict({f"test/{name}": value for name, value in found.items() if value is not None})

    def _evaluate(self, batch: Batch, stage: str) -> Tensor:
        """Update the metrics of a stage; the predicted class indices."""
        vectors, labels = self._forward(batch), batch.labels
        logits = self.head(self.dropout(vectors))
        known = labels != IGNORED_LABEL
        predicted = logits.argmax(dim=-1)
        metrics = cast(dict[str, Any], self.metrics[stage])
        if len(labels):
            metrics["accuracy"].update((predicted == labels).int(), torch.ones_like(predicted, dtype=torch.int))
        if known.any():
            loss = nn.functional.cross_entropy(logits[known], labels[known])
            self._refuse_divergence(loss, "validation" if stage == "val" else stage)
            metrics["loss"].update(loss, known.sum())
            metrics["macro_f1"].update(predicted[known], labels[known])
            for name in SEPARATION:
                metrics[name].update(vectors[known], labels[known])
        for name, metric in metrics.items():
            self.log(
                f"{stage}/{name}",
                metric,
                on_step=False,
                on_epoch=True,
                prog_bar=stage == "val" and name not in SEPARATION,
            )
        return predicted

    def _refuse_divergence(self, loss: Tensor, stage: str) -> None:
        if torch.isfinite(loss):
            return
        rates = [group["lr"] for optimizer in self.trainer.optimizers for group in optimizer.param_groups]
        rate = f"now {max(rates):.2g}" if rates else "as it was"
        raise ModelError(
            f"the training has diverged: the {stage} loss is {loss.item()} after {self.trainer.global_step} updates; "
            f"expected a finite number. Lower finetuning.learning_rate ({rate} by the schedule), raise "
            "finetuning.warmup_fraction, set trainer.gradient_clip_val=1, or use trainer.precision=32-true, and train "
            "again"
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out what training does not change: it comes from the model's source."""
        for name in self.not_in_checkpoints:
            checkpoint["state_dict"].pop(name, None)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the checkpoint of another model before anything of it is loaded.

        Raises:
            ModelError: Weights are missing, too many, or of other shapes.
        """
        state = self.state_dict().items()
        own = {name: tuple(value.shape) for name, value in state if name not in self.not_in_checkpoints}
        found = {name: tuple(value.shape) for name, value in checkpoint["state_dict"].items()}
        other = sorted(name for name in own.keys() | found.keys() if own.get(name) != found.get(name))
        if other:
            name = other[0]
            raise ModelError(
                f"the checkpoint {self.trainer.ckpt_path} holds another model: got {name} of shape "
                f"{found.get(name)}, expected {own.get(name)} ({len(other)} differ). Resume with the task, the model "
                "and the method it was written with, or start anew with ckpt_path=null"
            )

    def configure_optimizers(self) -> Any:
        """Optimizer with linear warm-up and linear decay to zero, stepped every update.

        Raises:
            ModelError: The first stage is as long as the training, which leaves nothing for all weights.
        """
        clips_mixed = "mixed" in str(self.trainer.precision) and self.trainer.gradient_clip_val
        # Lightning clips the gradients of mixed precision before the step; a fused optimizer unscales within it
        options = (
            {"fused": False} if clips_mixed and getattr(self._optimizer_factory, "keywords", {}).get("fused") else {}
        )
        groups = parameter_groups(
            self.named_parameters(), weight_decay=self.weight_decay, rate_scales=self._rate_scales
        )
        optimizer = self._optimizer_factory(groups, **options)
        for group in optimizer.param_groups:
            group["lr"] *= group["rate_scale"]
        total = int(self.trainer.estimated_stepping_batches)
        self._n_head_updates = self._first_stage(total)
        factor = Schedule(total, self.warmup_fraction, self.rate_factor, self._n_head_updates)
        # a function: what an object holds would be taken from the checkpoint, of a training with other settings too
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: factor(step))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _first_stage(self, total: int) -> int:
        """Updates of the stage that trains the head alone."""
        if self._head_updates is None and self._head_epochs is None:
            return 0
        per_epoch = math.ceil(self.trainer.num_training_batches / self.trainer.accumulate_grad_batches)
        first = self._head_updates or per_epoch * (self._head_epochs or 0)
        if total <= first and self.trainer.max_epochs != 0:
            raise ModelError(
                f"the head would be trained alone for all of the {total} updates: got {first} updates of "
                "method.head_epochs or method.head_updates, expected fewer. Raise finetuning.epochs, or choose "
                "method=head"
            )
        return first


def _layer_scales(encoder: PooledEncoder, decay: float) -> dict[str, float]:
    """By name in the module, the factor of the learning rate of each of the encoder's weights."""
    names = [name for name, _ in encoder.backbone.named_parameters()]
    depths = depth_of(names, encoder.backbone, encoder.n_layers, encoder.facts.final_norm)
    scales = layer_scales(depths, decay, encoder.n_layers)
    return {f"encoder.backbone.{name}": scale for name, scale in scales.items()}


def _metrics(n_classes: int, n_features: int) -> nn.ModuleDict:
    """Accuracy over all examples (a label unseen in training is always an error), the rest over known labels."""
    return nn.ModuleDict(
        {
            "accuracy": BinaryAccuracy(validate_args=False),  # fed with "was it right?"
            "loss": MeanMetric(),
            "macro_f1": MacroF1(n_classes),
            **{name: LabelSeparation(n_classes, n_features, measure) for name, measure in SEPARATION.items()},
        }
    )
