"""Names, units and ranges of everything closerlook measures. The names are an interface: do not rename."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """What a number means.

    Attributes:
        name: The name in results, metric keys and tables.
        unit: The unit; "distance" is the unit of the space (Euclidean length of a hidden vector).
        scope: What it is measured on: "space", "label", "label pair" or "path" (over snapshots).
        description: One line for people.
    """

    name: str
    unit: str
    scope: str
    description: str


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
TRAIN_TEST_SIMILARITY = "train_test_similarity"
CENTROID_DISPLACEMENT = "centroid_displacement"
CENTROID_PATH_LENGTH = "centroid_path_length"
MEAN_DISPLACEMENT = "mean_centroid_displacement"
RELATIVE_DISPLACEMENT = "relative_displacement"
CENTROID_X = "centroid_pca_x"
CENTROID_Y = "centroid_pca_y"
DISPLACEMENT_X = "displacement_pca_x"
DISPLACEMENT_Y = "displacement_pca_y"
EXPLAINED_VARIANCE = "explained_variance"
ACCURACY = "accuracy"
MACRO_F1 = "macro_f1"
MAJORITY_ACCURACY = "majority_accuracy"
ACCURACY_STD = "accuracy_std"
CONFUSION = "confusion"
RANK_SIMILARITY = "rank_similarity_to_first"
DISTANCE_ERROR_CORRELATION = "distance_error_correlation"
CLOSEST_THIRD_ERRORS = "errors_on_closest_third"
MATCHED_SIMILARITY = "train_test_similarity_matched"
SPLIT_HALF_CEILING = "split_half_ceiling"
TRAIN_TEST_GAP = "train_test_gap"
SELECTIVITY = "selectivity"
CODE_LENGTH = "code_length"
COMPRESSION = "compression"
SUBTEST_ACCURACY = "subtest_accuracy"
UNSEEN_ACCURACY = "unseen_accuracy"
MEMORISATION_GAP = "memorisation_gap"
RANDOM_ENCODER_ACCURACY = "random_encoder_accuracy"

_ALL = (
    Measure(N_CLUSTERS, "clusters", "space", "DirectProbe clusters; as many as labels when linear"),
    Measure(N_LABELS, "labels", "space", "labels present in the split"),
    Measure(N_EXAMPLES, "examples", "space", "examples present in the split"),
    Measure(IS_LINEAR, "0 or 1", "space", "1 when one cluster per label: a linear classifier can be perfect"),
    Measure(N_CONTRADICTIONS, "groups", "space", "identical vectors that carry different labels"),
    Measure(LABEL_DISTANCE, "distance", "label pair", "distance between the convex hulls of two labels"),
    Measure(MIN_DISTANCE, "distance", "label", "distance to the nearest other label"),
    Measure(MEAN_MIN_DISTANCE, "distance", "space", "mean over labels of the minimum distance"),
    Measure(MEAN_DISTANCE, "distance", "space", "mean over label pairs of the label distance"),
    Measure(INSIDE_MEAN, "distance", "label", "mean distance between examples of one cluster"),
    Measure(INSIDE_MAX, "distance", "label", "largest distance between examples of one cluster"),
    Measure(SIMILARITY_TO_FIRST, "Pearson r", "space", "label distances now against the first snapshot's"),
    Measure(TRAIN_TEST_SIMILARITY, "Pearson r", "space", "label distances of train against those of test"),
    Measure(CENTROID_DISPLACEMENT, "distance", "label", "how far a label's centroid is from its first place"),
    Measure(CENTROID_PATH_LENGTH, "distance", "label", "length of the way a label's centroid has gone"),
    Measure(MEAN_DISPLACEMENT, "distance", "space", "mean over labels of the centroid displacement"),
    Measure(RELATIVE_DISPLACEMENT, "ratio", "space", "mean displacement over the first vectors' mean norm"),
    Measure(CENTROID_X, "distance", "label", "centroid in the joint 2-D PCA of all snapshots, first axis"),
    Measure(CENTROID_Y, "distance", "label", "centroid in the joint 2-D PCA of all snapshots, second axis"),
    Measure(DISPLACEMENT_X, "distance", "label", "centroid change in the 2-D PCA of changes, first axis"),
    Measure(DISPLACEMENT_Y, "distance", "label", "centroid change in the 2-D PCA of changes, second axis"),
    Measure(EXPLAINED_VARIANCE, "share", "space", "share of the variance that the two PCA axes hold"),
    Measure(ACCURACY, "share", "space", "accuracy of a classifier trained on train, measured on test"),
    Measure(MACRO_F1, "share", "space", "F1 averaged over labels, same classifier"),
    Measure(ACCURACY_STD, "share", "space", "standard deviation of the accuracy over initialisations"),
    Measure(CONFUSION, "examples", "label pair", "test examples of a label that the classifier calls the other"),
    Measure(RANK_SIMILARITY, "Spearman r", "space", "rank order of label distances against the first snapshot's"),
    Measure(DISTANCE_ERROR_CORRELATION, "Spearman r", "space", "label distance against error rate, over label pairs"),
    Measure(CLOSEST_THIRD_ERRORS, "share", "space", "share of the errors on the closest third of the label pairs"),
    Measure(MATCHED_SIMILARITY, "Pearson r", "space", "train-test similarity on draws of equal size"),
    Measure(SPLIT_HALF_CEILING, "Pearson r", "space", "the same between two halves of train: what no shift gives"),
    Measure(TRAIN_TEST_GAP, "Pearson r", "space", "ceiling less size-matched train-test similarity"),
    Measure(SELECTIVITY, "share", "space", "accuracy on the task less accuracy on control tasks"),
    Measure(CODE_LENGTH, "bits/example", "space", "online code length of the labels given the vectors"),
    Measure(COMPRESSION, "ratio", "space", "uniform code over online code; 1 = the vectors do not help"),
    Measure(SUBTEST_ACCURACY, "share", "space", "accuracy on training examples that the probe did not see"),
    Measure(UNSEEN_ACCURACY, "share", "space", "accuracy of the same probe on test examples"),
    Measure(MEMORISATION_GAP, "share", "space", "accuracy on unseen training examples less accuracy on test"),
    Measure(RANDOM_ENCODER_ACCURACY, "share", "space", "accuracy of the probe on an untrained encoder's vectors"),
    Measure(MAJORITY_ACCURACY, "share", "space", "accuracy of always answering the commonest training label"),
)
MEASURES: dict[str, Measure] = {measure.name: measure for measure in _ALL}
"""Every measure by name."""
