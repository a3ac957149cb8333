"""What the report shows, and in which order; what each part says about itself stands in ``assets/sections.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import resources
from typing import Any

import plotly.graph_objects as go

from closerlook import measures as m
from closerlook.figures.courses import before_after
from closerlook.figures.data_map import data_map
from closerlook.figures.displacements import displacement_arrows
from closerlook.figures.distances import label_distance_heatmap, labels_over_training
from closerlook.figures.layer_matrix import layer_matrix
from closerlook.figures.maps import layer_map
from closerlook.figures.paths import centroid_paths
from closerlook.figures.theme import capital, name_of
from closerlook.figures.training_curves import metric_panels, training_curves
from closerlook.figures.weights import weight_map
from closerlook.report.checkpoint_names import CheckpointNames
from closerlook.results.example_tables import Examples
from closerlook.results.rows import OF_WEIGHTS
from closerlook.results.run import RunResults
from closerlook.results.tables import USUAL_PROBE, layers_of, rows_of, snapshots_of, space_measures, splits_of

_HEATMAP_BYTES = 1_100_000
_BYTES_PER_CELL = 5.4  # float32 in base64
_CHOICE = ("train", "test")
_MAPS = (m.N_CLUSTERS, m.MEAN_MIN_DISTANCE, m.SIMILARITY_TO_FIRST, m.ACCURACY, m.MEAN_DISPLACEMENT)
_WEIGHT_MAPS = (m.WEIGHT_CHANGE, m.CHANGE_EFFECTIVE_RANK, m.INTRUDERS)
_COURSES = (m.TRAIN_TEST_SIMILARITY, m.ACCURACY)
_IN_TEXTS = (m.N_LABELS, m.N_EXAMPLES, m.IS_LINEAR, m.N_CONTRADICTIONS, m.MAJORITY_ACCURACY, m.EXPLAINED_VARIANCE)


def asset(name: str) -> str:
    """The text of a file in ``assets``."""
    return resources.files("closerlook.report").joinpath("assets", name).read_text(encoding="utf-8")


_TEXTS: dict[str, dict[str, Any]] = tomllib.loads(asset("sections.toml"))


@dataclass(frozen=True)
class Slot:
    """A place for a figure that may depend on the chosen layer and split.

    Attributes:
        name: Its name in the page.
        by: What the reader chooses: ``layer`` and ``split``, ``split``, or nothing.
        figures: The figures by choice, e.g. ``{"6|train": ...}``; ``{"": ...}`` when there is no choice.
        measure: What it shows: the registry's warnings about it stand below the figure.
        wide: On a narrow screen it scrolls sideways instead of shrinking: several panels, or names that would be cut.
    """

    name: str
    by: tuple[str, ...]
    figures: dict[str, go.Figure]
    measure: str = ""
    wide: bool = False

    @property
    def title(self) -> str:
        """Title of the figure that is shown first, for screen readers."""
        first = next(iter(self.figures.values()))
        return str(first.layout.title.text or self.name)

    @property
    def max_width(self) -> int:
        """Pixels that its widest figure asks for; 0 = as wide as the page."""
        return max(int((figure.layout.meta or {}).get("max_width", 0)) for figure in self.figures.values())


@dataclass(frozen=True)
class Section:
    """A part of the page: its key in ``sections.toml``, and its figures."""

    key: str
    slots: list[Slot]

    @property
    def text(self) -> dict[str, Any]:
        """``nav``, ``heading``, ``what`` and perhaps ``columns``."""
        return _TEXTS[self.key]


def sections(results: RunResults, examples: Examples) -> list[Section]:
    """All sections that the run has numbers for.

    Args:
        results: The run.
        examples: What was found about its single examples.
    """
    table = results.table
    parts: dict[str, Iterable[Slot]] = {
        "min-distance": _by_layer("min_distance", results, m.MIN_DISTANCE, partial(labels_over_training, table)),
        "label-distances": _by_layer("label_distances", results, m.LABEL_DISTANCE, _heat_map(results)),
        "maps": [slot for measure in _MAPS for slot in _map(results, measure)],
        "weights": _weights(results),
        "before-after": _before_after(results),
        "layer-pairs": _layer_pairs(results),
        "paths": _by_layer("paths", results, m.CENTROID_X, partial(centroid_paths, table), wide=True),
        "displacement": _displacement(results),
        "data-map": _data_map(examples),
        "more": _other_measures(results),
        "training": _training(results),
    }
    made = [Section(key, list(slots)) for key, slots in parts.items()]
    shown = [section for section in made if section.slots]
    if (names := CheckpointNames.of(results.info, results.table)) is not None:
        for figure in (figure for one in shown for slot in one.slots for figure in slot.figures.values()):
            names.put_into(figure)
    return shown


def choices(results: RunResults) -> tuple[list[int], list[str]]:
    """Layers and splits that the reader can choose from."""
    wanted = (m.LABEL_DISTANCE, m.MIN_DISTANCE, m.CENTROID_X, m.WITNESS_SHARE, m.OWN_EXAMPLE_DISPLACEMENT)
    layers = {layer for measure in wanted for layer in layers_of(results.table, measure)}
    splits = {split for measure in wanted for split in splits_of(results.table, measure)}
    return sorted(layers), sorted(splits, key=lambda split: (split != "train", split))


def _by_layer(
    name: str, results: RunResults, measure: str, draw: Callable[..., go.Figure], *, wide: bool = False
) -> Iterable[Slot]:
    """A slot that follows the reader's choice of layer and split."""
    figures = {
        f"{layer}|{split}": draw(layer=layer, split=split)
        for split in splits_of(results.table, measure)
        for layer in layers_of(results.table, measure, split)
    }
    if figures:
        yield Slot(name, ("layer", "split"), figures, measure, wide)


