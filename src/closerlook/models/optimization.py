"""Learning rates: which weights share one, and how it changes from update to update."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Schedule:
    """The learning rate over training, as a factor of ``finetuning.learning_rate``.

    Attributes:
        total: Updates planned.
        warmup_fraction: Share of a stage's updates with rising rate.
        rate_factor: The peak; with a first stage, that stage's, and the second's is 1.
        first: Updates of a first stage with a rise and fall of its own; 0 = there is one stage only.
    """

    total: int
    warmup_fraction: float
    rate_factor: float = 1.0
    first: int = 0

    def __call__(self, step: int) -> float:
        """The factor at an update."""
        if step < self.first:
            return self.rate_factor * self._stage(step, self.first)
        peak = 1.0 if self.first else self.rate_factor
        return peak * self._stage(step - self.first, self.total - self.first)

    def _stage(self, step: int, total: int) -> float:
        warmup = max(1, round(self.warmup_fraction * total)) if self.warmup_fraction > 0 else 0
        return linear_schedule(step, warmup, total)


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


def parameter_groups(
    parameters: Iterable[tuple[str, nn.Parameter]], *, weight_decay: float, rate_scales: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Groups for an optimizer: matrices decay, biases and norms do not; each with ``rate_scale``.

    Args:
        parameters: Names and weights; those that are not trained are left out.
        weight_decay: Weight decay of matrices.
        rate_scales: By name, the factor of the learning rate; 1 where missing.
    """
    trained = [(name, p) for name, p in parameters if p.requires_grad]
    groups = []
    for scale in sorted({rate_scales.get(name, 1.0) for name, _ in trained}):
        alike = [p for name, p in trained if rate_scales.get(name, 1.0) == scale]
        for decay, members in (
            (weight_decay, [p for p in alike if p.ndim >= 2]),
            (0.0, [p for p in alike if p.ndim < 2]),
        ):
            groups.append({"params": members, "weight_decay": decay, "rate_scale": scale})
    return groups


def layer_scales(depths: Mapping[str, int], decay: float, n_layers: int) -> dict[str, float]:
    """Factors of the learning rate that shrink with each block below the head.

    Args:
        depths: By name of a weight, its depth: see :func:`closerlook.models.blocks.depth_of`.
        decay: The factor from one block to the one below, in (0, 1].
        n_layers: Blocks.

    Returns:
        By name, ``decay ** (n_layers + 1 - depth)``; the head and the norm above all blocks have 1.

    Source:
        Clark et al. 2020 (ELECTRA, 2003.10555), appendix B.
    """
    return {name: decay ** (n_layers + 1 - depth) for name, depth in depths.items()}
