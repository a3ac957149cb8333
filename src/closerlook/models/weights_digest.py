"""What two encoders have in common, told from their weights: the same numbers, or the same coordinates."""

from __future__ import annotations

import hashlib

import numpy as np
from torch import nn
from transformers import PreTrainedModel

_ROWS, _COLUMNS = 4096, 16
_RELATED = 0.1
"""Correlation of embeddings above which two encoders come from one: of unrelated ones it is 0 ± 0.005."""


def tensors_digest(model: nn.Module) -> str:
    """SHA-256 over the names and values of a model's tensors, whatever the files that they came from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {tuple(values.shape)} {values.dtype}\n".encode())
        digest.update(memoryview(values.float().numpy()).cast("B") if values.numel() else b"")
    return digest.hexdigest()


def embedding_sketch(model: PreTrainedModel) -> np.ndarray | None:
    """Some entries of the embeddings of subwords: (n_rows, n_columns) float32; None where there is no such table."""
    try:
        table = model.get_input_embeddings()
    except NotImplementedError:
        return None
    if not isinstance(table, nn.Embedding):
        return None
    weight = table.weight
    columns = np.linspace(0, weight.shape[1] - 1, min(_COLUMNS, weight.shape[1])).round().astype(int)
    return weight.detach()[:_ROWS].float().cpu().numpy()[:, columns]


def share_coordinates(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    """Whether two encoders of one width come from one: tuned from it, or one from the other.

    The coordinates of encoders that were trained apart have nothing to do with each other, even where they are as many:
    one vector cannot be subtracted from the other. Embeddings move little, and those of two trainings are unrelated.

    Args:
        a: The sketch of one, see :func:`embedding_sketch`; None = not known, and taken to be related.
        b: That of the other.
    """
    if a is None or b is None:
        return True
    if a.shape[1] != b.shape[1]:
        return False
    n = min(len(a), len(b))
    x, y = (sketch[:n] - sketch[:n].mean(axis=0) for sketch in (a, b))
    scale = float(np.linalg.norm(x) * np.linalg.norm(y))
    return scale == 0 or float((x * y).sum()) / scale > _RELATED
