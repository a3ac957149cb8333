"""What the pages of a run and of a study share: their templates, scripts and figures, all inside the one file."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
from collections.abc import Iterable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from closerlook import __version__
from closerlook.figures.theme import name_of, visible
from closerlook.measures import MEASURES
from closerlook.number_text import counted, number_text
from closerlook.redaction import redact
from closerlook.report.sections import Section, asset


def render(name: str, parts: Iterable[Section], **content: Any) -> str:
    """A page as HTML text. Whatever comes from data is escaped, and no script but the page's own may run.

    Args:
        name: The template in ``assets``.
        parts: Sections with the figures.
        **content: What else the template shows; functions are filters of the template, too.
    """
    sections = list(parts)
    return render_page(
        name,
        {"plotly": str(get_plotlyjs()), "page": asset("page.js")},
        style=asset("page.css"),
        sections=sections,
        figures=figures_json(sections),
        **content,
    )


def render_page(name: str, scripts: dict[str, str], **content: Any) -> str:
    """A page with its scripts, as HTML text; see :func:`render`.

    Args:
        name: The template in ``assets``.
        scripts: The scripts that may run; the template puts them into the page.
        **content: What else the template shows; functions are filters of the template, too.
    """
    tools: dict[str, Any] = {"name_of": name_of, "counted": counted, "redact": redact}
    tools |= {"number": lambda value, measure: number_text(measure, value), "about": MEASURES.get}
    environment = templates()
    environment.filters |= tools | {key: value for key, value in content.items() if callable(value)}
    page: dict[str, Any] = {
        "version": __version__,
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "scripts": scripts,
        "csp": " ".join(f"'sha256-{script_digest(script)}'" for script in scripts.values()),
    }
    return environment.get_template(name).render(page | tools | content)


def templates() -> Environment:
    """The templates in ``assets``: whatever comes from data is escaped, and characters that nobody sees are shown."""
    return Environment(
        loader=PackageLoader("closerlook.report", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )


def _shown(value: Any) -> Any:
    """Text from data without characters that nobody sees; line ends stay."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return "\n".join(map(visible, value.split("\n")))


def figures_json(parts: Iterable[Section]) -> str:
    """All figures by slot and choice, as JSON that cannot end the script element it stands in."""
    figures: dict[str, Any] = {
        slot.name: {choice: json.loads(str(figure.to_json())) for choice, figure in slot.figures.items()}
        for part in parts
        for slot in part.slots
    }
    return in_script(json.dumps(figures, separators=(",", ":"), ensure_ascii=False))


def in_script(text: str) -> str:
    """JSON that cannot end the script element it stands in."""
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def script_digest(script: str) -> str:
    """Digest of a script for the page's content security policy: no other script may run."""
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
