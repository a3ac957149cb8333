"""The paper's figures on a study's conditions: which table goes into which figure."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from closerlook import measures as m
from closerlook.figures.courses import layers_over_training, memorisation_curves
from closerlook.figures.displacements import displacement_arrows, displacement_lengths
from closerlook.figures.distances import labels_over_training
from closerlook.figures.over_settings import SettingClusters, clusters_before_after, cross_task_matrix
from closerlook.figures.paths import centroid_paths
from closerlook.figures.theme import nothing_to_draw
from closerlook.results.tables import layers_of
from closerlook.study.conditions import Condition
from closerlook.study.main_table import CrossMatrix, StudySummary
from closerlook.study.seeds import closest_labels, first_seed, mean_over_seeds
from closerlook.study.wording import cross_text


def e2_clusters(summary: StudySummary) -> go.Figure:
    """E2: clusters before and after, one line a model and task."""
    rows = []
    for row in summary.rows:
        before, after = row.before_after[m.N_CLUSTERS]
        rows.append(SettingClusters(f"{row.task}, {row.model}", before.mean, after.mean, row.n_labels))
    return clusters_before_after(rows)


def e3_minimum_distances(condition: Condition) -> go.Figure:
    """E3: minimum distance of each label over training, last layer, mean over seeds."""
    return labels_over_training(mean_over_seeds(condition, m.MIN_DISTANCE), layer=condition.layer)


def e4_closest_paths(condition: Condition, layer: int | None = None) -> go.Figure:
    """E4: paths of the three closest labels in one joint PCA, first seed; the last layer unless told otherwise."""
    table = first_seed(condition)
    labels = closest_labels(table, layer=condition.layer)
    where = condition.layer if layer is None else layer
    return centroid_paths(table, layer=where, labels=labels or None)


def e5_matrix(matrix: CrossMatrix) -> go.Figure:
    """E5: tuned on one task, looked at with another."""
    n_rows, n_columns = matrix.change.shape
    text = [[cross_text(matrix, i, j, "<br>") for j in range(n_columns)] for i in range(n_rows)]
    return cross_task_matrix(matrix.tuned_on, matrix.probed, matrix.change, text, model=matrix.model)


def e6_similarity(condition: Condition) -> go.Figure:
    """E6: similarity of the label distances to those before tuning, by layer over training, mean over seeds."""
    title = "Similarity of the label distances to those before tuning, train"
    table = mean_over_seeds(condition, m.SIMILARITY_TO_FIRST)
    return layers_over_training(table, m.SIMILARITY_TO_FIRST, split="train", title=title)


def e7_arrows(condition: Condition) -> go.Figure:
    """E7: displacement of each label's centroid as arrows, per layer, first seed."""
    return displacement_arrows(first_seed(condition))


def e8_lengths(condition: Condition) -> go.Figure:
    """E8: how far each label's centroid went, per layer, mean over seeds."""
    return displacement_lengths(mean_over_seeds(condition, m.CENTROID_DISPLACEMENT))


def e9_memorisation(condition: Condition) -> go.Figure:
    """E9: accuracy on seen and on unseen examples over training, last layer, mean over seeds."""
    return memorisation_curves(mean_over_seeds(condition, m.SUBTEST_ACCURACY, m.UNSEEN_ACCURACY), layer=condition.layer)


def e4_low_layer(condition: Condition) -> go.Figure:
    """E4 at the lowest block whose centroids are known: what the paper sets against the last layer."""
    layers = [
        layer for layer in layers_of(first_seed(condition), m.CENTROID_X, "train") if 1 <= layer < condition.layer
    ]
    if not layers:
        title = "Paths of the labels' centroids, lowest block, train"
        return nothing_to_draw(title, "no block below the last layer has been probed with probe=centroids")
    return e4_closest_paths(condition, layers[0])


def own_conditions(conditions: Sequence[Condition]) -> list[Condition]:
    """The conditions with results that are probed on the task they were tuned on."""
    return [condition for condition in conditions if condition.own and condition.probed]
