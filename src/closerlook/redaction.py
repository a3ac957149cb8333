"""Keep secrets out of what is shown, stored or sent: settings, overrides and error texts pass through here first."""

from __future__ import annotations

import logging
import os
import re
from typing import Any

REDACTED = "***"
_NAME = r"(?:api[_-]?key|access[_-]?key|secret[_-]?key|private[_-]?key|token|password|passwd|passphrase|secret)"
_SECRET_NAME = re.compile(rf"(^|[._-]){_NAME}$", re.IGNORECASE)
_NO_SECRET_NAME = re.compile(r"(^|[._-])(pad|unk|cls|sep|mask|bos|eos)_token$", re.IGNORECASE)
_DIGEST_NAME = re.compile(r"revision|commit|checksum|digest|sha|hash", re.IGNORECASE)
_NOT_A_SECRET = re.compile(r"|null|none|true|false|\*+|\$\{[\w.:]+\}", re.IGNORECASE)
_MIN_SECRET = 8  # a shorter value of an environment variable is likely to stand in a text by chance

_KEY_SHAPES = re.compile(
    r"\b(?:local-[0-9a-f]{40}|wandb_v\d_\w{20,}|hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}"
    r"|glpat-[\w-]{20,}|sk-[\w-]{20,}|AKIA[0-9A-Z]{16})\b"
)
# W&B's older keys are 40 hexadecimal digits. So are git's commits, which stand behind a slash, an @ or their name.
_HEX_KEY = re.compile(r"(?<![/@\w])[0-9a-f]{40}(?!\w)")
_IN_ADDRESS = re.compile(r"(:/{1,2}[^\s:/@]*):[^\s@]+@")  # user:password@host; a password may hold a slash
_WITHOUT_SCHEME = re.compile(r"(?<![\w/:@])(?!mailto:)([\w.+-]+):[^\s:@/]{4,}@(?=[\w\[])")
_TOKEN_IN_ADDRESS = re.compile(r"://[^\s:/@]{20,}@")
_ASSIGNED = re.compile(
    rf"((?:[\w.-]*[._-])?{_NAME})(['\"]?\s*(?:=|:\s)\s*)(\"[^\"]*\"|'[^']*'|[^\s,;&'\"}}\])]+)", re.IGNORECASE
)
_DIGEST_ASSIGNED = re.compile(r"(?:revision|commit|checksum|digest|sha1?|hash)['\"]?[\s=:]+['\"]?$", re.IGNORECASE)


def redact(content: Any) -> Any:
    """A copy of plain data without secrets.

    Args:
        content: Nested dictionaries, lists and scalars, or a text.

    Returns:
        The same shape with ``***`` in place of: values whose name says that they are secret (``api_key``,
        ``hub_token``, ``password``), also where a text assigns them (``hub_token=...`` in a list of overrides);
        passwords in addresses; what has the shape of a key of a known service; and what the environment
        holds under such a name. Empty values, and references such as ``${oc.env:TOKEN}``, stay.
    """
    known = [value for name, value in os.environ.items() if _is_secret(name) and len(value) >= _MIN_SECRET]
    return _redact(content, sorted(known, key=len, reverse=True))


class RedactingFormatter(logging.Formatter):
    """Log lines without secrets, tracebacks included; of every handler that ``conf/hydra`` sets up."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return str(redact(super().format(record)))


def _is_secret(name: str) -> bool:
    return bool(_SECRET_NAME.search(name)) and not _NO_SECRET_NAME.search(name)


def _redact(content: Any, known: list[str], name: str = "") -> Any:
    if isinstance(content, dict):
        return {key: _redact(value, known, name if _is_secret(name) else str(key)) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_redact(value, known, name) for value in content]
    if _is_secret(name) and content is not None and not isinstance(content, bool):
        return content if _NOT_A_SECRET.fullmatch(str(content)) else REDACTED
    if not isinstance(content, str):
        return content
    for value in known:
        content = content.replace(value, REDACTED)
    return _in_text(content, may_be_digest=bool(_DIGEST_NAME.search(name)))


def _in_text(text: str, *, may_be_digest: bool) -> str:
    text = _ASSIGNED.sub(_assigned, text)
    text = _IN_ADDRESS.sub(rf"\1:{REDACTED}@", text)
    text = _WITHOUT_SCHEME.sub(rf"\1:{REDACTED}@", text)
    text = _TOKEN_IN_ADDRESS.sub(f"://{REDACTED}@", text)
    text = _KEY_SHAPES.sub(REDACTED, text)
    return text if may_be_digest else _HEX_KEY.sub(_unless_digest, text)


def _assigned(found: re.Match[str]) -> str:
    name, between, value = found.groups()
    keep = not _is_secret(name) or _NOT_A_SECRET.fullmatch(value.strip("'\""))
    return found.group() if keep else f"{name}{between}{REDACTED}"


def _unless_digest(found: re.Match[str]) -> str:
    """A commit or revision that its name stands before stays."""
    before = found.string[max(found.start() - 20, 0) : found.start()]
    return found.group() if _DIGEST_ASSIGNED.search(before) else REDACTED
