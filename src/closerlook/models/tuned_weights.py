"""The part of an encoder that training changes: what checkpoints hold. The rest comes from the model's source."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from closerlook.models.encoder import PooledEncoder
from closerlook.models.model_error import ModelError

PREFIX = "encoder."
"""Before the names of the encoder's weights in a checkpoint."""


def frozen_names(module: nn.Module) -> frozenset[str]:
    """Names in ``module.state_dict()`` of the weights that are not trained; buffers are not among them."""
    state = module.state_dict(keep_vars=True)
    return frozenset(n for n, value in state.items() if isinstance(value, nn.Parameter) and not value.requires_grad)


def load_tuned(encoder: PooledEncoder, state: Mapping[str, Tensor]) -> None:
    """Put what a run has tuned into its encoder, as it is before training.

    Args:
        encoder: The encoder, built with the run's method (see :func:`closerlook.pipelines.build.build`).
        state: ``state_dict`` of a checkpoint of the run.

    Raises:
        ModelError: Trained weights are missing, or there are others.
    """
    found = {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}
    own = encoder.state_dict()
    # checkpoints of earlier versions hold frozen weights too
    missing, unknown = own.keys() - frozen_names(encoder) - found.keys(), found.keys() - own.keys()
    shapes = {name for name in found.keys() & own.keys() if found[name].shape != own[name].shape}
    if other := [*sorted(missing), *sorted(unknown), *sorted(shapes)]:
        raise ModelError(
            f"the checkpoint is of another model or method: {len(other)} weights are missing, unknown or of other "
            f"shapes, e.g. {other[0]}. Expected the checkpoint of this run: train it again"
        )
    encoder.load_state_dict(found, strict=False)
