"""The measures that minibatches can add up, as torchmetrics: for live use while a model is tuned.

Each keeps sums only (float64; reduced by "sum" over processes), so the value does not depend on how examples
were batched, and is that of the pure function on all of them. The only module of the package that needs torch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class _LabelSums(Metric):
    """Sums per class of the examples seen: counts, vectors, squared lengths."""

    is_differentiable = False
    full_state_update = False
    counts: Tensor
    sums: Tensor
    squares: Tensor

    def __init__(self, num_classes: int, num_features: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        _check_positive(num_classes=num_classes, num_features=num_features)
        self.num_classes, self.num_features = num_classes, num_features
        _add_sums(self, counts=(num_classes,), sums=(num_classes, num_features), squares=(num_classes,))

    def update(self, vectors: Tensor, labels: Tensor) -> None:
        """Add a batch.

        Args:
            vectors: (batch, num_features), finite.
            labels: (batch,) class numbers in [0, num_classes).

        Raises:
            ValueError: if shapes, values or labels are not as stated.
        """
        rows = _checked(vectors, self.num_features, "vectors")
        _check_labels(labels, len(rows), self.num_classes)
        self.counts += torch.bincount(labels, minlength=self.num_classes).to(self.counts)
        self.sums.index_add_(0, labels, rows)
        self.squares.index_add_(0, labels, (rows * rows).sum(dim=1))

    def _means(self) -> Tensor:
        return self.sums / self.counts[:, None]  # NaN for classes not seen

    def _variances(self) -> Tensor:
        means = self._means()
        return (self.squares / self.counts - (means * means).sum(dim=1)).clamp_min(0.0)


class FisherRatio(_LabelSums):
    r"""Fisher ratio of scatter between labels over scatter within.

    .. math:: \mathrm{tr}(S_B) / \mathrm{tr}(S_W)

    As input to ``forward`` and ``update``: ``vectors`` (batch, num_features), ``labels`` (batch,). As output of
    ``compute``: a float64 scalar, at least 0, higher = labels stand apart; NaN until two classes and some
    scatter have been seen.

    Args:
        num_classes: number of classes.
        num_features: width of the vectors.
        kwargs: see ``torchmetrics.Metric``.

    Raises:
        ValueError: if num_classes or num_features is below 1.

    Example:
        >>> metric = FisherRatio(num_classes=2, num_features=1)
        >>> metric.update(torch.tensor([[0.0], [2.0], [4.0], [6.0]]), torch.tensor([0, 0, 1, 1]))
        >>> metric.compute()
        tensor(4., dtype=torch.float64)
    """

    higher_is_better = True

    def compute(self) -> Tensor:
        """Return the ratio over all examples seen."""
        seen = self.counts > 0
        counts, means = self.counts[seen], self._means()[seen]
        within = (counts * self._variances()[seen]).sum()
        if len(counts) < 2 or within <= 0:
            return torch.full_like(within, torch.nan)
        centre = (counts[:, None] * means).sum(dim=0) / counts.sum()
        return (counts * ((means - centre) ** 2).sum(dim=1)).sum() / within


class CDNV(_LabelSums):
    r"""Class-distance normalised variance, the mean over pairs of classes.

    .. math:: (v_i + v_j) / (2 \, \lVert m_i - m_j \rVert^2)

    As input to ``forward`` and ``update``: ``vectors`` (batch, num_features), ``labels`` (batch,). As output of
    ``compute``: a float64 scalar, at least 0, 0 = collapsed; NaN until two classes have two examples each, inf
    where two centroids coincide. Source: Galanti et al. 2021 (2112.15121).

    Args:
        num_classes: number of classes.
        num_features: width of the vectors.
        kwargs: see ``torchmetrics.Metric``.

    Raises:
        ValueError: if num_classes or num_features is below 1.

    Example:
        >>> metric = CDNV(num_classes=2, num_features=1)
        >>> metric.update(torch.tensor([[0.0], [2.0], [4.0], [6.0]]), torch.tensor([0, 0, 1, 1]))
        >>> metric.compute()
        tensor(0.0625, dtype=torch.float64)
    """

    higher_is_better = False

    def compute(self) -> Tensor:
        """Return the mean over pairs of the classes seen twice or more."""
        kept = self.counts >= 2
        means, variances = self._means()[kept], self._variances()[kept]
        if len(means) < 2:
            return self.squares.new_tensor(torch.nan)
        i, j = torch.triu_indices(len(means), len(means), offset=1, device=means.device)
        return ((variances[i] + variances[j]) / (2 * ((means[i] - means[j]) ** 2).sum(dim=1))).mean()


class CentroidDisplacement(Metric):
    """How far the centroid of each label moved between two encoders of the same examples.

    As input to ``forward`` and ``update``: ``before`` and ``after`` (batch, num_features), ``labels`` (batch,).
    As output of ``compute``: float64 (num_classes,), NaN for classes not seen; or their mean, a scalar, with
    ``reduction="mean"``. In the unit of the space, or over the mean norm before with ``relative``.

    Args:
        num_classes: number of classes.
        num_features: width of the vectors.
        relative: divide by the mean length of the vectors before.
        reduction: "mean" over the classes seen, or "none".
        kwargs: see ``torchmetrics.Metric``.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> metric = CentroidDisplacement(num_classes=2, num_features=2)
        >>> before = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> metric.update(before, before + torch.tensor([3.0, 4.0]), torch.tensor([0, 1]))
        >>> metric.compute()
        tensor(5., dtype=torch.float64)
    """

    is_differentiable = False
    full_state_update = False
    counts: Tensor
    sums: Tensor
    length: Tensor

    def __init__(
        self,
        num_classes: int,
        num_features: int,
        relative: bool = False,
        reduction: str = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        _check_positive(num_classes=num_classes, num_features=num_features)
        if reduction not in ("mean", "none"):
            raise ValueError(f"Expected argument `reduction` to be 'mean' or 'none', got {reduction!r}")
        self.num_classes, self.num_features = num_classes, num_features
        self.relative, self.reduction = relative, reduction
        _add_sums(self, counts=(num_classes,), sums=(num_classes, num_features), length=())

    def update(self, before: Tensor, after: Tensor, labels: Tensor) -> None:
        """Add a batch.

        Args:
            before: (batch, num_features), finite.
            after: (batch, num_features), the same examples.
            labels: (batch,) class numbers in [0, num_classes).

        Raises:
            ValueError: if shapes, values or labels are not as stated.
        """
        first, second = _checked_pair(before, after, self.num_features, self.num_features)
        _check_labels(labels, len(first), self.num_classes)
        self.counts += torch.bincount(labels, minlength=self.num_classes).to(self.counts)
        self.sums.index_add_(0, labels, second - first)
        self.length += first.norm(dim=1).sum()

    def compute(self) -> Tensor:
        """Return the displacements over all examples seen."""
        norms = (self.sums / self.counts[:, None]).norm(dim=1)
        if self.relative:
            norms = norms / (self.length / self.counts.sum())
        return norms if self.reduction == "none" else norms.nanmean()


class LinearCKA(Metric):
    r"""Linear CKA of two spaces of the same examples, exact whatever the batches.

    .. math:: \lVert Y^T X \rVert_F^2 / (\lVert X^T X \rVert_F \lVert Y^T Y \rVert_F)

    of the centred spaces, or with ``debiased`` from the unbiased estimate of HSIC (Song et al. 2012), which may
    be slightly negative and is not clamped. Averages of CKA over minibatches are something else: biased by the
    size of the batch.

    As input to ``forward`` and ``update``: ``x`` (batch, num_features_x), ``y`` (batch, num_features_y). As
    output of ``compute``: a float64 scalar, 1 = equal up to rotation, shift and scale; NaN where undefined (a
    constant space; fewer than 2 examples, or 4 when debiased).

    Args:
        num_features_x: width of the first space.
        num_features_y: width of the second space; that of the first by default.
        debiased: use the unbiased estimate.
        kwargs: see ``torchmetrics.Metric``.

    Raises:
        ValueError: if a width is below 1.

    Example:
        >>> metric = LinearCKA(num_features_x=2)
        >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [3.0, 1.0]])
        >>> metric.update(x, 2 * x.flip(1) + 1)
        >>> round(metric.compute().item(), 6)
        1.0
    """

    is_differentiable = False
    full_state_update = False
    higher_is_better = True

    def __init__(
        self,
        num_features_x: int,
        num_features_y: int | None = None,
        debiased: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        p, q = num_features_x, num_features_y if num_features_y is not None else num_features_x
        _check_positive(num_features_x=p, num_features_y=q)
        self.num_features_x, self.num_features_y, self.debiased = p, q, debiased
        _add_sums(
            self, n=(), sx=(p,), sy=(q,), xx=(p, p), yy=(q, q), xy=(p, q),
            kx=(p,), lx=(p,), ky=(q,), ly=(q,), kk=(), ll=(), kl=(),
        )  # fmt: skip

    def update(self, x: Tensor, y: Tensor) -> None:
        """Add a batch.

        Args:
            x: (batch, num_features_x), finite.
            y: (batch, num_features_y), the same examples.

        Raises:
            ValueError: if shapes or values are not as stated.
        """
        a, b = _checked_pair(x, y, self.num_features_x, self.num_features_y)
        k, l = (a * a).sum(dim=1), (b * b).sum(dim=1)  # noqa: E741
        parts = {
            "n": torch.tensor(float(len(a)), device=a.device), "sx": a.sum(dim=0), "sy": b.sum(dim=0),
            "xx": a.T @ a, "yy": b.T @ b, "xy": a.T @ b,
            "kx": k @ a, "lx": l @ a, "ky": k @ b, "ly": l @ b, "kk": k @ k, "ll": l @ l, "kl": k @ l,
        }  # fmt: skip
        for name, part in parts.items():
            setattr(self, name, getattr(self, name) + part)

    def compute(self) -> Tensor:
        """Return CKA over all examples seen."""
        from closerlook.geometry.moments import PairedMoments
        from closerlook.geometry.validation import UndefinedMeasureError

        state = {name: getattr(self, name).detach().cpu().numpy() for name in self._defaults}
        for name in ("n", "kk", "ll", "kl"):
            state[name] = float(state[name])
        moments = PairedMoments(**state)
        try:
            value = moments.debiased_cka() if self.debiased else moments.linear_cka()
        except UndefinedMeasureError:
            value = torch.nan
        return torch.tensor(value, dtype=torch.float64, device=self.device)


class MeanCosine(Metric):
    """Mean cosine over all pairs of different examples (anisotropy), in one pass.

    As input to ``forward`` and ``update``: ``vectors`` (batch, num_features). As output of ``compute``: a float64
    scalar in [-1, 1], near 1 = a narrow cone; NaN until two vectors with a direction have been seen. Vectors of
    length 0 are left out. Source: Ethayarajh 2019 (1909.00512).

    Args:
        num_features: width of the vectors.
        kwargs: see ``torchmetrics.Metric``.

    Raises:
        ValueError: if num_features is below 1.

    Example:
        >>> metric = MeanCosine(num_features=2)
        >>> metric.update(torch.tensor([[1.0, 0.0], [0.0, 3.0], [2.0, 0.0]]))
        >>> round(metric.compute().item(), 6)
        0.333333
    """

    is_differentiable = False
    full_state_update = False
    total: Tensor
    n: Tensor

    def __init__(self, num_features: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        _check_positive(num_features=num_features)
        self.num_features = num_features
        _add_sums(self, total=(num_features,), n=())

    def update(self, vectors: Tensor) -> None:
        """Add a batch of (batch, num_features) finite vectors.

        Raises:
            ValueError: if the shape or values are not as stated.
        """
        rows = _checked(vectors, self.num_features, "vectors")
        norms = rows.norm(dim=1)
        self.total += (rows[norms > 0] / norms[norms > 0, None]).sum(dim=0)
        self.n += (norms > 0).sum()

    def compute(self) -> Tensor:
        """Return the mean over all pairs seen."""
        if self.n < 2:
            return torch.full_like(self.n, torch.nan)
        return ((self.total @ self.total) - self.n) / (self.n * (self.n - 1))


def _add_sums(metric: Metric, **shapes: tuple[int, ...]) -> None:
    # float64: the variances below are differences of nearly equal sums
    for name, shape in shapes.items():
        metric.add_state(name, torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")


def _check_positive(**values: int) -> None:
    for name, value in values.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"Expected argument `{name}` to be an integer of at least 1, got {value!r}")


def _checked(vectors: Tensor, num_features: int, name: str) -> Tensor:
    if vectors.ndim != 2 or vectors.shape[1] != num_features:
        raise ValueError(f"Expected `{name}` of shape (batch, {num_features}), got {tuple(vectors.shape)}")
    rows = vectors.detach().to(torch.float64)
    if not torch.isfinite(rows).all():
        raise ValueError(f"Expected finite values in `{name}`, got NaN or inf")
    return rows


def _checked_pair(x: Tensor, y: Tensor, p: int, q: int) -> tuple[Tensor, Tensor]:
    a, b = _checked(x, p, "the first input"), _checked(y, q, "the second input")
    if len(a) != len(b):
        raise ValueError(f"Expected the same examples in both inputs, got {len(a)} and {len(b)} rows")
    return a, b


def _check_labels(labels: Tensor, n: int, num_classes: int) -> None:
    if labels.shape != (n,) or labels.is_floating_point():
        raise ValueError(f"Expected integer `labels` of shape ({n},), got {labels.dtype} {tuple(labels.shape)}")
    if n and (int(labels.min()) < 0 or int(labels.max()) >= num_classes):
        raise ValueError(f"Expected labels in [0, {num_classes}), got {int(labels.min())} to {int(labels.max())}")
