"""The vector of a sentence is the one the model was made for; what makes no sense is refused."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from closerlook.models.encoder_settings import ModelSettings
from closerlook.models.model_error import ModelError
from closerlook.models.sentence_pooling import choose_pooling, recommended_pooling


def tokenizer(*tokens: str, cls: str | None = None, specials: tuple[str, ...] = ()) -> Any:
    class Tokenizer:
        cls_token = cls
        all_special_tokens = specials

        def __call__(self, text: str) -> Any:
            return SimpleNamespace(input_ids=list(range(len(tokens))))

        def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
            return [tokens[i] for i in ids]

    return Tokenizer()


BERT = tokenizer("[CLS]", "a", "text", "[SEP]", cls="[CLS]", specials=("[CLS]", "[SEP]"))
XLNET = tokenizer("a", "text", "<sep>", "<cls>", cls="<cls>", specials=("<sep>", "<cls>"))
T5 = tokenizer("a", "text", "</s>", specials=("</s>",))
EUROBERT = tokenizer("<bos>", "a", "text", specials=("<bos>",))


@pytest.mark.parametrize(
    ("tokens", "causal", "recommended", "expected"),
    [
        (BERT, False, None, "cls"),
        (BERT, False, "mean", "mean"),
        (XLNET, False, None, "last"),
        (T5, False, None, "mean"),
        (EUROBERT, False, None, "mean"),
        (EUROBERT, True, None, "last"),
        (BERT, True, None, "last"),
        (T5, True, "mean", "mean"),
    ],
)
def test_auto(tokens: Any, causal: bool, recommended: str | None, expected: str) -> None:
    pooling, reason = choose_pooling("auto", causal, recommended, tokens)
    assert pooling == expected
    assert reason.startswith("auto: ")


def test_what_is_set_is_taken_unless_it_makes_no_sense() -> None:
    assert choose_pooling("mean", True, None, BERT)[0] == "mean"
    assert choose_pooling("last", False, None, BERT)[0] == "last"
    assert choose_pooling("cls", False, "mean", BERT)[0] == "cls"
    assert choose_pooling("cls", False, None, EUROBERT)[0] == "cls"
    with pytest.raises(ModelError, match=r"in a causal model sees nothing.*=last, mean or auto"):
        choose_pooling("cls", True, None, EUROBERT)
    with pytest.raises(ModelError, match=r"puts none first: got 'a'"):
        choose_pooling("cls", False, None, T5)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_lasttoken": True}, "last"),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode_max_tokens": True}, None),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, None),
    ],
)
def test_sentence_transformers_folders_say_it(content: dict[str, Any], expected: str | None, tmp_path: Path) -> None:
    settings = ModelSettings(name="m", source=str(tmp_path))
    assert recommended_pooling(tmp_path, settings) is None
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "modules.json").write_text("[]")
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(content))
    assert recommended_pooling(tmp_path, settings) == expected
    (tmp_path / "1_Pooling" / "config.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        recommended_pooling(tmp_path, settings)
    assert recommended_pooling("no-such/model", settings) is None  # a hub id that is not in the cache
