"""Keep secrets out of what is shown or sent: configurations pass through here first."""

from __future__ import annotations

import re
from typing import Any

REDACTED = "***"
_SECRET_NAME = re.compile(r"(^|[_-])(api[_-]?key|access[_-]?key|token|password|passwd|secret)$", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"\b(local-[0-9a-f]{40}|wandb_v\d_\w{20,}|hf_[A-Za-z0-9]{20,})\b")


def redact(content: Any) -> Any:
    """A copy of plain data without secrets.

    Args:
        content: Nested dictionaries, lists and scalars.

    Returns:
        The same shape; a value whose name says that it is a secret (``api_key``, ``hub_token``, ``password``),
        or that looks like a key of a known service, is ``***``. Empty values stay.
    """
    if isinstance(content, dict):
        return {
            key: REDACTED if value and _SECRET_NAME.search(str(key)) and not isinstance(value, (dict, bool, int))
            else redact(value)
            for key, value in content.items()
        }  # fmt: skip
    if isinstance(content, (list, tuple)):
        return [redact(value) for value in content]
    return _SECRET_VALUE.sub(REDACTED, content) if isinstance(content, str) else content
