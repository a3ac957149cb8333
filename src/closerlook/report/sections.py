"""What the report shows, in which order, and what each part says about itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial

import plotly.graph_objects as go

from closerlook import measures as m
from closerlook.figures.courses import before_after
from closerlook.figures.displacements import displacement_arrows
from closerlook.figures.distances import label_distance_heatmap, labels_over_training
from closerlook.figures.maps import layer_map
from closerlook.figures.paths import centroid_paths
from closerlook.figures.theme import name_of
from closerlook.figures.training_curves import metric_panels, training_curves
from closerlook.results.run import RunResults
from closerlook.results.tables import USUAL_PROBE, layers_of, rows_of, space_measures, splits_of

_HEATMAP_BYTES = 1_100_000
_CHOICE = ("train", "test")
_BYTES_PER_CELL = 5.4  # float32 in base64


@dataclass(frozen=True)
class Slot:
    """A place for a figure that may depend on the chosen layer and split.

    Attributes:
        name: Its name in the page.
        by: What the reader chooses: ``layer`` and ``split``, ``split``, or nothing.
        figures: The figures by choice, e.g. ``{"6|train": ...}``; ``{"": ...}`` when there is no choice.
        wide: Several panels: on a narrow screen it scrolls sideways instead of shrinking.
        max_width: Pixels; 0 = as wide as the page.
    """

    name: str
    by: tuple[str, ...]
    figures: dict[str, go.Figure]
    wide: bool = False
    max_width: int = 0

    @property
    def title(self) -> str:
        """Title of the figure that is shown first, for screen readers."""
        first = next(iter(self.figures.values()))
        return str(first.layout.title.text or self.name)


@dataclass(frozen=True)
class Section:
    """A part of the page: its name in the navigation, a heading, what it shows, when not to trust it, its figures."""

    key: str
    nav: str
    heading: str
    what: str
    caution: str
    slots: list[Slot] = field(default_factory=list)
    columns: int = 1


def sections(results: RunResults) -> list[Section]:
    """All sections that the run has numbers for."""
    makers: tuple[Callable[[RunResults], Section], ...] = (
        _min_distance, _label_distances, _maps, _similarity, _paths, _displacement, _other_measures, _training,
    )  # fmt: skip
    return [section for make in makers if (section := make(results)).slots]


def choices(results: RunResults) -> tuple[list[int], list[str]]:
    """Layers and splits that the reader can choose from."""
    wanted = (m.LABEL_DISTANCE, m.MIN_DISTANCE, m.CENTROID_X)
    layers = sorted({layer for measure in wanted for layer in layers_of(results.table, measure)})
    splits = {split for measure in wanted for split in splits_of(results.table, measure)}
    return layers, sorted(splits, key=lambda split: (split != "train", split))


def _each(results: RunResults, measure: str, draw: Callable[[int, str], go.Figure]) -> Iterable[tuple[str, go.Figure]]:
    for split in splits_of(results.table, measure):
        for layer in layers_of(results.table, measure, split):
            yield f"{layer}|{split}", draw(layer, split)


def _slot(name: str, by: tuple[str, ...], figures: Iterable[tuple[str, go.Figure]], wide: bool = False) -> list[Slot]:
    drawn = dict(figures)
    return [Slot(name, by, drawn, wide)] if drawn else []


def _by_split(name: str, splits: Iterable[str], draw: Callable[..., go.Figure], wide: bool = False) -> list[Slot]:
    """One slot that follows the reader's choice of train or test; a slot of its own for anything else."""
    splits = list(splits)
    follows = [split for split in _CHOICE if split in splits] if len(splits) > 1 else []
    slots = _slot(name, ("split",), ((split, draw(split=split)) for split in follows), wide)
    for split in splits:
        if split not in follows:
            slots += _slot(f"{name}_{split}", (), [("", draw(split=split))], wide)
    return slots


def _min_distance(results: RunResults) -> Section:
    table = results.table
    return Section(
        "min-distance",
        "Nearest",
        "How far is each label from its nearest neighbour?",
        "One line a label. Its height is the distance between the convex hull of the label's examples and the "
        "nearest hull of another label: the width of the margin that a linear classifier could have. Lines that "
        "rise mean that fine-tuning makes room around a label.",
        "Distances are in units of the space, and fine-tuning may simply stretch it: compare with the distances "
        "that centroids moved. Hulls grow with the number of examples and one outlier can decide, so do not "
        "compare train with test, or tasks of different size, by height.",
        _slot(
            "min_distance",
            ("layer", "split"),
            _each(results, m.MIN_DISTANCE, lambda layer, split: labels_over_training(table, layer=layer, split=split)),
        ),
    )


def _label_distances(results: RunResults) -> Section:
    return Section(
        "label-distances",
        "Pairs",
        "Which labels are close to which?",
        "The distance between every two labels; move the slider through training. All snapshots share one colour "
        "scale, and labels that end up close stand beside each other.",
        "A cross is a pair without a distance (rest the pointer on it for the reason); it is not a distance of 0. "
        "Where a label has several clusters, its distances are means over them. With many snapshots the slider "
        "holds an even selection.",
        _square(_slot("label_distances", ("layer", "split"), _heatmaps(results))),
    )


def _square(slots: list[Slot]) -> list[Slot]:
    """Matrices as wide as they are high, with room for names and the colour bar."""
    return [replace(slot, max_width=max(_width(f) for f in slot.figures.values())) for slot in slots]


def _width(figure: go.Figure) -> int:
    return int((figure.layout.meta or {}).get("max_width", 0))


