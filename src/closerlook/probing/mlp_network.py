"""Several two-layer perceptrons of one size trained side by side with stacked weights.

The loss, the gradient, the initialisation, the shuffling and Adam are scikit-learn's `MLPClassifier`
(version 1.9), so that a stacked network follows the same path as one `MLPClassifier` with the same
`random_state`. One difference: two labels get two softmax outputs here, one logistic output there.
torch is imported inside the functions: importing this module costs nothing.

Shapes: C networks, d features, B examples of a minibatch, h and g hidden units, k labels. Activations are
feature-major, (C, units, B): the first layer of all networks is then one matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # MLPClassifier's defaults


def initial_weights(rng: np.random.RandomState, sizes: Sequence[int]) -> list[np.ndarray]:
    """Draw Glorot-uniform weights and biases in the order of `MLPClassifier`.

    Args:
        rng: the generator that later shuffles the minibatches, as in scikit-learn.
        sizes: (d, h, g, k).

    Returns:
        [W1 (h, d), b1 (h,), W2 (g, h), b2 (g,), W3 (k, g), b3 (k,)], float64.
    """
    out = []
    for fan_in, fan_out in pairwise(sizes):
        bound = np.sqrt(6.0 / (fan_in + fan_out))
        out.append(rng.uniform(-bound, bound, (fan_in, fan_out)).T)
        out.append(rng.uniform(-bound, bound, fan_out))
    return out


class StackedMLP:
    """C networks with the same start and the same minibatches, each with its own L2 weight.

    Args:
        start: weights of `initial_weights`; every network starts from them.
        alphas: L2 weight of each network, (C,), >= 0.
        dtype: torch dtype of weights and optimiser state.
        device: torch device.

    Attributes:
        flat: all parameters in one buffer, which Adam updates in one fused call.
        weights: views into `flat`: W1 (C, h, d), W2 (C, g, h), W3 (C, k, g).
        biases: views into `flat`: (C, h, 1), (C, g, 1), (C, k, 1).
    """

    def __init__(self, start: Sequence[np.ndarray], alphas: Sequence[float], dtype: Any, device: str) -> None:
        import torch

        stacked = [torch.as_tensor(p).to(device=device, dtype=dtype) for p in start]
        stacked = [p.expand(len(alphas), *p.shape) if p.ndim == 2 else p[None, :, None] for p in stacked]
        self._shapes = [tuple(p.shape[1:]) for p in stacked]
        self.alphas = torch.tensor(list(alphas), dtype=dtype, device=device)
        self._allocate()
        for view, p in zip(self._views(self.flat), stacked, strict=True):
            view.copy_(p)
        self.n_steps = 0  # beside the tensor that Adam counts in: reading that one would wait for a GPU
        self._step_count = torch.zeros((), dtype=torch.float32, device=device)

    def _allocate(self) -> None:
        """Make the zeroed parameter, gradient and moment buffers for the current number of networks."""
        size = len(self.alphas) * sum(int(np.prod(shape)) for shape in self._shapes)
        self.flat, self.grad, self.mean, self.square = (self.alphas.new_zeros(size) for _ in range(4))
        self.weights, self.biases = self._views(self.flat)[0::2], self._views(self.flat)[1::2]
        self._weight_grads, self._bias_grads = self._views(self.grad)[0::2], self._views(self.grad)[1::2]

    def _views(self, buffer: torch.Tensor) -> list[torch.Tensor]:
        """Cut a flat buffer into [W1, b1, W2, b2, W3, b3], each contiguous with the network first."""
        n = len(self.alphas)
        ends = np.cumsum([n * int(np.prod(shape)) for shape in self._shapes])
        starts = [0, *ends[:-1].tolist()]
        return [
            buffer[start:end].view(n, *shape)
            for start, end, shape in zip(starts, ends.tolist(), self._shapes, strict=True)
        ]

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with the networks `rows` only; their optimiser state stays as it is."""
        old = [[view[list(rows)] for view in self._views(b)] for b in (self.flat, self.mean, self.square)]
        self.alphas = self.alphas[list(rows)]
        self._allocate()
        for buffer, parts in zip((self.flat, self.mean, self.square), old, strict=True):
            for view, part in zip(self._views(buffer), parts, strict=True):
                view.copy_(part)

    def forward(self, X: torch.Tensor) -> list[torch.Tensor]:
        """Return [H1 (C, h, B), H2 (C, g, B), logits (C, k, B)] for X (B, d)."""
        import torch

        (W1, W2, W3), (b1, b2, b3) = self.weights, self.biases
        n, h, d = W1.shape
        H1 = torch.addmm(b1.view(n * h, 1), W1.view(n * h, d), X.T).view(n, h, -1).relu_()
        H2 = torch.baddbmm(b2, W2, H1).relu_()
        return [H1, H2, torch.baddbmm(b3, W3, H2)]

    def predict(self, X: torch.Tensor, rows: int = 2048) -> torch.Tensor:
        """Return the predicted label codes, (C, n), for X (n, d)."""
        import torch

        return torch.cat([self.forward(part)[-1].argmax(dim=1) for part in X.split(rows)], dim=1)

    def loss_and_gradient(self, X: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Fill the gradient buffer and return the loss of each network, (C,).

        Loss: mean cross-entropy + alpha / (2 B) * sum of squared weights (biases are not penalised). The
        division of the L2 term by the size of the minibatch is scikit-learn's.
        """
        import torch

        H1, H2, logits = self.forward(X)
        W2, W3 = self.weights[1:]
        size = len(y)
        log_p = torch.log_softmax(logits, dim=1)
        target = y.view(1, 1, size).expand(len(W2), 1, size)
        loss = -log_p.gather(1, target).sum(dim=(1, 2)) / size
        D3 = log_p.exp_().div_(size)
        D3.scatter_add_(1, target, D3.new_full((1, 1, 1), -1.0 / size).expand_as(target))
        D2 = _relu_backward(torch.bmm(W3.transpose(1, 2), D3), H2)
        D1 = _relu_backward(torch.bmm(W2.transpose(1, 2), D2), H1)
        g1, g2, g3 = self._weight_grads
        torch.mm(D1.view(-1, size), X, out=g1.view(-1, X.shape[1]))
        torch.bmm(D2, H1.transpose(1, 2), out=g2)
        torch.bmm(D3, H2.transpose(1, 2), out=g3)
        for gradient, delta in zip(self._bias_grads, (D1, D2, D3), strict=True):
            torch.sum(delta, dim=2, keepdim=True, out=gradient)
        return loss + self._add_penalty(size)

    def _add_penalty(self, size: int) -> torch.Tensor:
        """Add alpha / B * W to the gradient; return alpha / (2 B) * ||W||^2, (C,)."""
        import torch

        share = self.alphas / size
        total = self.alphas.new_zeros(len(self.alphas))
        for W, gradient in zip(self.weights, self._weight_grads, strict=True):
            gradient.addcmul_(W, share[:, None, None])
            total += torch.linalg.vector_norm(W.flatten(1), dim=1).square()
        return total * share / 2

    def step(self, learning_rate: float) -> None:
        """One Adam update from the gradient buffer, as scikit-learn writes it.

        scikit-learn adds epsilon to the *uncorrected* root of the second moment. Dividing epsilon by the
        bias correction gives torch's fused kernel the same update.
        """
        from torch.optim.adam import adam

        self.n_steps += 1
        correction = float(np.sqrt(1 - BETA_2**self.n_steps))
        adam(
            [self.flat],
            [self.grad],
            [self.mean],
            [self.square],
            [],
            [self._step_count],
            fused=True,
            amsgrad=False,
            beta1=BETA_1,
            beta2=BETA_2,
            lr=learning_rate,
            weight_decay=0.0,
            eps=EPSILON / correction,
            maximize=False,
        )


def _relu_backward(delta: torch.Tensor, activation: torch.Tensor) -> torch.Tensor:
    """Set `delta` to zero in place where the unit was off: one pass, where a mask would take two."""
    import torch

    return torch.ops.aten.threshold_backward.grad_input(delta, activation, 0, grad_input=delta)
