"""What the classification head of a whole model says of the examples: transformers' own classes, as they were tuned."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoModelForTokenClassification

from closerlook.data.batching import Batch
from closerlook.data.corpus import Level
from closerlook.data.datamodule import CorpusDataModule
from closerlook.models.backbone_loading import from_pretrained
from closerlook.models.encoder_settings import ModelSettings
from closerlook.models.model_source import locate
from closerlook.representations.format import Outputs

_CLASSES = {
    "sentence": ("ForSequenceClassification", AutoModelForSequenceClassification),
    "word": ("ForTokenClassification", AutoModelForTokenClassification),
}


@torch.no_grad()
def head_outputs(
    settings: ModelSettings, level: Level, data: CorpusDataModule, chosen: dict[str, np.ndarray], batch_size: int
) -> Outputs | None:
    """Run the texts through a model with the head that it was saved with.

    Args:
        settings: The model.
        level: What one example is.
        data: The texts.
        chosen: By split, positions of the examples.
        batch_size: Texts per forward pass.

    Returns:
        None where it has no such head: an encoder alone, an adapter, one of another level, one whose weights are
        not in its files, or one that answers with numbers or several labels.
    """
    ending, factory = _CLASSES.get(level, ("", None))
    if factory is None or settings.adapter or settings.package or str(settings.source).endswith(".gguf"):
        return None
    target = locate(settings)
    config = from_pretrained(AutoConfig, target, settings)
    names = config.architectures or [""]
    if not names[0].endswith(ending) or config.num_labels < 2 or "multi" in str(config.problem_type):
        return None
    model, info = from_pretrained(factory, target, settings, dtype=torch.float32, output_loading_info=True)
    if info["missing_keys"] or info["mismatched_keys"]:
        return None
    takes = set(inspect.signature(model.forward).parameters) & set(data.tokenizer.model_input_names)
    inputs = sorted(takes & {"attention_mask", "token_type_ids"} | {"input_ids", "attention_mask"})
    model = model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    classes = np.array([str(config.id2label[i]) for i in range(config.num_labels)])
    scores = {split: np.zeros((len(rows), len(classes)), dtype=np.float32) for split, rows in chosen.items()}
    for split, positions in chosen.items():
        for batch in data.ordered_batches(split, example_subset=positions, batch_size=batch_size):
            rows = np.searchsorted(positions, np.asarray(batch.example_index))
            scores[split][rows] = _scores(model, batch.to(model.device), level, inputs)
    return Outputs(classes, scores)


def _scores(model: Any, batch: Batch, level: Level, inputs: list[str]) -> np.ndarray:
    """(n_examples, n_classes); a word's are those of its first subword, which is where it was tuned."""
    logits = model(**{name: getattr(batch, name) for name in inputs}).logits[batch.target_rows]
    if level == "word":
        logits = logits[torch.arange(len(logits), device=logits.device), batch.target_subwords[:, 0, 0]]
    return logits.float().cpu().numpy()
