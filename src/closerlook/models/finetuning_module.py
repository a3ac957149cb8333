"""Fine-tuning: the whole encoder and one linear layer, as a LightningModule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.classification import BinaryAccuracy

from closerlook.data.batching import IGNORED_LABEL, Batch
from closerlook.data.entity_tags import entity_scores, marks_entities
from closerlook.geometry.label_sums import LabelSums
from closerlook.models.encoder import PooledEncoder
from closerlook.models.label_metrics import MacroF1, Predictions
from closerlook.models.live_separation import LabelSeparation
from closerlook.models.model_error import ModelError

SEPARATION = {"fisher_ratio": LabelSums.fisher_ratio, "cdnv": LabelSums.cdnv}
"""Measures of the space in front of the head that minibatches add up."""

OptimizerFactory = Callable[..., torch.optim.Optimizer]
"""Makes an optimizer from parameter groups, e.g. ``functools.partial(torch.optim.AdamW, lr=5e-5)``."""


class FineTuningModule(pl.LightningModule):
    """Tunes an encoder and a linear head on labelled examples with cross-entropy.

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
        freeze_encoder: Train only the head.
        compile_encoder: Run the encoder through ``torch.compile``.

    Raises:
        ModelError: ``warmup_fraction`` or ``head_dropout`` is out of range.
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
        freeze_encoder: bool = False,
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
        if freeze_encoder:
            encoder.requires_grad_(False)
        self._forward = torch.compile(encoder) if compile_encoder else encoder
        self.metrics = nn.ModuleDict({stage: _metrics(n_classes, encoder.n_features) for stage in ("val", "test")})
        self._predictions: Predictions | None = None

    def forward(self, batch: Batch) -> Tensor:
        """(n_examples, n_classes) logits."""
        logits: Tensor = self.head(self.dropout(self._forward(batch)))
        return logits

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Mean cross-entropy over the examples of a batch.

        Raises:
            ModelError: It is not finite: the training has diverged.
        """
        loss = nn.functional.cross_entropy(self(batch), batch.labels, ignore_index=IGNORED_LABEL)
        self._refuse_divergence(loss, "training")
        self.log("train/loss", loss, batch_size=len(batch.labels), prog_bar=True)
        return loss

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

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the checkpoint of another model before anything of it is loaded.

        Raises:
            ModelError: Weights are missing, too many, or of other shapes.
        """
        own = {name: tuple(value.shape) for name, value in self.state_dict().items()}
        found = {name: tuple(value.shape) for name, value in checkpoint["state_dict"].items()}
        other = sorted(name for name in own.keys() | found.keys() if own.get(name) != found.get(name))
        if other:
            name = other[0]
            raise ModelError(
                f"the checkpoint {self.trainer.ckpt_path} holds another model: got {name} of shape "
                f"{found.get(name)}, expected {own.get(name)} ({len(other)} differ). Resume with the task and the "
                "model it was written with, or start anew with ckpt_path=null"
            )

    def configure_optimizers(self) -> Any:
        """Optimizer with linear warm-up and linear decay to zero, stepped every update."""
        clips_mixed = "mixed" in str(self.trainer.precision) and self.trainer.gradient_clip_val
        # Lightning clips the gradients of mixed precision before the step; a fused optimizer unscales within it
        options = (
            {"fused": False} if clips_mixed and getattr(self._optimizer_factory, "keywords", {}).get("fused") else {}
        )
        optimizer = self._optimizer_factory(self._parameter_groups(), **options)
        total = int(self.trainer.estimated_stepping_batches)
        warmup = max(1, round(self.warmup_fraction * total)) if self.warmup_fraction > 0 else 0
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: linear_schedule(step, warmup, total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _parameter_groups(self) -> list[dict[str, Any]]:
        trained = [p for p in self.parameters() if p.requires_grad]
        return [
            {"params": [p for p in trained if p.ndim >= 2], "weight_decay": self.weight_decay},
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
        ]


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


def linear_schedule(step: int, warmup: int, total: int) -> float:
    """Factor of the learning rate at an update: up to 1 over ``warmup`` updates, then down to 0 at ``total``.

    Args:
        step: Number of updates so far.
        warmup: Number of updates with rising rate; the first has factor ``1 / (warmup + 1)``, not 0.
        total: Number of updates planned.

    Returns:
        A factor in [0, 1].
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return max(0.0, (total - step) / max(1, total - warmup))
