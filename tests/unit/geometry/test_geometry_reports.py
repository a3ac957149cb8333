import json
import subprocess
import sys

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from scipy.stats import pearsonr, spearmanr

import closerlook.geometry as geometry
from closerlook.geometry.cka import linear_cka
from closerlook.geometry.decomposition import decompose_change
from closerlook.geometry.summary import geometry_report, space_report
from closerlook.measures import MEASURES, of_probe

HEAD_ONLY = {"nc3_self_duality", "nc4_agreement"}
HULLS_ONLY = {"similarity_to_first", "rank_similarity_to_first"}


@pytest.fixture
def change(labelled, rng, rotation):
    X, y = labelled
    return X, 1.5 * X @ rotation(6) + rng.normal(size=X.shape) * 0.3 + 1, y


def test_names_are_those_of_the_registry(change):
    X, Y, y = change
    D = np.ones((5, 5))
    report = geometry_report(X, Y, y, distances_before=D, distances_after=D)
    assert set(report) <= set(MEASURES)
    assert set(report) >= set(of_probe("geometry")) - HEAD_ONLY
    with_head = space_report(X, y, head=(np.eye(5, 6), None))
    assert HEAD_ONLY < set(with_head) <= set(MEASURES)
    plain = geometry_report(X, Y, y, include_space=False)
    assert {MEASURES[name].scope for name in plain} == {"change"}


def test_values_are_in_range_with_intervals_and_controls(change):
    X, Y, y = change
    report = geometry_report(X, Y, y)
    for name, got in report.items():
        entry = MEASURES[name]
        assert entry.low - 1e-9 <= got.value <= entry.high + 1e-9, name
        assert got.n > 0 or name == "n_contradictions"
        assert got.reason == "", name
        if not np.isnan(got.low):
            assert entry.low <= got.low <= got.value <= got.high <= entry.high, name
        assert (got.control_name == "") == (entry.control == ""), name
    json.dumps({name: value.to_dict("x/") for name, value in report.items()})


def test_values_are_those_of_the_pure_functions(oracle, change):
    X, Y, y = change
    report = geometry_report(X, Y, y)
    oracle("report: linear CKA", report["linear_cka"].value, linear_cka(X, Y))
    split = decompose_change(X, Y)
    for name in ("translation", "rotation", "scale", "rest"):
        oracle("report: change split", report[f"{name}_share"].value, getattr(split, name))
    a, b = (np.array([Z[y == c].mean(axis=0) for c in "abcde"]) for Z in (X, Y))
    oracle("report: centroid similarity", report["centroid_similarity"].value, pearsonr(pdist(a), pdist(b)).statistic)
    oracle("report: distance growth", report["distance_growth"].value, np.median(pdist(b) / pdist(a)))


def test_jackknife_leaves_out_and_recentres(oracle, change):
    """The interval of a share from sums is the one from the rows themselves."""
    from closerlook.geometry.intervals import jackknife_interval
    from closerlook.geometry.moments import random_groups

    X, Y, y = change
    stream = np.random.default_rng(0)
    stream.permutation(120)
    groups = random_groups(120, 10, stream)
    left = [decompose_change(np.delete(X, g, axis=0), np.delete(Y, g, axis=0)).translation for g in groups]
    expected = jackknife_interval(decompose_change(X, Y).translation, left)
    found = geometry_report(X, Y, y, include_space=False)["translation_share"]
    oracle("report: jackknife of the rows", [found.low, found.high], expected)


def test_hull_distances_are_used_where_given(oracle, change, rng):
    X, Y, y = change
    D, E = squareform(rng.uniform(1, 2, 10)), squareform(rng.uniform(1, 2, 10))
    E[0, 1] = E[1, 0] = np.nan
    report = geometry_report(X, Y, y, distances_before=D, distances_after=E, include_space=False)
    a, b = D[np.triu_indices(5, 1)][1:], E[np.triu_indices(5, 1)][1:]
    oracle("report: similarity of hull distances", report["similarity_to_first"].value, pearsonr(a, b).statistic)
    oracle("report: rank similarity", report["rank_similarity_to_first"].value, spearmanr(a, b).statistic)
    oracle("report: growth of hull distances", report["distance_growth"].value, np.median(b / a))
    assert report["similarity_to_first"].n == 9


def test_scaled_up_is_told_from_pushed_apart(labelled):
    X, y = labelled
    scaled = geometry_report(X, 3 * X, y, include_space=False)
    assert scaled["distance_growth"].value == pytest.approx(3)
    assert scaled["distance_growth"].control == pytest.approx(3)
    assert scaled["distance_growth_over_scatter"].value == pytest.approx(1)
    means = {c: X[y == c].mean(axis=0) for c in "abcde"}
    pushed = geometry_report(X, X + 2 * np.array([means[c] for c in y]), y, include_space=False)
    assert pushed["distance_growth_over_scatter"].value == pytest.approx(3)
    assert pushed["distance_growth"].value > pushed["distance_growth"].control


def test_growth_interval_is_a_bootstrap_in_a_loop(oracle, change):
    X, Y, y = change
    a, b = (squareform(pdist(np.array([Z[y == c].mean(axis=0) for c in "abcde"]))) for Z in (X, Y))
    medians = []
    for drawn in np.random.default_rng(0).integers(5, size=(1000, 5)):
        ratios = [b[i, j] / a[i, j] for n, i in enumerate(drawn) for j in drawn[:n] if i != j]
        medians.append(np.median(ratios) if ratios else np.nan)
    found = geometry_report(X, Y, y, include_space=False)["distance_growth"]
    oracle("report: growth, bootstrap in a loop", [found.low, found.high], np.nanquantile(medians, [0.025, 0.975]))