def _heatmaps(results: RunResults) -> Iterable[tuple[str, go.Figure]]:
    """Heat maps of all layers and splits, with as many snapshots as the page can carry; the last layer gets most."""
    table = results.table
    places = [(layer, split) for split in splits_of(table, m.LABEL_DISTANCE)
              for layer in layers_of(table, m.LABEL_DISTANCE, split)]  # fmt: skip
    if not places:
        return
    pairs = rows_of(table, m.LABEL_DISTANCE)
    n_labels = len(set(pairs["label"]) | set(pairs["other"]))
    affordable = _HEATMAP_BYTES / (max(n_labels, 1) ** 2 * _BYTES_PER_CELL)
    top = max(layer for layer, _ in places)
    best = (top, places[0][1])
    many = int(min(40, max(affordable / 3, 2)))
    rest = int(min(20, max((affordable - many) / max(len(places) - 1, 1), 2)))
    for layer, split in places:
        n = many if (layer, split) == best else min(rest, many)
        figure = label_distance_heatmap(table, layer=layer, split=split, max_snapshots=n)
        yield f"{layer}|{split}", figure


def _maps(results: RunResults) -> Section:
    table, slots = results.table, []
    for measure in (m.N_CLUSTERS, m.MEAN_MIN_DISTANCE, m.SIMILARITY_TO_FIRST, m.ACCURACY, m.MEAN_DISPLACEMENT):
        slots += _by_split(f"map_{measure}", splits_of(table, measure), partial(layer_map, table, measure))
    return Section(
        "maps",
        "Maps",
        "What changes at which layer, and when?",
        "Snapshots across, layers upward (0 = embeddings). Clusters: as many as labels means that the space is "
        "linear. Similarity: Pearson correlation of the label distances with those before tuning; 1 means that "
        "the labels keep their relative places.",
        "Each map has its own colour scale. Fewer labels give fewer pairs and a shakier correlation: the number "
        "of pairs is in the hover text. The accuracy is of a quick linear classifier, not of the tuned head.",
        slots,
        columns=2,
    )


def _similarity(results: RunResults) -> Section:
    table, slots = results.table, []
    for measure in (m.TRAIN_TEST_SIMILARITY, m.ACCURACY):
        splits = splits_of(table, measure)
        if splits:
            slots += _slot(f"course_{measure}", (), [("", before_after(table, measure, split=splits[0]))])
    return Section(
        "before-after",
        "Layers",
        "Before and after, layer by layer",
        "Train-test similarity: do the label distances of the training examples predict those of the test "
        "examples? Accuracy: how well a linear classifier, trained on the frozen vectors of train, does on test.",
        "Similarity falls when the two sets differ in size even if nothing else does. Measures without an "
        "interval come from one run: small differences between layers may be chance.",
        slots,
        columns=2,
    )


def _paths(results: RunResults) -> Section:
    table = results.table
    return Section(
        "paths",
        "Paths",
        "Where do the labels go?",
        "The centroid of each label in one plane that is the same for all snapshots: a ring where it starts, an "
        "arrow head where it ends.",
        "A plane shows part of the movement: see the share of variance above it. Planes of different layers "
        "have nothing to do with each other, and centroids that meet here may be far apart in the full space.",
        _slot(
            "paths",
            ("layer", "split"),
            _each(results, m.CENTROID_X, lambda layer, split: centroid_paths(table, layer=layer, split=split)),
        ),
    )


def _displacement(results: RunResults) -> Section:
    table = results.table
    draw = partial(displacement_arrows, table)
    return Section(
        "displacement",
        "Arrows",
        "How far, and in how many directions?",
        "From the first to the last snapshot, each label's centroid moved by one arrow. One panel a layer, all on "
        "one scale.",
        "Lengths can be compared between panels, directions cannot: each panel has its own plane. An arrow that "
        "leaves the plane looks shorter than it is.",
        _by_split("displacement", splits_of(table, m.DISPLACEMENT_X), draw, wide=True),
    )


_SHOWN_ELSEWHERE = {
    m.N_CLUSTERS, m.MEAN_MIN_DISTANCE, m.SIMILARITY_TO_FIRST, m.ACCURACY, m.MEAN_DISPLACEMENT,
    m.TRAIN_TEST_SIMILARITY, m.N_LABELS, m.N_EXAMPLES, m.IS_LINEAR, m.N_CONTRADICTIONS, m.MAJORITY_ACCURACY,
    m.EXPLAINED_VARIANCE,
}  # fmt: skip


def _other_measures(results: RunResults) -> Section:
    """Maps of everything else measured on whole spaces: further probes need no change here."""
    table, slots = results.table, []
    for probe, measure in space_measures(table):
        if measure in _SHOWN_ELSEWHERE and USUAL_PROBE.get(measure) == probe:
            continue
        splits = [str(split) for split in rows_of(table, measure, probe=probe)["split"].unique()]
        draw = partial(layer_map, table, measure, probe=probe, title=f"{name_of(measure)} ({probe})")
        slots += _by_split(f"other_{probe}_{measure}", splits, draw)
    return Section(
        "more",
        "More",
        "More measures",
        "Everything else that was measured on whole spaces: snapshots across, layers upward; the probe that "
        "measured it stands in brackets.",
        "Each map has its own colour scale. Rest the pointer on a cell for intervals, sizes and notes.",
        slots,
        columns=2,
    )


def _training(results: RunResults) -> Section:
    have = bool(metric_panels(results.history)) if len(results.history) else False
    per_epoch = results.info.n_updates / max(results.info.n_epochs, 1)
    curves = [("", training_curves(results.history, updates_per_epoch=per_epoch))] if have else []
    return Section(
        "training",
        "Training",
        "How did the fine-tuning itself go?",
        "The training metrics, as logged.",
        "A loss that still falls or a validation score that still rises means that the last snapshot is not the "
        "end of the story.",
        _slot("training", (), curves, wide=True),
    )
