"""From a batch of texts to one vector per example: hidden states and how they are pooled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from closerlook.data.corpus import TARGET_WIDTH, Level
from closerlook.models.loading import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from closerlook.data.batching import Batch


class PooledEncoder(nn.Module):
    """An encoder that answers with one vector per example of a batch.

    A word is the mean of its subword vectors; a pair is the vectors of its two words, head first, put
    end to end; a sentence is its first subword (``[CLS]``), or the mean of its subwords (Zhou & Srikumar 2022, 4.1).

    Args:
        backbone: A ``transformers`` encoder.
        level: What one example is.
        sentence_pooling: ``cls`` or ``mean``; only read at sentence level.

    Raises:
        ModelError: ``sentence_pooling`` is neither.
    """

    def __init__(self, backbone: PreTrainedModel, level: Level, sentence_pooling: str = "cls") -> None:
        super().__init__()
        if sentence_pooling not in ("cls", "mean"):
            raise ModelError(
                f"model.sentence_pooling is {sentence_pooling!r}; expected cls (the paper) or mean: set one of them"
            )
        self.backbone = backbone
        self.level = level
        self.sentence_pooling = sentence_pooling

    @property
    def n_layers(self) -> int:
        """Number of blocks; layers go from 0 (embeddings) to ``n_layers``."""
        return int(self.backbone.config.num_hidden_layers)

    @property
    def n_features(self) -> int:
        """Length of an example's vector."""
        return int(self.backbone.config.hidden_size) * max(1, TARGET_WIDTH[self.level])

    def forward(self, batch: Batch) -> Tensor:
        """(n_examples, n_features) vectors of the last layer."""
        output = self.backbone(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
        return self.pool(output.last_hidden_state, batch)

    def layers(self, batch: Batch, layers: tuple[int, ...]) -> dict[int, Tensor]:
        """Vectors of several layers from one pass.

        Args:
            batch: A batch of texts.
            layers: Layers to return; 0 = embeddings, L = output of block L.

        Returns:
            By layer, (n_examples, n_features).
        """
        output = self.backbone(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask, output_hidden_states=True
        )
        return {layer: self.pool(output.hidden_states[layer], batch) for layer in layers}

    def pool(self, hidden: Tensor, batch: Batch) -> Tensor:
        """One vector per example of one layer's hidden states.

        Args:
            hidden: (n_texts, n_subwords, hidden_size).
            batch: The batch they belong to.

        Returns:
            (n_examples, n_features).
        """
        rows = batch.target_rows
        if self.level == "sentence":
            return self._pool_sentences(hidden, batch.attention_mask)[rows]
        # One fused kernel: gathering the pieces first would copy as many vectors for every word as the longest
        # word has pieces, which took ten times as long.
        pieces = (rows[:, None, None] * hidden.shape[1] + batch.target_subwords).flatten(0, 1)
        mask = batch.target_mask.flatten(0, 1).to(hidden.dtype)  # both (n_examples * words, pieces)
        sums = nn.functional.embedding_bag(pieces, hidden.flatten(0, 1), mode="sum", per_sample_weights=mask)
        return (sums / mask.sum(dim=1, keepdim=True)).view(len(rows), -1)

    def _pool_sentences(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        if self.sentence_pooling == "cls":
            return hidden[:, 0]
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


def freeze(module: nn.Module) -> None:
    """Stop gradients to all parameters of a module."""
    for parameter in module.parameters():
        parameter.requires_grad_(False)


@torch.no_grad()
def parameter_count(module: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())