def test_controls_mean_nothing_found(rng):
    X, Y, y = rng.normal(size=(600, 8)), rng.normal(size=(600, 8)), rng.integers(0, 5, 600)
    report = geometry_report(X, Y, y)
    for name in (
        "debiased_cka",
        "rsa",
        "knn_overlap",
        "silhouette",
        "label_overlap",
        "fisher_ratio",
        "nearest_centroid_accuracy",
    ):
        assert report[name].value == pytest.approx(report[name].control, abs=0.08), name
    assert report["effective_rank"].value == pytest.approx(report["effective_rank"].control, rel=0.05)
    assert report["intrinsic_dimension"].value == pytest.approx(report["intrinsic_dimension"].control, rel=0.2)


def test_controls_are_far_from_a_real_relation(change):
    report = geometry_report(*change, include_space=False)
    for name in ("linear_cka", "debiased_cka", "rsa", "knn_overlap"):
        assert report[name].control < 0.35 < 0.6 < report[name].value, name
    assert report["procrustes_distance"].control > 2 * report["procrustes_distance"].value
    assert report["rest_share"].control > report["rest_share"].value


def test_dimension_of_an_elongated_gaussian_is_its_controls(rng):
    X = rng.normal(size=(1500, 20)) * np.geomspace(1, 1e-3, 20)
    got = space_report(X, rng.integers(0, 3, 1500))["intrinsic_dimension"]
    assert got.value == pytest.approx(got.control, rel=0.2)
    assert got.value < 8  # 20 equal directions would give about 14


def test_no_change(labelled):
    X, y = labelled
    report = geometry_report(X, X, y, include_space=False)
    for name in ("linear_cka", "debiased_cka", "rsa", "knn_overlap", "centroid_similarity", "distance_growth"):
        assert report[name].value == pytest.approx(1), name
    assert report["procrustes_distance"].value == pytest.approx(0, abs=1e-6)
    assert report["mean_centroid_displacement"].value == 0
    assert "are equal" in report["rest_share"].reason
    assert "0 labels moved" in report["direction_spread"].reason


def test_spaces_of_different_width(labelled, rng):
    X, y = labelled
    report = geometry_report(X, X @ rng.normal(size=(6, 9)), y, include_space=False)
    for name in ("mean_centroid_displacement", "rest_share", "direction_spread"):
        assert np.isnan(report[name].value)
        assert report[name].reason
    assert 0 < report["linear_cka"].value <= 1
    assert 0 < report["procrustes_distance"].value < np.pi / 2


@pytest.mark.parametrize(
    ("X", "y"),
    [
        (np.ones((1, 3)), ["a"]),
        (np.full((6, 3), 0.1), list("aabbcc")),
        (np.arange(18.0).reshape(6, 3), list("aaaaaa")),
        (np.arange(18.0).reshape(6, 3) ** 2, list("abcdef")),
        (np.repeat(np.eye(3), 2, axis=0), list("aabbcc")),
        (np.repeat(np.eye(3), 2, axis=0), list("ababab")),
        (np.arange(6.0)[:, None], list("aabbcc")),
    ],
    ids=["one point", "constant", "one label", "one point a label", "collapsed", "contradictions", "one feature"],
)
def test_degenerate_spaces_give_nan_with_a_reason_and_never_infinity(X, y):
    moved = X * np.arange(1, X.shape[1] + 1) + np.arange(len(X))[:, None] ** 2 * 0.1
    for report in (space_report(X, y), geometry_report(X, moved, y), geometry_report(moved, X, y)):
        for name, got in report.items():
            assert not np.isinf(got.value), name
            assert np.isnan(got.value) == bool(got.reason), name
    if list(y) == list("ababab"):
        assert space_report(X, y)["n_contradictions"].value == 3


def test_refusals(change):
    X, Y, y = change
    with pytest.raises(ValueError, match="same examples"):
        geometry_report(X, Y[:-1], y)
    with pytest.raises(ValueError, match="NaN"):
        geometry_report(X, Y * np.nan, y)
    with pytest.raises(ValueError, match="those of both or of neither"):
        geometry_report(X, Y, y, distances_before=np.ones((5, 5)))
    with pytest.raises(ValueError, match="over 4 and 4 labels, expected 5"):
        geometry_report(X, Y, y, distances_before=np.ones((4, 4)), distances_after=np.ones((4, 4)))
    with pytest.raises(ValueError, match="one label per row"):
        space_report(X, y[:-1])


def test_same_seed_same_report_and_inputs_untouched(change):
    X, Y, y = change
    before = X.copy(), Y.copy()
    assert str(geometry_report(X, Y, y, max_points=50)) == str(geometry_report(X, Y, y, max_points=50))
    assert np.array_equal(X, before[0])
    assert np.array_equal(Y, before[1])


def test_single_precision_gives_the_same_report(oracle, change):
    X, Y, y = (change[0].astype(np.float32), change[1].astype(np.float32), change[2])
    single, double = geometry_report(X, Y, y), geometry_report(X.astype(float), Y.astype(float), y)
    for name in single:
        np.testing.assert_equal(single[name].value, double[name].value)


def test_package_is_light_and_names_resolve():
    assert all(hasattr(geometry, name) for name in geometry.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'svcca'"):
        geometry.svcca  # noqa: B018
    code = (
        "import sys, closerlook.geometry as g; assert 'numpy' not in sys.modules; g.geometry_report;"
        "assert not {'torch', 'torchmetrics', 'pytorch_lightning', 'hydra', 'wandb'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
