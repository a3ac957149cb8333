"""Measures that minibatches add up: the same however the examples are cut, and those of the whole."""

import numpy as np
import pytest
import torch
from sklearn.metrics import calinski_harabasz_score

from closerlook.geometry.label_sums import LabelSums
from closerlook.models.live_separation import LabelSeparation


@pytest.fixture
def space():
    rng = np.random.default_rng(0)
    y = rng.choice(3, 90, p=[0.6, 0.3, 0.1])
    return torch.tensor(rng.normal(size=(90, 5)) + 3 * np.eye(5)[y] + 20), torch.tensor(y)


@pytest.mark.parametrize("sizes", [[90], [1, 4, 85], [30, 30, 30]])
def test_fisher_ratio_of_batches_is_that_of_sklearn_on_the_whole(space, sizes):
    X, y = space
    metric = LabelSeparation(4, 5, LabelSums.fisher_ratio)  # a fourth label that is never seen
    for vectors, labels in zip(X.split(sizes), y.split(sizes), strict=True):
        metric.update(vectors, labels)
    expected = calinski_harabasz_score(X.numpy(), y.numpy()) * (3 - 1) / (90 - 3)
    assert float(metric.compute()) == pytest.approx(expected, rel=1e-5)


def test_cdnv_of_two_points_a_label_by_hand():
    metric = LabelSeparation(2, 1, LabelSums.cdnv)
    metric.update(torch.tensor([[0.0], [2.0], [4.0], [6.0]]), torch.tensor([0, 0, 1, 1]))
    assert float(metric.compute()) == pytest.approx((1 + 1) / (2 * 16))


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_double(space, half):
    X, y = space
    low, high = (LabelSeparation(3, 5, LabelSums.fisher_ratio) for _ in range(2))
    low.half().update(X.to(half), y)
    high.update(X.to(half).double(), y)
    assert float(low.compute()) == float(high.compute())


@pytest.mark.parametrize("measure", [LabelSums.fisher_ratio, LabelSums.cdnv])
def test_one_label_or_no_scatter_is_nan(measure):
    metric = LabelSeparation(2, 1, measure)
    metric.update(torch.ones((3, 1)), torch.tensor([1, 1, 1]))
    assert torch.isnan(metric.compute())
    metric.update(torch.ones((3, 1)), torch.tensor([0, 0, 0]))
    assert torch.isnan(metric.compute())