def _by_split(
    name: str, splits: Sequence[str], measure: str, draw: Callable[..., go.Figure], *, wide: bool = False
) -> Iterable[Slot]:
    """One slot that follows the reader's choice of train or test; a slot of its own for anything else."""
    follows = {split: draw(split=split) for split in _CHOICE if split in splits and len(splits) > 1}
    if follows:
        yield Slot(name, ("split",), follows, measure, wide)
    for split in splits:
        if split not in follows:
            yield Slot(f"{name}_{split}", (), {"": draw(split=split)}, measure, wide)


def _heat_map(results: RunResults) -> Callable[..., go.Figure]:
    """Draws heat maps with as many snapshots as the page can carry; that of the last layer, seen first, gets most."""
    pairs = rows_of(results.table, m.LABEL_DISTANCE)
    n_labels = len(set(pairs["label"]) | set(pairs["other"]))
    n_places = len(pairs[["layer", "split"]].drop_duplicates())
    affordable = _HEATMAP_BYTES / (max(n_labels, 1) ** 2 * _BYTES_PER_CELL)
    many = int(min(40, max(affordable / 3, 2)))
    rest = int(min(20, many, max((affordable - many) / max(n_places - 1, 1), 2)))
    first = (max(pairs["layer"], default=0), (splits_of(results.table, m.LABEL_DISTANCE) or [""])[0])

    def draw(layer: int, split: str) -> go.Figure:
        n = many if (layer, split) == first else rest
        return label_distance_heatmap(results.table, layer=layer, split=split, max_snapshots=n)

    return draw


def _map(results: RunResults, measure: str) -> Iterable[Slot]:
    splits, draw = splits_of(results.table, measure), partial(layer_map, results.table, measure)
    return _by_split(f"map_{measure}", splits, measure, draw)


def _weights(results: RunResults) -> Iterable[Slot]:
    """Blocks and matrices of the last moment; over all moments where there are several; what the vectors did."""
    table = results.table
    weights = table[(table["probe"] == "weights") & (table["split"] == OF_WEIGHTS)]
    for measure in _WEIGHT_MAPS:
        if len(weights[(weights["measure"] == measure) & (weights["label"] != "")]):
            yield Slot(f"weights_{measure}", (), {"": weight_map(table, measure)}, measure, wide=True)
    if weights["step"].nunique() > 1:
        title = f"{capital(name_of(m.WEIGHT_CHANGE))} of whole blocks"
        drawn = layer_map(table, m.WEIGHT_CHANGE, split=OF_WEIGHTS, probe="weights", title=title)
        yield Slot("weights_course", (), {"": drawn}, m.WEIGHT_CHANGE)
    yield from _map(results, m.VECTOR_CHANGE)


def _before_after(results: RunResults) -> Iterable[Slot]:
    for measure in _COURSES:
        for split in splits_of(results.table, measure)[:1]:
            yield Slot(f"course_{measure}", (), {"": before_after(results.table, measure, split=split)}, measure)


def _layer_pairs(results: RunResults) -> Iterable[Slot]:
    """The last snapshot's layers beside the first one's."""
    steps = [int(step) for step in snapshots_of(rows_of(results.table, m.LAYER_CKA))["step"]]
    if not steps:
        return
    known = {one.step: one.name for one in results.info.checkpoints}
    names = known.get(steps[0], f"step {steps[0]}"), known.get(steps[-1], f"step {steps[-1]}")
    splits = splits_of(results.table, m.LAYER_CKA)
    draw = partial(layer_matrix, results.table, step=steps[-1], names=names)
    yield from _by_split("layer_pairs", splits, m.LAYER_CKA, draw)


def _displacement(results: RunResults) -> Iterable[Slot]:
    splits, draw = splits_of(results.table, m.DISPLACEMENT_X), partial(displacement_arrows, results.table)
    return _by_split("displacement", splits, m.CENTROID_DISPLACEMENT, draw, wide=True)


def _other_measures(results: RunResults) -> Iterable[Slot]:
    """Maps of everything else measured on whole spaces: further probes need no change here."""
    table, shown = results.table, {*_MAPS, *_COURSES, *_IN_TEXTS}
    for probe, measure in space_measures(table):
        if probe == "weights":
            continue
        if measure in shown and USUAL_PROBE.get(measure) == probe:
            continue
        splits = [str(split) for split in rows_of(table, measure, probe=probe)["split"].unique()]
        draw = partial(layer_map, table, measure, probe=probe, title=f"{capital(name_of(measure))} ({probe})")
        yield from _by_split(f"other_{probe}_{measure}", splits, measure, draw)


def _data_map(examples: Examples) -> Iterable[Slot]:
    """Data maps where a classifier read the examples at two snapshots; the tuned head's layer first."""
    tables = ((f"{at[0]}|{at[1]}", examples.moved(layer=at[0], split=at[1])) for at in examples.movement_places())
    figures = {
        choice: data_map(
            table, title=f"Data map, layer {choice.replace('|', ', ')}, read by {table['read_by'].iloc[0]}"
        )
        for choice, table in tables
        if table is not None and "confidence" in table
    }
    if figures:
        yield Slot("data_map", ("layer", "split"), figures, m.HEAD_READING)


def _training(results: RunResults) -> Iterable[Slot]:
    if metric_panels(results.history):
        per_epoch = results.info.updates_per_epoch or results.info.n_updates / max(results.info.n_epochs, 1)
        curves = training_curves(results.history, updates_per_epoch=per_epoch)
        yield Slot("training", (), {"": curves}, wide=True)
