import doctest

import numpy as np
import pytest
import torch

from closerlook.geometry import metrics
from closerlook.geometry.centroids import centroid_displacement
from closerlook.geometry.cka import debiased_cka, linear_cka
from closerlook.geometry.collapse import cdnv
from closerlook.geometry.metrics import CDNV, CentroidDisplacement, FisherRatio, LinearCKA, MeanCosine
from closerlook.geometry.scatter import fisher_ratio
from closerlook.geometry.spectrum import mean_cosine


@pytest.fixture
def data(rng):
    y = rng.integers(0, 4, 90)
    X = rng.normal(size=(90, 5)) + 2 * np.eye(5)[y] + 10
    Y = X @ rng.normal(size=(5, 5)) + rng.normal(size=(90, 5)) - 4
    return X.astype(np.float32), Y.astype(np.float32), y


CASES = {
    "FisherRatio": (lambda: FisherRatio(4, 5), "Xy", lambda X, Y, y: fisher_ratio(X, y)),
    "CDNV": (lambda: CDNV(4, 5), "Xy", lambda X, Y, y: cdnv(X, y)),
    "CentroidDisplacement": (
        lambda: CentroidDisplacement(4, 5, reduction="none"), "XYy",
        lambda X, Y, y: centroid_displacement(X, Y, y).norms,
    ),
    "CentroidDisplacement, relative": (
        lambda: CentroidDisplacement(4, 5, relative=True), "XYy",
        lambda X, Y, y: centroid_displacement(X, Y, y).relative.mean(),
    ),
    "LinearCKA": (lambda: LinearCKA(5), "XY", lambda X, Y, y: linear_cka(X, Y)),
    "LinearCKA, debiased": (lambda: LinearCKA(5, debiased=True), "XY", lambda X, Y, y: debiased_cka(X, Y)),
    "MeanCosine": (lambda: MeanCosine(5), "X", lambda X, Y, y: mean_cosine(X).value),
}  # fmt: skip


def feed(metric, data, inputs, cuts):
    arrays = dict(zip("XYy", (torch.from_numpy(a) for a in data), strict=True))
    for part in np.split(np.arange(90), cuts):
        metric.update(*(arrays[name][part] for name in inputs))
    return metric


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("cuts", [[], [1, 40], list(range(7, 90, 7))])
def test_batches_add_up_to_the_pure_function(oracle, data, name, cuts):
    build, inputs, pure = CASES[name]
    metric = feed(build(), data, inputs, cuts)
    oracle(f"torchmetrics {name}: pure function", metric.compute().numpy(), pure(*data), atol=1e-8)


def test_cdnv_leaves_singletons_out_as_the_pure_function_does(oracle, data):
    X, _, y = data
    y = np.append(y[:-1], 4)
    metric = CDNV(6, 5)
    metric.update(torch.from_numpy(X), torch.from_numpy(y))
    oracle("torchmetrics CDNV: pure function", metric.compute().item(), cdnv(X, y), atol=1e-8)


@pytest.mark.parametrize("name", CASES)
def test_reset_and_merge_over_processes(data, name):
    build, inputs, _ = CASES[name]
    whole = feed(build(), data, inputs, [30]).compute()
    left, right = build(), build()
    arrays = dict(zip("XYy", (torch.from_numpy(a) for a in data), strict=True))
    left.update(*(arrays[k][:30] for k in inputs))
    right.update(*(arrays[k][30:] for k in inputs))
    for state, reduction in left._reductions.items():  # what torchmetrics does over processes
        setattr(left, state, reduction(torch.stack([getattr(left, state), getattr(right, state)])))
    torch.testing.assert_close(left.compute(), whole, rtol=1e-8, atol=1e-10)
    left.reset()
    torch.testing.assert_close(feed(left, data, inputs, []).compute(), whole, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_forward_gives_the_batch_and_keeps_the_total(data, name):
    build, inputs, _ = CASES[name]
    arrays = dict(zip("XYy", (torch.from_numpy(a) for a in data), strict=True))
    metric, alone = build(), build()
    metric(*(arrays[k][:50] for k in inputs))
    value = metric(*(arrays[k][50:] for k in inputs))
    alone.update(*(arrays[k][50:] for k in inputs))
    torch.testing.assert_close(value, alone.compute(), rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(metric.compute(), feed(build(), data, inputs, []).compute(), rtol=1e-8, atol=1e-10)


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric:UserWarning")  # asked for too early on purpose
@pytest.mark.parametrize("name", CASES)
def test_nothing_seen_is_nan(name):
    assert torch.isnan(CASES[name][0]().compute()).all()


def test_no_gradient_is_kept(data):
    X = torch.from_numpy(data[0]).requires_grad_()
    metric = FisherRatio(4, 5)
    metric.update(X, torch.from_numpy(data[2]))
    assert not metric.sums.requires_grad


def test_refusals(data):
    X, Y, y = (torch.from_numpy(a) for a in data)
    with pytest.raises(ValueError, match="`num_classes` to be an integer of at least 1, got 0"):
        FisherRatio(0, 5)
    with pytest.raises(ValueError, match="to be 'mean' or 'none', got 'sum'"):
        CentroidDisplacement(4, 5, reduction="sum")
    with pytest.raises(ValueError, match=r"Expected `vectors` of shape \(batch, 4\)"):
        CDNV(4, 4).update(X, y)
    with pytest.raises(ValueError, match=r"labels in \[0, 3\), got 0 to 3"):
        CDNV(3, 5).update(X, y)
    with pytest.raises(ValueError, match="integer `labels`"):
        CDNV(4, 5).update(X, y.float())
    with pytest.raises(ValueError, match="same examples in both inputs, got 90 and 80"):
        LinearCKA(5).update(X, Y[:80])
    with pytest.raises(ValueError, match="finite values"):
        MeanCosine(5).update(X * torch.nan)


def test_doctests():
    result = doctest.testmod(metrics)
    assert result.attempted >= 12
    assert result.failed == 0
