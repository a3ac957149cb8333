"""``probe=[weights]``: the cells of a run's weights, a block a cell, in this process: all cores work on one matrix."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from closerlook.config import ProbeConfig
from closerlook.errors import UserError
from closerlook.geometry.model_change import ModelChange, model_change
from closerlook.geometry.validation import UndefinedMeasureError
from closerlook.pipelines.run_weights import StepWeights, run_weights
from closerlook.probes.runner import FailedCell, OnCell, ProbeOutcome
from closerlook.probes.space_probe import Where
from closerlook.probes.weight_analysis import PROBE, WeightAnalysis
from closerlook.results.rows import OF_WEIGHTS, Place, ResultRow
from closerlook.results.run import RunInfo
from closerlook.results.run_dir import RunDir
from closerlook.results.store import Cell, CellKey, ResultStore

if TYPE_CHECKING:
    from closerlook.models.weights import EncoderWeights


@dataclass(frozen=True)
class WeightPlan:
    """What is to be computed on a run's weights.

    Attributes:
        probe: The probe.
        info: What the run is.
        keys: One cell per moment after the first, and block.
        moments: The moments; none where the weights are not known.
        error: Why they are not.
    """

    probe: WeightAnalysis
    info: RunInfo
    keys: tuple[CellKey, ...]
    moments: tuple[StepWeights, ...]
    error: str = ""


def plan_run_weights(run: RunDir, probes: Iterable[object], config: ProbeConfig) -> list[WeightPlan]:
    """What ``probe=[weights]`` is to compute of a run; nothing of another task's space, whose weights are the run's.

    Args:
        run: The run.
        probes: The chosen probes.
        config: Settings of probe.py.
    """
    wanted = [one for one in probes if isinstance(one, WeightAnalysis) and not run.is_cross]
    scope = (config.scopes or {}).get(PROBE) or {}
    parts = scope if isinstance(scope, list) else [scope]
    return [
        plan_weights(
            run,
            one,
            part.get("steps", config.steps),
            part.get("layers", config.layers),
            trust_remote_code=config.trust_remote_code,
        )
        for one in wanted
        for part in parts
    ]


def plan_weights(
    run: RunDir, probe: WeightAnalysis, steps: Any, layers: Any, *, trust_remote_code: bool = False
) -> WeightPlan:
    """The cells of a run's weights; nothing is loaded.

    Args:
        run: The run.
        probe: The probe.
        steps: ``all``, ``first_last``, ``last``, or a list of steps: those that have weights are looked at.
        layers: ``all``, ``blocks``, ``last``, or a list of layers; 0 = embeddings.
        trust_remote_code: Run code that comes with the model.
    """
    info = run.info()
    blocks = _chosen_layers(layers, info.n_layers)
    try:
        moments = run_weights(run, trust_remote_code=trust_remote_code)
    except UserError as error:
        unknown = CellKey(Place(probe.name, blocks[-1], OF_WEIGHTS, 0), "")
        return WeightPlan(probe, info, (unknown,), (), str(error))
    wanted = _chosen_steps(steps, [one.step for one in moments[1:]])
    keys = [
        probe.key(one.step, block, moments[0].digest, one.digest)
        for one in moments[1:]
        if one.step in wanted
        for block in blocks
    ]
    return WeightPlan(probe, info, tuple(keys), moments)


def _chosen_layers(layers: Any, n_layers: int) -> list[int]:
    everything = list(range(n_layers + 1))
    words = {"all": everything, "blocks": everything[1:], "last": everything[-1:]}
    if isinstance(layers, str):
        return words.get(layers, everything)
    return [layer for layer in everything if layer in ([layers] if isinstance(layers, int) else layers)] or everything


def _chosen_steps(steps: Any, known: list[int]) -> list[int]:
    if isinstance(steps, list):
        return [step for step in known if step in steps]
    return known if steps == "all" else known[-1:]


def compute_weights(plan: WeightPlan, store: ResultStore, on_cell: OnCell) -> ProbeOutcome:
    """Compute the cells that are not finished yet; each one is on disk before the next is taken.

    Cells that fail are in the outcome; they do not raise.

    Args:
        plan: What is to be computed.
        store: Where finished cells are kept.
        on_cell: Called after every cell, finished now or before.
    """
    start = time.perf_counter()
    todo = [key for key in plan.keys if key not in store]
    for key in plan.keys:
        if key in store:
            on_cell(key)
    failed = []
    for outcome in _outcomes(plan, todo):
        if isinstance(outcome, FailedCell):
            failed.append(outcome)
        else:
            store.add(outcome)
        on_cell(outcome.key)
    seconds = time.perf_counter() - start
    return ProbeOutcome(plan.keys, len(todo) - len(failed), len(plan.keys) - len(todo), tuple(failed), seconds)


def _outcomes(plan: WeightPlan, todo: Sequence[CellKey]) -> Iterator[Cell | FailedCell]:
    if plan.error:
        yield from (FailedCell(key, plan.error, "") for key in todo)
        return
    before = None
    for moment in plan.moments[1:]:
        keys = [key for key in todo if key.place.step == moment.step]
        if not keys:
            continue
        try:
            before = plan.moments[0].load() if before is None else before
            yield from _cells(plan, keys, before, moment.load())
        except Exception as error:  # one bad checkpoint must not sink the others; the caller reports it
            said = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            yield from (FailedCell(key, said, traceback.format_exc()) for key in keys)


def _cells(plan: WeightPlan, keys: Sequence[CellKey], before: EncoderWeights, after: EncoderWeights) -> Iterator[Cell]:
    try:
        change: ModelChange | str = model_change(before.arrays, after.arrays)
    except UndefinedMeasureError as error:
        change = str(error)
    for key in keys:
        start = time.perf_counter()
        at = Where(key.place, plan.info.epoch_of(key.place.step or 0))
        rows = list(_rows(plan, at, change, before, after))
        yield Cell.of(key, time.perf_counter() - start, rows)


def _rows(
    plan: WeightPlan, at: Where, change: ModelChange | str, before: EncoderWeights, after: EncoderWeights
) -> Iterator[ResultRow]:
    if isinstance(change, str):
        yield from plan.probe.undefined(at, change)
        return
    named = "" if not change.unmatched else f"in one of the two only: {', '.join(change.unmatched[:3])}"
    if not 0 < change.blocks[-1] <= plan.info.n_layers:  # fewer are right where blocks share their weights (ALBERT)
        raise ValueError(
            f"weights are of {change.blocks[-1]} blocks, expected {plan.info.n_layers}: their names are not understood"
        )
    for row in plan.probe.rows(at, change, before.arrays, after.arrays, before.transposed):
        yield replace(row, note="; ".join(filter(None, (row.note, named)))) if not row.label else row
