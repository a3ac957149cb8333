"""Control tasks and selectivity: does a probe read the encoder, or memorise word types?

Source: Hewitt & Liang 2019 (1909.03368). Every word type gets one random label, drawn from the label
frequencies of the task; a probe that scores high on it has learnt words by heart. Selectivity is the task
accuracy less the control accuracy. For word-level tasks only: sentences and pairs have no recurring type.
It compares encoders and probes on one task, not tasks: with few types (the preposition tasks have about 100)
any probe learns the control labels, and selectivity falls below zero however good the encoder is.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from closerlook.probing.classifier_probe import linear_probe


@dataclass(frozen=True)
class SelectivityResult:
    """Accuracy of one probe on the task and on control tasks over the same vectors."""

    task_accuracy: float
    """Test accuracy on the task, in [0, 1]."""
    control_accuracy: float
    """Mean test accuracy over the control tasks, in [0, 1]."""
    control_std: float
    """Standard deviation over the control tasks (n - 1 in the denominator); NaN for one."""
    selectivity: float
    """task_accuracy - control_accuracy, in [-1, 1]; near the task accuracy less chance is good."""
    control_accuracies: tuple[float, ...]
    """Test accuracy of each control task."""
    n_types: int
    """Different word types in training."""
    seen_type_share: float
    """Share of test words whose type occurs in training. The control labels of the others cannot be learnt:
    where the share is low, the control accuracy is low whatever the probe does."""
    converged: bool
    """Whether the probe converged on the task and on every control task."""

    def to_dict(self, prefix: str = "") -> dict[str, Any]:
        """Return plain JSON-ready values, keys with `prefix` in front."""
        out = {name: getattr(self, name) for name in self.__dataclass_fields__}
        out["control_accuracies"] = list(self.control_accuracies)
        return {prefix + key: value for key, value in out.items()}


def control_labels(
    types_train: Sequence[Hashable],
    y_train: ArrayLike,
    types_test: Sequence[Hashable],
    *,
    random_state: int = 0,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Draw one label for each word type from the training label frequencies.

    Which label a type gets depends on the seed and on the set of types, not on the order of the rows.

    Args:
        types_train: (n_train,) word type of each training example, e.g. the form in the case that the
            encoder sees (lower-cased for an uncased one).
        y_train: (n_train,) task labels.
        types_test: (n_test,) word types of the test examples.
        random_state: seed.

    Returns:
        Control labels of the training and of the test examples.

    Raises:
        ValueError: no training example, or types and labels of different length.
    """
    y = np.asarray(y_train)
    if len(types_train) != len(y) or len(y) == 0:
        raise ValueError(
            f"got {len(types_train)} word types and {len(y)} labels, expected the same number, at least one; "
            "pass the word form of every example"
        )
    types = sorted({str(t) for t in types_train} | {str(t) for t in types_test})
    names, counts = np.unique(y, return_counts=True)
    drawn = np.random.default_rng(random_state).choice(names, size=len(types), p=counts / counts.sum())
    label = dict(zip(types, drawn.tolist(), strict=True))
    train, test = (np.array([label[str(t)] for t in part], dtype=names.dtype) for part in (types_train, types_test))
    return train, test


def selectivity(
    X_train: ArrayLike,
    y_train: ArrayLike,
    types_train: Sequence[Hashable],
    X_test: ArrayLike,
    y_test: ArrayLike,
    types_test: Sequence[Hashable],
    *,
    probe: Callable[..., Any] = linear_probe,
    n_controls: int = 3,
    random_state: int = 0,
    **settings: Any,
) -> SelectivityResult:
    """Run `probe` on the task and on `n_controls` control tasks over the same vectors.

    Args:
        X_train: (n_train, n_features) finite.
        y_train: (n_train,) task labels.
        types_train: (n_train,) word types.
        X_test: (n_test, n_features).
        y_test: (n_test,) task labels.
        types_test: (n_test,) word types.
        probe: `linear_probe`, `mlp_probe`, `mlp_grid` or another function of the four arrays whose result
            has `accuracy` and `converged`.
        n_controls: control tasks, with seeds `random_state`, `random_state` + 1, ...; at least 1.
        random_state: seed of the first control task.
        **settings: passed to the probe, the same for task and controls.

    Raises:
        ValueError: n_controls below 1, lengths that differ, or as `probe` does.
    """
    if n_controls < 1:
        raise ValueError(f"got n_controls={n_controls}, expected at least 1")
    if len(types_test) != len(np.asarray(y_test)):
        raise ValueError(
            f"got {len(types_test)} test word types and {len(np.asarray(y_test))} test labels, expected the "
            "same number; pass the word form of every example"
        )
    draws = [control_labels(types_train, y_train, types_test, random_state=random_state + i) for i in range(n_controls)]
    task = probe(X_train, y_train, X_test, y_test, **settings)
    controls = [probe(X_train, train, X_test, test, **settings) for train, test in draws]
    accuracies = np.array([result.accuracy for result in controls])
    seen = {str(t) for t in types_train}
    return SelectivityResult(
        task_accuracy=task.accuracy,
        control_accuracy=float(accuracies.mean()),
        control_std=float(accuracies.std(ddof=1)) if n_controls > 1 else float("nan"),
        selectivity=float(task.accuracy - accuracies.mean()),
        control_accuracies=tuple(accuracies.tolist()),
        n_types=len(seen),
        seen_type_share=float(np.mean([str(t) in seen for t in types_test])),
        converged=all(result.converged for result in (task, *controls)),
    )
