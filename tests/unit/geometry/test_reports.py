import subprocess
import sys

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import pearsonr
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid

import closerlook.geometry as geometry
from closerlook.geometry.change_report import geometry_report
from closerlook.geometry.confidence import jackknife_interval
from closerlook.geometry.decomposition import change_shares
from closerlook.geometry.labelled_space import Head
from closerlook.geometry.paired_sums import PairedSums, random_groups
from closerlook.geometry.space_report import space_report
from closerlook.measures import MEASURES, of_probe

HEAD_ONLY = {"nc3_self_duality", "nc4_agreement"}


def split(X, Y):
    return change_shares(PairedSums.of(X - X.mean(axis=0), Y - Y.mean(axis=0)), Y.mean(axis=0) - X.mean(axis=0))


@pytest.fixture
def change(labelled, rng, rotation):
    X, y = labelled
    return X, 1.5 * X @ rotation(6) + rng.normal(size=X.shape) * 0.3 + 1, y


def test_names_are_those_of_the_registry(change):
    X, Y, y = change
    report = geometry_report(X, Y, y, head=Head(np.eye(5, 6), np.zeros(5)))
    assert set(report) == set(of_probe("geometry"))
    of_space = {name for name in report if MEASURES[name].scope == "space"}
    assert set(space_report(X, y)) == of_space - HEAD_ONLY
    assert set(geometry_report(X, Y, y)) == set(report) - HEAD_ONLY


def changes(*spaces, **options):
    """The measures of the change alone."""
    report = geometry_report(*spaces, **options)
    return {name: value for name, value in report.items() if MEASURES[name].scope == "change"}


def test_values_are_in_range_with_intervals_and_controls(change):
    X, Y, y = change
    report = geometry_report(X, Y, y)
    for name, got in report.items():
        entry = MEASURES[name]
        assert entry.low - 1e-9 <= got.value <= entry.high + 1e-9, name
        assert got.n > 0, name
        assert got.reason == "", name
        if not np.isnan(got.low):
            assert entry.low <= got.low <= got.value <= got.high <= entry.high, name
        assert (got.control_name == "") == (entry.control == ""), name


def test_values_are_those_of_the_pure_functions(oracle, change):
    X, Y, y = change
    report = geometry_report(X, Y, y)
    x, z = X - X.mean(axis=0), Y - Y.mean(axis=0)
    oracle("report: linear CKA", report["linear_cka"].value, PairedSums.of(x, z).linear_cka())
    for name, value in split(X, Y)._asdict().items():
        oracle("report: change split", report[name].value, value)
    radii = [np.sqrt(pdist(Z, "sqeuclidean").sum()) / 120 for Z in (X, Y)]
    oracle("report: rms radius, from pairs", report["rms_radius"].value, radii[1])
    oracle("report: growth of the space, from pairs", report["space_growth"].value, radii[1] / radii[0])
    assert report["centroid_growth"].control == report["space_growth"].value
    a, b = (np.array([Z[y == c].mean(axis=0) for c in "abcde"]) for Z in (X, Y))
    oracle("report: centroid similarity", report["centroid_similarity"].value, pearsonr(pdist(a), pdist(b)).statistic)
    oracle("report: distance growth", report["centroid_growth"].value, np.median(pdist(b) / pdist(a)))


def test_jackknife_leaves_out_and_recentres(oracle, change):
    """The interval of a share from sums is the one from the rows themselves."""
    X, Y, y = change
    stream = np.random.default_rng(0)
    stream.permutation(120)
    groups = random_groups(120, 10, stream)
    left = [split(np.delete(X, g, axis=0), np.delete(Y, g, axis=0)).translation_share for g in groups]
    expected = jackknife_interval(split(X, Y).translation_share, left)
    found = geometry_report(X, Y, y)["translation_share"]
    oracle("report: jackknife of the rows", [found.low, found.high], expected)


def test_the_heads_measures_are_those_of_sklearn(oracle, labelled):
    X, y = labelled
    head = LogisticRegression(max_iter=2000).fit(X, y)
    report = space_report(X, y, head=Head(head.coef_, head.intercept_))
    centroids = NearestCentroid().fit(X, y)
    agreement = np.mean(centroids.predict(X) == head.predict(X))
    oracle("NC4 of a head: sklearn", report["nc4_agreement"].value, agreement)
    w, m = (Z - Z.mean(axis=0) for Z in (head.coef_, centroids.centroids_))
    cosine = np.sum(w * m) / np.linalg.norm(w) / np.linalg.norm(m)
    oracle("NC3 of a head: law of cosines", report["nc3_self_duality"].value, np.sqrt(2 - 2 * cosine))
    assert report["nc3_self_duality"].value < report["nc3_self_duality"].control
    assert report["nc4_agreement"].value > report["nc4_agreement"].control


def test_scaled_up_is_not_pushed_apart(labelled):
    X, y = labelled
    scaled = geometry_report(X, 3 * X, y)
    assert scaled["centroid_growth"].value == pytest.approx(3)
    assert scaled["centroid_growth"].control == pytest.approx(3)
    assert scaled["centroid_growth_over_scatter"].value == pytest.approx(1)
    means = {c: X[y == c].mean(axis=0) for c in "abcde"}
    pushed = geometry_report(X, X + 2 * np.array([means[c] for c in y]), y)
    assert pushed["centroid_growth_over_scatter"].value == pytest.approx(3)
    assert pushed["centroid_growth"].value > pushed["centroid_growth"].control


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
    report = geometry_report(*change)
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
    report = geometry_report(X, X, y)
    for name in ("linear_cka", "debiased_cka", "rsa", "knn_overlap", "centroid_similarity", "centroid_growth"):
        assert report[name].value == pytest.approx(1), name
    assert report["procrustes_distance"].value == pytest.approx(0, abs=1e-6)
    assert report["own_displacement"].value == 0
    assert report["space_growth"].value == 1
    assert "are equal" in report["rest_share"].reason
    assert "0 labels moved" in report["direction_spread"].reason


def test_spaces_of_different_width(labelled, rng):
    X, y = labelled
    report = geometry_report(X, X @ rng.normal(size=(6, 9)), y)
    for name in ("own_displacement", "rest_share", "direction_spread"):
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


def test_refusals(change):
    X, Y, y = change
    with pytest.raises(ValueError, match="same examples"):
        geometry_report(X, Y[:-1], y)
    with pytest.raises(ValueError, match="NaN"):
        geometry_report(X, Y * np.nan, y)
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
