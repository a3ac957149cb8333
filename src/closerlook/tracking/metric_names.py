"""Every metric key that closerlook logs: an interface, so that dashboards and sweeps can rely on it.

===========================================  =========================================================
``epoch``, ``update``                        the moment of a row: epochs (fractions allowed), optimizer updates
``train/loss``, ``val/accuracy``, ...        as the fine-tuning module logs them
``probe/<split>/layer_06/<measure>``         a measure of a whole space, by its usual probe
``<probe>/<split>/layer_06/<measure>``       the same measure by another probe
``label/<split>/layer_06/<measure>/<label>`` a measure of one label
``weights/layer_06/<measure>``               a measure of the weights of a block
``weights/map``, ``weights/matrices``        single matrices: a map of the last moment, a table of all numbers
``charts/<split>/layer_06/<name>``           tables and figures over all snapshots
``layers/<split>/<measure>``                 charts of a measure against the layer, one line a snapshot
``tables/spaces``, ``tables/measures``       all measures of spaces with the layer as a column; what they mean
``tables/examples``                          a few hundred examples: text, label, place at each snapshot, witness or not
``before/...``, ``after/...``, ``change/...``  summary values of ``probe/`` series: ``before/train/layer_06/n_clusters``
===========================================  =========================================================

Units and ranges are those of :mod:`closerlook.measures`.
"""

from __future__ import annotations

from urllib.parse import quote

from closerlook.results.tables import USUAL_PROBE

EPOCH = "epoch"
UPDATE = "update"
TRAIN_LOSS = "train/loss"
VAL_LOSS = "val/loss"
VAL_ACCURACY = "val/accuracy"
VAL_MACRO_F1 = "val/macro_f1"
TEST_ACCURACY = "test/accuracy"
TEST_MACRO_F1 = "test/macro_f1"

DISTANCE_TABLE = "label_distances"
DISTANCE_MAP = "label_distance_map"
MIN_DISTANCE_LINES = "min_distance_by_label"
CENTROID_PATHS = "centroid_paths"
SPACES_TABLE = "tables/spaces"
ABOUT_TABLE = "tables/measures"
EXAMPLES_TABLE = "tables/examples"
WEIGHT_MAP = "weights/map"
WEIGHT_TABLE = "weights/matrices"


def space_metric(probe: str, measure: str, *, split: str, layer: int) -> str:
    """Key of a measure of a whole space: ``probe/train/layer_06/mean_min_distance``."""
    section = "probe" if USUAL_PROBE.get(measure) == probe else segment(probe)
    return f"{section}/{place(split, layer)}/{segment(measure)}"


def label_metric(probe: str, measure: str, label: str, *, split: str, layer: int) -> str:
    """Key of a measure of one label: ``label/train/layer_06/min_distance/NOUN``."""
    section = "label" if USUAL_PROBE.get(measure) == probe else f"label.{segment(probe)}"
    return f"{section}/{place(split, layer)}/{segment(measure)}/{segment(label)}"


def chart(name: str, *, split: str, layer: int) -> str:
    """Key of a table or figure over all snapshots: ``charts/train/layer_06/label_distances``."""
    return f"charts/{place(split, layer)}/{name}"


def layer_chart(measure: str, *, split: str) -> str:
    """Key of the chart of a measure against the layer: ``layers/train/mean_min_distance``."""
    return f"layers/{segment(split)}/{segment(measure)}"


def chart_table(key: str) -> str:
    """Key of the table that W&B keeps behind a custom chart."""
    return f"Custom Chart Tables/{key}_table"


def summary_metric(moment: str, measure: str, *, split: str, layer: int) -> str:
    """Key of a summary value; ``moment`` is ``before``, ``after`` or ``change``."""
    return f"{moment}/{place(split, layer)}/{segment(measure)}"


def place(split: str, layer: int) -> str:
    """``train/layer_06``: two digits, so that keys sort by layer; ``layer_06`` alone of what is of no split."""
    return f"{segment(split)}/layer_{layer:02d}" if split else f"layer_{layer:02d}"


def segment(text: str) -> str:
    """One part of a key. Characters that would make it two parts or a pattern are percent-encoded.

    A slash starts a new part, and W&B takes ``*`` at the end of a metric's name as a pattern.
    """
    return "".join(quote(c, safe="") if c in "/\\*%" or ord(c) < 32 else c for c in text) or "(empty)"
