"""What the pages of a run and of a study share: their templates, scripts and figures, all inside the one file."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

from closerlook import __version__
from closerlook.report.sections import Section


def render(name: str, parts: Iterable[Section], *, tools: Mapping[str, Any], **content: Any) -> str:
    """A page as HTML text. Whatever comes from data is escaped, and no script but the page's own may run.

    Args:
        name: The template in ``assets``.
        parts: Sections with the figures.
        tools: Functions that the template calls, as filters and as names.
        **content: What else the template shows.
    """
    from jinja2 import Environment, StrictUndefined
    from plotly.offline import get_plotlyjs

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= tools
    environment.globals |= tools
    scripts = {"plotly": str(get_plotlyjs()), "page": asset("page.js")}
    sections = list(parts)
    return environment.from_string(asset(name)).render(
        version=__version__,
        made=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        sections=sections,
        figures=figures_json(sections),
        style=asset("page.css"),
        scripts=scripts,
        csp=" ".join(f"'sha256-{_sha256(script)}'" for script in scripts.values()),
        **content,
    )


def asset(name: str) -> str:
    """The text of a file in ``assets``."""
    return resources.files("closerlook.report").joinpath("assets", name).read_text(encoding="utf-8")


def figures_json(parts: Iterable[Section]) -> str:
    """All figures by slot and choice, as JSON that cannot end the script element it stands in."""
    figures: dict[str, Any] = {
        slot.name: {choice: json.loads(str(figure.to_json())) for choice, figure in slot.figures.items()}
        for part in parts
        for slot in part.slots
    }
    text = json.dumps(figures, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _sha256(script: str) -> str:
    """Digest of a script for the page's content security policy: no other script may run."""
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
