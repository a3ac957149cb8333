"""Settings of a Weights & Biases run: what was asked for, what the environment says, what another run used."""

from __future__ import annotations

import netrc
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlparse

_FROM_ENVIRONMENT = {
    "project": "WANDB_PROJECT",
    "entity": "WANDB_ENTITY",
    "group": "WANDB_RUN_GROUP",
    "name": "WANDB_NAME",
    "notes": "WANDB_NOTES",
}
_INHERITED = ("project", "entity", "group")
_HOSTS = ("api.wandb.ai", "api.forge.coreweave.com")
"""The machines that `wandb login` writes a key for: since wandb 0.31 the second."""

DEFAULT_PROJECT = "closerlook"


@dataclass(frozen=True)
class WandbSettings:
    """Where a run is logged and how. What is None is taken from the environment, then from the run that was trained.

    Attributes:
        project: The project; without any, ``closerlook``.
        entity: User or team; without any, the account's default.
        group: Runs that belong together; without any, ``task/model``.
        job_type: ``train`` or ``probe``; None takes what the program is.
        name: Name of the run; without any, ``task/model/seed=0``, and ``... (probe)`` for a probed run.
        tags: Tags; those of the environment and of the run that was trained come to them.
        notes: A free text.
        offline: True writes to the run directory only; False sends to the server; None sends when there is a key.
        init_timeout: Seconds to wait for the server at the start, then the run goes on offline.
        finish_timeout: Seconds to wait for the upload at the end, then ``wandb sync`` can send the rest.
        label_layers: Layers with a series per label, tables and figures; None takes the last one.
        examples: Examples in the table of examples, with their texts; 0 sends none.
    """

    project: str | None = None
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
    examples: int = 300

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> WandbSettings:
        """Settings from a plain dictionary; what it leaves open is taken from ``WANDB_PROJECT``, ``WANDB_NAME``, ...

        Raises:
            ValueError: A key is unknown.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(settings) - known):
            raise ValueError(
                f"logger.wandb: unknown setting {', '.join(unknown)}; expected some of {', '.join(sorted(known))}"
            )
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
        for field, variable in _FROM_ENVIRONMENT.items():
            if values.get(field) is None and os.environ.get(variable):
                values[field] = os.environ[variable]
        named = [tag.strip() for tag in os.environ.get("WANDB_TAGS", "").split(",")]
        values["tags"] = tuple(dict.fromkeys([*values.get("tags", ()), *filter(None, named)]))
        return cls(**values)

    def inherit(self, trained: Mapping[str, Any]) -> WandbSettings:
        """With project, entity, group and tags of the run that was trained where these are left open.

        Args:
            trained: Its entry in ``wandb.json``, or its ``logger.wandb`` settings.
        """
        open_ones: dict[str, Any] = {name: trained.get(name) for name in _INHERITED if getattr(self, name) is None}
        return replace(self, **open_ones, tags=tuple(dict.fromkeys([*self.tags, *(trained.get("tags") or ())])))

    @property
    def mode(self) -> str:
        """``online``, ``offline`` or ``disabled``: as asked for; offline where there is nothing to log in with."""
        asked = os.environ.get("WANDB_MODE", "online")
        if self.offline is None and asked == "disabled":
            return asked
        stays = asked in ("offline", "dryrun") if self.offline is None else self.offline
        return "offline" if stays or not has_key() else "online"


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
