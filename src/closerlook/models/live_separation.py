"""How far the labels stand apart while a model is tuned: sums over minibatches, exact whatever the batches."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torchmetrics import Metric

from closerlook.geometry.label_sums import LabelSums
from closerlook.geometry.validation import UndefinedMeasureError


class LabelSeparation(Metric):
    """A measure of the sums per label: the Fisher ratio, or CDNV.

    As input to ``update``: ``vectors`` (batch, n_features), ``labels`` (batch,) class numbers. As output of
    ``compute``: a scalar, that of all examples seen, over all processes; NaN where it is undefined (one label, no
    scatter).

    Args:
        n_classes: Number of labels.
        n_features: Length of a vector.
        measure: Takes the sums, returns the number.
    """

    full_state_update = False
    counts: Tensor
    sums: Tensor
    squares: Tensor

    def __init__(self, n_classes: int, n_features: int, measure: Callable[[LabelSums], float]) -> None:
        super().__init__()
        # Scatter is a difference of nearly equal sums, hence double precision; Apple's GPUs have none.
        dtype = torch.float32 if torch.backends.mps.is_available() else torch.float64
        for name, shape in (("counts", (n_classes,)), ("sums", (n_classes, n_features)), ("squares", (n_classes,))):
            self.add_state(name, torch.zeros(shape, dtype=dtype), dist_reduce_fx="sum")
        self.measure = measure

    def update(self, vectors: Tensor, labels: Tensor) -> None:
        """Add a batch."""
        rows = vectors.detach().to(self.sums.dtype)
        self.counts += torch.bincount(labels, minlength=len(self.counts)).to(self.counts)
        self.sums.index_add_(0, labels, rows)
        self.squares.index_add_(0, labels, (rows * rows).sum(dim=1))

    def compute(self) -> Tensor:
        """The measure over all examples seen."""
        found = LabelSums(*(state.cpu().double().numpy() for state in (self.counts, self.sums, self.squares)))
        try:
            value = self.measure(found) if (found.counts > 0).sum() > 1 else torch.nan
        except UndefinedMeasureError:
            value = torch.nan
        return torch.tensor(value, dtype=torch.float32, device=self.device)
