"""Stacked perceptrons against scikit-learn's update and torch's automatic gradient."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from closerlook.probing.mlp_network import StackedMLP, initial_weights

torch = pytest.importorskip("torch")
SIZES = (7, 6, 5, 4)  # d, h, g, k


def batch(n: int = 30, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, SIZES[0])), np.arange(n) % SIZES[-1]


def network(alphas: list[float], seed: int = 0) -> StackedMLP:
    return StackedMLP(initial_weights(np.random.RandomState(seed), SIZES), alphas, torch.float64, "cpu")


def parameters(net: StackedMLP, row: int) -> list[np.ndarray]:
    """W1, W2, W3, b1, b2, b3 of one network in scikit-learn's orientation."""
    return [w[row].numpy().T for w in net.weights] + [b[row, :, 0].numpy() for b in net.biases]


@pytest.mark.parametrize("alpha", [0.0, 1e-3, 1.0])
@pytest.mark.parametrize("epochs", [1, 7])
def test_updates_are_those_of_mlpclassifier(alpha: float, epochs: int) -> None:
    X, y = batch()
    oracle = MLPClassifier(SIZES[1:3], alpha=alpha, batch_size=len(X), max_iter=epochs, random_state=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a handful of steps is what is compared
        oracle.fit(X, y)
    net = network([alpha, 0.5], seed=3)
    for _ in range(epochs):
        loss = net.loss_and_gradient(torch.tensor(X), torch.tensor(y))
        net.step(1e-3)
    assert float(loss[0]) == pytest.approx(oracle.loss_, rel=1e-12)
    for ours, theirs in zip(parameters(net, 0), oracle.coefs_ + oracle.intercepts_, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_gradient_is_the_automatic_one() -> None:
    X, y = (torch.tensor(a) for a in batch())
    net = network([0.0, 0.7])
    loss = net.loss_and_gradient(X, y)
    for row, alpha in enumerate((0.0, 0.7)):
        W = [w[row].clone().requires_grad_() for w in net.weights]
        b = [v[row, :, 0].clone().requires_grad_() for v in net.biases]
        hidden = torch.relu(torch.relu(X @ W[0].T + b[0]) @ W[1].T + b[1])
        expected = torch.nn.functional.cross_entropy(hidden @ W[2].T + b[2], y)
        expected = expected + alpha / (2 * len(X)) * sum((w**2).sum() for w in W)
        expected.backward()
        assert float(loss[row]) == pytest.approx(float(expected.detach()), rel=1e-12)
        ours = net._views(net.grad)
        for theirs, gradient in zip(W, ours[0::2], strict=True):
            torch.testing.assert_close(gradient[row], theirs.grad, atol=1e-12, rtol=0)
        for theirs, gradient in zip(b, ours[1::2], strict=True):
            torch.testing.assert_close(gradient[row, :, 0], theirs.grad, atol=1e-12, rtol=0)


def test_networks_of_a_stack_do_not_touch_each_other_and_keep_goes_on_where_it_was() -> None:
    X, y = (torch.tensor(a) for a in batch())
    stack, alone = network([0.0, 0.1, 1.0]), network([1.0])
    for step in range(10):
        if step == 4:
            stack.keep([0, 2])
        for net in (stack, alone):
            net.loss_and_gradient(X, y)
            net.step(1e-2)
    for ours, theirs in zip(parameters(stack, 1), parameters(alone, 0), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
    assert not np.allclose(parameters(stack, 0)[0], parameters(alone, 0)[0])


def test_prediction_does_not_depend_on_the_rows_at_a_time() -> None:
    X = torch.tensor(batch(50)[0])
    net = network([0.0, 0.1])
    assert net.predict(X).shape == (2, 50)
    assert torch.equal(net.predict(X), net.predict(X, rows=7))
