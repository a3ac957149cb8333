"""Which snapshots, layers and splits each probe looks at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from closerlook.config import ProbeConfig
from closerlook.probes.runner import Work, last_first
from closerlook.probes.space_probe import Scope, SpaceProbe
from closerlook.representations.reader import SnapshotReader
from closerlook.results.run import RunError

_KEYS = ("steps", "layers", "splits")


@dataclass(frozen=True)
class ScopedProbe:
    """A probe and where it looks, whatever the others look at.

    Attributes:
        probe: The probe.
        scopes: Where it looks; a cell of several of them is computed once.
    """

    probe: SpaceProbe
    scopes: tuple[Scope, ...]


def scoped_probes(
    probes: Sequence[SpaceProbe], reader: SnapshotReader, config: ProbeConfig, *, stored_only: bool
) -> list[ScopedProbe]:
    """Give each probe its scopes: ``scopes.<probe>`` over ``steps``, ``layers`` and ``splits``.

    Args:
        probes: The probes.
        reader: The run's snapshots.
        config: Settings of probe.py. ``scopes`` holds, by probe, any of steps, layers and splits, or a list of such
            mappings.
        stored_only: Leave out splits that are not stored, instead of raising; some have to be.

    Raises:
        RunError: Something was asked for that is not stored, or ``scopes`` holds another key.
        SnapshotError: A table of examples is damaged.
    """
    found = []
    for probe in probes:
        parts = _parts(probe.name, (config.scopes or {}).get(probe.name))
        wanted = [{key: getattr(config, key) for key in _KEYS} | part for part in parts]
        scopes = [choose_scope(reader, **one, stored_only=stored_only) for one in wanted]
        found.append(ScopedProbe(probe, tuple(dict.fromkeys(scopes))))
    return found


def plan_scoped(reader: SnapshotReader, probes: Iterable[ScopedProbe]) -> list[Work]:
    """The independent cells of all probes, each once, the last snapshot's first."""
    found = (
        Work(one.probe, key, scope) for one in probes for scope in one.scopes for key in one.probe.cells(reader, scope)
    )
    return last_first(list({work.key: work for work in found}.values()))


def _parts(name: str, node: Any) -> list[dict[str, Any]]:
    parts = node if isinstance(node, list) else [node or {}]
    for part in parts:
        if not isinstance(part, dict) or not set(part) <= set(_KEYS):
            raise RunError(f"scopes.{name}: got {part}, expected some of {', '.join(_KEYS)}, e.g. {{layers: last}}")
    return parts


def union(probes: Iterable[ScopedProbe]) -> Scope:
    """Everything that any of the probes looks at."""
    scopes = [scope for probe in probes for scope in probe.scopes]
    return Scope(
        tuple(sorted({step for scope in scopes for step in scope.steps})),
        tuple(sorted({layer for scope in scopes for layer in scope.layers})),
        tuple(dict.fromkeys(split for scope in scopes for split in scope.splits)),
    )


def choose_scope(reader: SnapshotReader, steps: Any, layers: Any, splits: Sequence[str], *, stored_only: bool) -> Scope:
    """Turn ``all``, ``first_last``, ``last``, ``blocks`` and lists into steps, layers and splits that are there.

    Raises:
        RunError: Something was asked for that is not stored.
        SnapshotError: A table of examples is damaged.
    """
    ends = tuple(dict.fromkeys((reader.steps[0], reader.steps[-1])))
    chosen_steps = _choose("steps", steps, reader.steps, {"all": reader.steps, "first_last": ends})
    ends_of = {reader.manifests[step].layers[-1] for step in reader.steps}  # of models of several depths
    chosen_layers = choose_layers(layers, reader.all_layers, last=sorted(ends_of))
    chosen = [split for split in splits if split in reader.splits]
    if not chosen or (len(chosen) < len(splits) and not stored_only):
        raise RunError(f"splits={list(splits)}: the run stores {list(reader.splits)}")
    for split in chosen:
        reader.examples(split)  # a damaged table would fail every cell
    return Scope(chosen_steps, chosen_layers, tuple(chosen))


def choose_layers(wanted: Any, stored: Sequence[int], last: Sequence[int] = ()) -> tuple[int, ...]:
    """Turn ``all``, ``blocks``, ``last`` or a list into layers that are stored.

    Args:
        wanted: What was asked for.
        stored: The layers that there are.
        last: Which are last ones, where models of several depths have several.

    Raises:
        RunError: A layer was asked for that is not stored.
    """
    layers = tuple(sorted(stored))
    blocks = tuple(layer for layer in layers if layer > 0)
    return _choose("layers", wanted, layers, {"all": layers, "blocks": blocks, "last": tuple(last) or layers[-1:]})


def _choose(name: str, wanted: Any, stored: tuple[int, ...], words: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    if isinstance(wanted, str) and wanted in words:
        return words[wanted]
    values = [wanted] if isinstance(wanted, int) else wanted
    if isinstance(values, list) and values and all(isinstance(v, int) and v in stored for v in values):
        return tuple(sorted(set(values)))
    shown = list(stored) if len(stored) <= 20 else f"{list(stored[:10])} ... {stored[-1]} ({len(stored)} in all)"
    raise RunError(f"{name}={wanted}: expected {', '.join(words)} or a list of what the run stores: {shown}")
