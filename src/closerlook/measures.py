"""The one registry of measures: what each number is called, means, and when not to trust it.

Terminal, report, dashboards, figures and the README's table ask :data:`MEASURES`, which is read from ``measures.toml``
beside this file: a new measure is an entry there, and a constant here where code names it. The names are an
interface; do not rename.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from math import inf, pi
from pathlib import Path
from typing import Any, Literal

N_CLUSTERS = "n_clusters"
N_LABELS = "n_labels"
N_EXAMPLES = "n_examples"
IS_LINEAR = "is_linear"
N_CONTRADICTIONS = "n_contradictions"
LABEL_DISTANCE = "label_distance"
MIN_DISTANCE = "min_distance"
MEAN_MIN_DISTANCE = "mean_min_distance"
MEAN_DISTANCE = "mean_label_distance"
INSIDE_MEAN = "inside_mean"
INSIDE_MAX = "inside_max"
SIMILARITY_TO_FIRST = "similarity_to_first"
RANK_SIMILARITY = "rank_similarity_to_first"
TRAIN_TEST_SIMILARITY = "train_test_similarity"
MATCHED_SIMILARITY = "train_test_similarity_matched"
SPLIT_HALF_CEILING = "split_half_ceiling"
TRAIN_TEST_GAP = "train_test_gap"
DISTANCE_GROWTH = "distance_growth"
GROWTH_OVER_SCATTER = "distance_growth_over_scatter"
LABEL_SCATTER = "label_scatter"
RMS_RADIUS = "rms_radius"
CENTROID_DISPLACEMENT = "centroid_displacement"
CENTROID_PATH_LENGTH = "centroid_path_length"
MEAN_DISPLACEMENT = "mean_centroid_displacement"
RELATIVE_DISPLACEMENT = "relative_displacement"
CENTROID_X = "centroid_pca_x"
CENTROID_Y = "centroid_pca_y"
DISPLACEMENT_X = "displacement_pca_x"
DISPLACEMENT_Y = "displacement_pca_y"
EXPLAINED_VARIANCE = "explained_variance"
JOINT_PLANE_VARIANCE = "joint_plane_variance"
OWN_PLANE_VARIANCE = "own_plane_variance"
JOINT_PLANE_NEIGHBOURS = "joint_plane_neighbours"
OWN_PLANE_NEIGHBOURS = "own_plane_neighbours"
ACCURACY = "accuracy"
MACRO_F1 = "macro_f1"
MAJORITY_ACCURACY = "majority_accuracy"
ACCURACY_STD = "accuracy_std"
RANDOM_ENCODER_ACCURACY = "random_encoder_accuracy"
LAYER_CKA = "layer_cka"
PREDICTION_AGREEMENT = "prediction_agreement"
PREDICTION_KL = "prediction_kl"
HEAD_ACCURACY = "head_accuracy"
PREDICTIONS = "predictions"
CONFUSION = "confusion"
DISTANCE_ERROR_CORRELATION = "distance_error_correlation"
CLOSEST_THIRD_ERRORS = "errors_on_closest_third"
SELECTIVITY = "selectivity"
CODE_LENGTH = "code_length"
COMPRESSION = "compression"
SUBTEST_ACCURACY = "subtest_accuracy"
UNSEEN_ACCURACY = "unseen_accuracy"
MEMORISATION_GAP = "memorisation_gap"
TEST_HITS = "test_hits"
SUBTEST_HITS = "subtest_hits"
UNSEEN_HITS = "unseen_hits"
WEIGHT_CHANGE = "weight_change"
SPECTRAL_CHANGE = "spectral_change"
WEIGHT_COSINE = "weight_cosine"
CHANGE_SHARE = "change_share"
CHANGE_RANK = "change_rank"
CHANGE_STABLE_RANK = "change_stable_rank"
CHANGE_EFFECTIVE_RANK = "change_effective_rank"
SUBSPACE_OVERLAP = "subspace_overlap"
SUBSPACE_ANGLE = "subspace_angle"
INTRUDERS = "intruder_dimensions"
VECTOR_CHANGE = "vector_change"

WITNESSES = "witnesses"
KEPT_APART = "kept_apart"
WITNESS_LOAD = "witness_load"
N_WITNESSES = "n_witnesses"
WITNESS_SHARE = "witness_share"
HELD_OUT_READING = "held_out_reading"
MISREAD_SHARE = "misread_share"
EXAMPLE_MOVEMENT = "example_movement"
OWN_EXAMPLE_DISPLACEMENT = "own_example_displacement"
HEAD_READING = "head_reading"
KNN_OVERLAP = "knn_overlap"


@dataclass(frozen=True)
class Measure:
    """What a number means.

    Attributes:
        name: The name in results, metric keys and tables.
        title: What people call it, as it stands inside a sentence.
        question: What it answers.
        scope: What it is a number of: one space; the change from the first snapshot's space to this one (its value
            at the first snapshot is known beforehand); one label; a pair of labels; a pair of layers (of this
            snapshot and of the first one); the examples,
            one by one in the row's note.
        low: Smallest possible value; -inf where there is none.
        high: Largest possible value; inf where there is none, or where it depends on the data.
        unit: The unit; "distance" is the unit of the space (Euclidean length of a hidden vector).
        probe: The probe that is its first source; others may measure the same in their way. Empty: any classifier.
        split: The split under which it is stored, where that is always the same one; else empty.
        higher: What a higher value says.
        control: What stands beside it, or what it is to be read against.
        distrust: When not to trust it.
        source: Where it is defined, and how the definition here differs.
        same_n: Whether only spaces of equally many examples compare.
        family: The row of the README's table; empty for what figures are drawn from.
    """

    name: str
    title: str
    question: str
    scope: Literal["space", "change", "label", "label pair", "layer pair", "examples"]
    low: float
    high: float
    unit: str = ""
    probe: str = ""
    split: str = ""
    higher: str = ""
    control: str = ""
    distrust: str = ""
    source: str = ""
    same_n: bool = False
    family: str = ""

    @property
    def range(self) -> str:
        """The possible values, for people: ``≥ 0``, ``0 … 1``, ``any``."""
        if self.high == inf:
            return "any" if self.low == -inf else f"≥ {self.low:g}"
        high = "π/2" if self.high == pi / 2 else f"{self.high:g}"
        return f"{self.low:g} … {high}".replace("-", "\N{MINUS SIGN}")


@dataclass(frozen=True)
class Family:
    """A row of the README's table.

    Attributes:
        measures: Its members.
        question: What they answer together.
        distrust: When not to trust them.
    """

    measures: tuple[Measure, ...]
    question: str
    distrust: str


def _read() -> tuple[dict[str, Measure], dict[str, Family]]:
    text = Path(__file__).with_name("measures.toml").read_text(encoding="utf-8")
    content: dict[str, dict[str, dict[str, Any]]] = tomllib.loads(text)
    families, measures = content["families"], {}
    for name, own in content["measures"].items():
        fields = families.get(own.get("family", ""), {}) | own
        low, high = fields.pop("range")
        measures[name] = Measure(name=name, low=low, high=high, **fields)
    members = {key: tuple(one for one in measures.values() if one.family == key) for key in families}
    rows = {key: Family(members[key], row["question"], row["distrust"]) for key, row in families.items()}
    return measures, rows


MEASURES, FAMILIES = _read()
"""Every measure by name, and every row of the README's table, in the README's order."""


def of_probe(probe: str) -> tuple[str, ...]:
    """The names of the measures that a probe is the first source of."""
    return tuple(one.name for one in MEASURES.values() if one.probe == probe)


def readme_table() -> str:
    """The README's table of measures, in Markdown."""
    head = ["| measure | question | range, unit | when not to trust it |", "|---|---|---|---|"]
    return "\n".join([*head, *(_row(family) for family in FAMILIES.values())])


def _row(family: Family) -> str:
    names = ", ".join(f"`{one.name}`" for one in family.measures)
    values = dict.fromkeys(f"{one.range}, {one.unit}" for one in family.measures)
    return f"| {names} | {family.question} | {'; '.join(values)} | {family.distrust} |"
