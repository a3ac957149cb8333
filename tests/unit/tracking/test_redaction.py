"""Secrets do not leave; names that only look like it do."""

from __future__ import annotations

import pytest

from closerlook.tracking.redaction import REDACTED, redact


@pytest.mark.parametrize(
    "name", ["api_key", "API_KEY", "wandb_api_key", "hub_token", "token", "password", "client-secret"]
)
def test_secret_names_are_emptied(name):
    assert redact({"a": [{name: "sesame"}]}) == {"a": [{name: REDACTED}]}


def test_other_names_and_empty_values_stay():
    plain = {"tokenizer": "fast", "max_tokens": 3, "token": None, "tokens": ["a"], "password": "", "key": "k"}
    assert redact(plain) == plain


@pytest.mark.parametrize("text", ["local-" + "a1" * 20, "hf_" + "A" * 30])
def test_values_that_look_like_keys_are_emptied(text):
    assert redact(["login with " + text]) == ["login with " + REDACTED]


def test_the_input_is_not_changed():
    content = {"api_key": "sesame"}
    redact(content)
    assert content == {"api_key": "sesame"}
