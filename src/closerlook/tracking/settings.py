"""Settings of a Weights & Biases run, and whether it is to be offline."""

from __future__ import annotations

import netrc
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlparse


@dataclass(frozen=True)
class WandbSettings:
    """Where a run is logged and how.

    Attributes:
        project: The project.
        entity: User or team; None takes the account's default.
        group: Runs that belong together; None takes ``task/model``.
        job_type: ``train`` or ``probe``; None takes what the program is.
        name: Name of the run; None takes ``task/model/seed=0``.
        tags: Tags.
        notes: A free text.
        offline: True writes to the run directory only; False sends to the server; None sends when there is a key.
        init_timeout: Seconds to wait for the server at the start, then the run goes on offline.
        finish_timeout: Seconds to wait for the upload at the end, then ``wandb sync`` can send the rest.
        label_layers: Layers with a series per label, tables and figures; None takes the last one.
    """

    project: str = "closerlook"
    entity: str | None = None
    group: str | None = None
    job_type: str | None = None
    name: str | None = None
    tags: tuple[str, ...] = ()
    notes: str | None = None
    offline: bool | None = None
    init_timeout: float = 30.0
    finish_timeout: float = 120.0
    label_layers: tuple[int, ...] | None = None

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> WandbSettings:
        """Settings from a plain dictionary.

        Raises:
            ValueError: A key is unknown.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(settings) - known):
            raise ValueError(
                f"logger.wandb: unknown setting {', '.join(unknown)}; expected some of {', '.join(sorted(known))}"
            )
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
        return cls(**values)

    def is_offline(self) -> bool:
        """Whether the run stays on disk: asked for, or there is nothing to log in with."""
        if self.offline is not None:
            return self.offline or not has_key()
        return os.environ.get("WANDB_MODE", "online") in ("offline", "dryrun") or not has_key()


_HOSTS = ("api.wandb.ai", "api.forge.coreweave.com")
"""The machines that `wandb login` writes a key for: since wandb 0.31 the second."""


def has_key() -> bool:
    """Whether wandb has something to log in with. The key itself is neither kept nor passed on."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    server = os.environ.get("WANDB_BASE_URL")
    hosts = _HOSTS if server is None else (urlparse(server).netloc, urlparse(server).hostname or "")
    try:
        logins = netrc.netrc(os.environ.get("NETRC") or None)
        return any(logins.authenticators(host) is not None for host in hosts)
    except (OSError, netrc.NetrcParseError):
        return False
