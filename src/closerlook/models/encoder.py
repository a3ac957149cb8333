"""From a batch of texts to one vector per example: hidden states and how they are pooled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from closerlook.data.corpus import TARGET_WIDTH, Level
from closerlook.models.loading import LoadedEncoder
from closerlook.models.sentence_pooling import choose_pooling

if TYPE_CHECKING:
    from closerlook.data.batching import Batch


class PooledEncoder(nn.Module):
    """An encoder that answers with one vector per example of a batch.

    A word is the mean of its subword vectors; a pair is the vectors of its two words, head first, put end to end
    (Zhou & Srikumar 2022, 4.1); a sentence is its class token, as there, or what the model was made for.

    Args:
        loaded: The encoder and what is known of it.
        level: What one example is.
        final_norm: Whether the last layer is given after the norm that some models apply to it alone.

    Attributes:
        sentence_pooling: ``cls``, ``mean`` or ``last``; None unless examples are sentences.
        notes: Sentences for the user about how its vectors are read.

    Raises:
        ModelError: The pooling is unknown, or makes no sense for this model.
    """

    def __init__(self, loaded: LoadedEncoder, level: Level, *, final_norm: bool = True) -> None:
        super().__init__()
        self.backbone = loaded.backbone
        self.level = level
        self.facts = loaded.facts
        self.final_norm = final_norm
        self.sentence_pooling: str | None = None
        reason = ""
        if level == "sentence":
            self.sentence_pooling, reason = choose_pooling(
                loaded.sentence_pooling, loaded.facts.is_causal, loaded.recommended_pooling, loaded.tokenizer
            )
        self.notes = (*loaded.notes, *self._notes(reason))

    def _notes(self, reason: str) -> list[str]:
        notes = []
        if self.sentence_pooling:
            notes.append(f"A sentence's vector is read by {self.sentence_pooling} ({reason}).")
        if not self.facts.pads_safely:
            notes.append("This model mixes padding into its vectors: texts of equal length only go through together.")
        if self.facts.final_norm and self.final_norm:
            notes.append(
                f"Layer {self.n_layers} is read after the model's final norm ({self.facts.final_norm}), the layers "
                "below before it, on another scale; snapshot.final_norm=false reads all before it."
            )
        elif self.facts.final_norm:
            notes.append(f"All layers are read before the model's final norm ({self.facts.final_norm}).")
        return notes

    @property
    def n_layers(self) -> int:
        """Number of blocks; layers go from 0 (embeddings) to ``n_layers``."""
        return self.facts.n_layers

    @property
    def n_features(self) -> int:
        """Length of an example's vector."""
        return self.facts.hidden_size * max(1, TARGET_WIDTH[self.level])

    def forward(self, batch: Batch) -> Tensor:
        """(n_examples, n_features) vectors of the last layer."""
        return self.pool(self._hidden(batch, all_layers=False)[-1], batch)

    def layers(self, batch: Batch, layers: tuple[int, ...]) -> dict[int, Tensor]:
        """Vectors of several layers from one pass.

        Args:
            batch: A batch of texts.
            layers: Layers to return; 0 = embeddings, L = output of block L.

        Returns:
            By layer, (n_examples, n_features).
        """
        hidden = self._hidden(batch, all_layers=True)
        return {layer: self.pool(hidden[layer], batch) for layer in layers}

    def _hidden(self, batch: Batch, *, all_layers: bool) -> list[Tensor]:
        """(n_texts, n_subwords, hidden_size) of all layers, or of the last alone."""
        inputs = {name: getattr(batch, name) for name in ("input_ids", *self.facts.inputs)}
        if self.facts.pads_safely:
            return self._pass(inputs, all_layers)
        lengths = batch.attention_mask.sum(dim=1)
        result: list[Tensor] = []
        for length in lengths.unique().tolist():
            rows = (lengths == length).nonzero().flatten()
            part = self._pass({name: value[rows, :length] for name, value in inputs.items()}, all_layers)
            result = result or [layer.new_zeros((*batch.input_ids.shape, layer.shape[-1])) for layer in part]
            result = [
                whole.index_put((rows[:, None], torch.arange(length, device=rows.device)), layer)
                for whole, layer in zip(result, part, strict=True)
            ]
        return result

    def _pass(self, inputs: dict[str, Tensor], all_layers: bool) -> list[Tensor]:
        before_norm: list[Tensor] = []
        handle = None
        if all_layers and not self.final_norm and self.facts.final_norm:
            norm = self.backbone.get_submodule(self.facts.final_norm)
            handle = norm.register_forward_pre_hook(lambda module, arguments: before_norm.append(arguments[0]))
        try:
            output: Any = self.backbone(**inputs, output_hidden_states=all_layers)
        finally:
            if handle is not None:
                handle.remove()
        if not all_layers:
            return [output.last_hidden_state]
        return [*output.hidden_states[:-1], before_norm[-1] if before_norm else output.hidden_states[-1]]

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
        if self.sentence_pooling == "last":
            return hidden[torch.arange(len(hidden), device=hidden.device), attention_mask.sum(dim=1) - 1]
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * mask).sum(dim=1) / mask.sum(dim=1)
