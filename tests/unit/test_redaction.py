"""Secrets do not leave; names and digests that only look like it do."""

from __future__ import annotations

import logging
import sys

import pytest

from closerlook.redaction import REDACTED, RedactingFormatter, redact

HEX = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    "name", ["api_key", "API_KEY", "wandb_api_key", "hub_token", "token", "password", "client-secret", "private_key"]
)
@pytest.mark.parametrize("value", ["sesame", 1234, ["sesame"], {"a": "sesame"}])
def test_secret_names_are_emptied(name, value):
    assert "sesame" not in str(redact({"a": [{name: value}]}))
    assert "1234" not in str(redact({"a": [{name: value}]}))
    assert REDACTED in str(redact({"a": [{name: value}]}))


def test_other_names_and_empty_values_stay():
    plain = {
        "tokenizer": "fast", "max_tokens": 3, "token": None, "tokens": ["a"], "password": "", "key": "k",
        "pad_token": "[PAD]", "hub_token": "${oc.env:HF_TOKEN}", "use_auth_token": False,
    }  # fmt: skip
    assert redact(plain) == plain


@pytest.mark.parametrize(
    "key",
    [HEX, "local-" + "a1" * 20, "hf_" + "A" * 34, "wandb_v1_" + "b" * 40, "ghp_" + "c" * 36, "sk-" + "d" * 40,
     "AKIA" + "E" * 16],
)  # fmt: skip
@pytest.mark.parametrize("text", ["{}", "login with {}", "a, {}, b", "note={}", "'{}'", "key: {}."])
def test_values_that_look_like_keys_are_emptied(key, text):
    assert redact({"notes": [text.format(key)]}) == {"notes": [text.format(REDACTED)]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+model.hub_token=sesame", "+model.hub_token=***"),
        ("task.password='open sesame'", "task.password=***"),
        ("logger.wandb.api_key=sesame,seed=1", "logger.wandb.api_key=***,seed=1"),
        ('{"api_key": "sesame", "b": 1}', '{"api_key": ***, "b": 1}'),
        ("https://host/x?token=sesame&y=2", "https://host/x?token=***&y=2"),
        ("tcp://me:sesame@10.0.0.1:8786", "tcp://me:***@10.0.0.1:8786"),
        ("cannot reach tls://:ses/ame@host:1 now", "cannot reach tls://:***@host:1 now"),
        ("invalid address 'me:sesame@127.0.0.1:1'", "invalid address 'me:***@127.0.0.1:1'"),
        ("no such file tcp:/me:sesame@h/x", "no such file tcp:/me:***@h/x"),  # as a path it loses a slash
        ("https://sesamesesamesesamesesame@github.com/a", "https://***@github.com/a"),
    ],
)
def test_secrets_inside_texts_are_emptied(text, expected):
    assert redact(text) == expected
    assert redact([text]) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "seed=1", "tcp://10.0.0.1:8786", "model.tokenizer=fast", "unexpected token in line 3", "hub_token=null",
        "https://me@host/path", f"model.revision={HEX}", f"commit {HEX}", f"git+https://host/a@{HEX}",
        f"https://host/resolve/{HEX}/config.json", "f" * 64, "sha256:" + "a" * 64, "a/b:c@d",
        "mailto:someone@host.org",
    ],
)  # fmt: skip
def test_other_texts_stay(text):
    assert redact(text) == text


def test_revisions_commits_and_checksums_stay():
    plain = {"model_revision": HEX, "git_commit": HEX, "checksums": {"a.csv": "sha256:" + "1" * 64}}
    assert redact(plain) == plain


def test_what_the_environment_calls_a_secret_is_emptied(monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "correct horse")
    monkeypatch.setenv("SHORT_TOKEN", "x")
    assert redact("server says: correct horse, x") == "server says: ***, x"


def test_twice_is_as_once():
    once = redact(["a.token=sesame tcp://me:sesame@h:1", {"token": "sesame"}])
    assert redact(once) == once


def test_the_input_is_not_changed():
    content = {"api_key": "sesame"}
    redact(content)
    assert content == {"api_key": "sesame"}


def test_log_lines_have_no_secrets_tracebacks_included():
    formatter = RedactingFormatter("%(message)s")
    record = logging.LogRecord("x", logging.ERROR, "f.py", 1, "password=%s", ("sesame",), None)
    try:
        raise ValueError("tcp://me:sesame@host:1 does not answer")
    except ValueError:
        record.exc_info = sys.exc_info()
    line = formatter.format(record)
    assert "Traceback" in line
    assert line.count(REDACTED) == 2 + line.count("raise ValueError")  # the source line, too, where it is shown
    assert "sesame" not in line
