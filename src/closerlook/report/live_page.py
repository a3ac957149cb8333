"""The pages that show runs while they are trained: a list, and one run; plain HTML that fills itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from closerlook import __version__
from closerlook.redaction import redact
from closerlook.report.page import script_digest, templates
from closerlook.report.sections import asset

CSP = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
_WIDTH, _HEIGHT = 260.0, 60.0


class Series(NamedTuple):
    """A curve: its name, epochs across, values up, and the last value in words."""

    name: str
    epochs: tuple[float, ...]
    values: tuple[float, ...]
    last: str


class Shot(NamedTuple):
    """A snapshot: its step, the same in epochs, and what a live probe or probe.py found in its last layer."""

    step: int
    epoch: float | None
    found: dict[str, str]


@dataclass(frozen=True)
class LiveRun:
    """What is known of a run now.

    Attributes:
        path: Its directory below the root.
        title: What it is.
        status: ``running``, ``killed``, ``finished``, ``failed``, ``interrupted``, or ``unreadable``.
        step: The last update that is known of.
        n_updates: Updates planned; None = not known.
        changed: When its state was last written.
        error: Why it failed, or why it cannot be read.
        command: What goes on with it, or trains it again; empty when that is not known.
        facts: Further facts by name.
        shots: Its snapshots.
        curves: Its training metrics and live probes.
        pages: Pages that were made of it, by name.
    """

    path: str
    title: str
    status: str
    step: int = 0
    n_updates: int | None = None
    changed: str = ""
    error: str = ""
    command: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    shots: tuple[Shot, ...] = ()
    curves: tuple[Series, ...] = ()
    pages: tuple[str, ...] = ()

    @property
    def share(self) -> float | None:
        """Share of the updates that is done, in percent; None = not known."""
        return min(100.0, 100.0 * self.step / self.n_updates) if self.n_updates else None


def list_page(root: str, runs: Sequence[LiveRun]) -> str:
    """The list of runs, those at work and those in trouble first."""
    order = {"running": 0, "failed": 1, "killed": 1, "unreadable": 1, "interrupted": 2}
    ordered = sorted(runs, key=lambda run: (order.get(run.status, 3), run.path))
    counts: dict[str, int] = {}
    for run in ordered:
        counts[run.status] = counts.get(run.status, 0) + 1
    return _render("live.html.j2", root=root, runs=ordered, counts=counts)


def run_page(run: LiveRun) -> str:
    """One run."""
    return _render("live_run.html.j2", run=run, columns=list({name: 0 for shot in run.shots for name in shot.found}))


def csp() -> str:
    """The pages' content security policy: their one script, and requests to this server."""
    return f"{CSP}; script-src 'sha256-{script_digest(asset('live.js'))}'"


def _render(name: str, **content: Any) -> str:
    environment = templates()
    environment.filters |= {"redact": redact, "points": _points}
    return environment.get_template(name).render(
        content | {"style": asset("page.css"), "script": asset("live.js"), "version": __version__}
    )


def _points(series: Series) -> str:
    """A curve as the points of an SVG line of 260 x 60."""
    low, high = min(series.values), max(series.values)
    first, last = min(series.epochs), max(series.epochs)
    across, up = _WIDTH / ((last - first) or 1.0), (_HEIGHT - 6) / ((high - low) or 1.0)
    pairs = zip(series.epochs, series.values, strict=True)
    return " ".join(f"{(x - first) * across:.1f},{_HEIGHT - 3 - (y - low) * up:.1f}" for x, y in pairs)
