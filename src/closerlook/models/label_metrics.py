"""Metrics of predicted labels that torchmetrics does not have, or not at a cost that many labels allow."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric


class MacroF1(Metric):
    """Mean over the labels of F1 = 2 tp / (2 tp + fp + fn), in [0, 1]; labels that never occur are left out.

    torchmetrics' own metric counts a matrix of labels x labels for every batch: with 2,000 labels, 229 of the 240 s
    of a training. Three counts a label are enough.

    Args:
        n_classes: Number of labels.
    """

    full_state_update = False
    matches: Tensor
    predictions: Tensor
    targets: Tensor

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.n_classes = n_classes
        for name in ("matches", "predictions", "targets"):
            self.add_state(name, torch.zeros(n_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, labels: Tensor) -> None:
        """Count a batch.

        Args:
            predicted: (n,) int64 class indices.
            labels: (n,) int64 class indices.
        """
        self.matches += torch.bincount(labels[predicted == labels], minlength=self.n_classes)
        self.predictions += torch.bincount(predicted, minlength=self.n_classes)
        self.targets += torch.bincount(labels, minlength=self.n_classes)

    def compute(self) -> Tensor:
        """The mean over the labels that were predicted or stood in the data; NaN where there are none."""
        both = self.predictions + self.targets
        occurs = both > 0
        return (2.0 * self.matches[occurs] / both[occurs]).mean()


class Predictions(Metric):
    """The predicted class of every example, put together from batches and processes.

    Args:
        n_examples: Number of examples; each must be predicted once.
    """

    full_state_update = False
    classes: Tensor

    def __init__(self, n_examples: int) -> None:
        super().__init__()
        self.add_state("classes", torch.full((n_examples,), -1), dist_reduce_fx="max")

    def update(self, example_index: Tensor, predicted: Tensor) -> None:
        """Keep a batch.

        Args:
            example_index: (n,) int64 positions of the examples.
            predicted: (n,) int64 class indices.
        """
        self.classes[example_index] = predicted

    def compute(self) -> Tensor:
        """(n_examples,) int64 class indices, in the order of the examples."""
        return self.classes
