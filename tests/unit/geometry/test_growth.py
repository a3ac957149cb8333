import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from scipy.stats import t as student_t

from closerlook.geometry.growth import label_distance_growth
from closerlook.geometry.validation import UndefinedMeasureError


@pytest.fixture
def distances(rng):
    points = rng.normal(size=(7, 3))
    return squareform(pdist(points)), squareform(pdist(2 * points + 0.3 * rng.normal(size=(7, 3))))


def test_value_is_numpys_median_over_the_common_pairs(oracle, distances):
    before, after = distances
    after[0, 1] = after[1, 0] = np.nan
    before[2, 3] = before[3, 2] = 0.0  # hulls that meet
    found = label_distance_growth(before, after, 1.5, 2.5, space_growth=1.7)
    upper = np.triu_indices(7, 1)
    ratios = after[upper] / np.where(before[upper] > 0, before[upper], np.nan)
    oracle("growth: numpy", found.plain.value, np.nanmedian(ratios))
    oracle("growth over scatter: numpy", found.over_scatter.value, np.nanmedian(ratios) * 1.5 / 2.5)
    assert (found.plain.n, found.plain.control, found.over_scatter.control) == (19, 1.7, 1)
    assert found.plain.low < found.plain.value < found.plain.high


def test_interval_is_the_spread_of_a_bootstrap_in_a_loop(oracle, distances):
    before, after = distances
    medians = []
    for drawn in np.random.default_rng(0).integers(7, size=(200, 7)):
        ratios = [after[i, j] / before[i, j] for n, i in enumerate(drawn) for j in drawn[:n] if i != j]
        medians.append(np.median(ratios))
    found = label_distance_growth(before, after, 1.0, 1.0).plain
    factor = np.exp(student_t.ppf(0.975, 6) * np.std(np.log(medians), ddof=1))
    oracle("growth interval: loop", [found.low, found.high], [found.value / factor, found.value * factor])


def test_growth_of_everything_is_the_control_and_none_over_scatter(distances):
    before, _ = distances
    found = label_distance_growth(before, 3 * before, 0.5, 1.5, space_growth=3.0)
    assert found.plain.value == pytest.approx(found.plain.control)
    assert (found.over_scatter.value, found.over_scatter.low) == pytest.approx((1, 1))


def test_degenerate(distances):
    before, after = distances
    assert "scatter" in label_distance_growth(before, after, 0.0, 1.0).over_scatter.reason
    assert "scatter" in label_distance_growth(before, after, np.nan, np.nan).over_scatter.reason
    two = label_distance_growth(before[:2, :2], after[:2, :2], 1.0, 1.0).plain
    assert np.isfinite(two.value)
    assert np.isnan([two.low, two.high]).all()
    with pytest.raises(UndefinedMeasureError, match="no pair of labels"):
        label_distance_growth(np.zeros((3, 3)), after[:3, :3], 1.0, 1.0)
    with pytest.raises(ValueError, match="expected the same labels"):
        label_distance_growth(before, after[:3, :3], 1.0, 1.0)
