"""Control tasks and selectivity: does a probe read the encoder, or memorise word types?

Source: Hewitt & Liang 2019 (1909.03368). Every word type gets one random label, drawn from the label
frequencies of the task; a probe that scores high on it has learnt words by heart. Selectivity is the task
accuracy less the control accuracy. For word-level tasks only: sentences and pairs have no recurring type.
It compares encoders and probes on one task, not tasks: with few types (the preposition tasks have about 100)
any probe learns the control labels, and selectivity falls below zero however good the encoder is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from closerlook.probing.classifier_probe import LinearSettings, linear_probe


class TypedExamples(NamedTuple):
    """Labelled vectors of words.

    Attributes:
        X: (n, n_features) finite.
        y: (n,) task labels.
        types: (n,) word type of each example, e.g. the form in the case that the encoder sees.
    """

    X: ArrayLike
    y: ArrayLike
    types: Sequence[str]


@dataclass(frozen=True)
class SelectivityResult:
    """Accuracy of the linear probe on the task and on control tasks over the same vectors."""

    task_accuracy: float
    """Test accuracy on the task, in [0, 1]."""
    control_accuracies: tuple[float, ...]
    """Test accuracy of each control task."""
    seen_type_share: float
    """Share of test words whose type occurs in training. The control labels of the others cannot be learnt:
    where the share is low, the control accuracy is low whatever the probe does."""

    @property
    def control_accuracy(self) -> float:
        """Mean test accuracy over the control tasks, in [0, 1]."""
        return float(np.mean(self.control_accuracies))

    @property
    def selectivity(self) -> float:
        """Task accuracy less control accuracy, in [-1, 1]; near the task accuracy less chance is good."""
        return self.task_accuracy - self.control_accuracy


def control_labels(train: TypedExamples, test: TypedExamples, random_state: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Draw one label for each word type from the training label frequencies.

    Which label a type gets depends on the seed and on the set of types, not on the order of the rows.

    Returns:
        Control labels of the training and of the test examples.

    Raises:
        ValueError: no training example, or types and labels of different length.
    """
    y = np.asarray(train.y)
    if len(train.types) != len(y) or len(y) == 0:
        raise ValueError(
            f"got {len(train.types)} word types and {len(y)} labels, expected the same number, at least one; "
            "pass the word form of every example"
        )
    types = sorted({*train.types, *test.types})
    names, counts = np.unique(y, return_counts=True)
    drawn = np.random.default_rng(random_state).choice(names, size=len(types), p=counts / counts.sum())
    label = dict(zip(types, drawn.tolist(), strict=True))
    first, second = (np.array([label[t] for t in part.types], dtype=names.dtype) for part in (train, test))
    return first, second


def selectivity(
    train: TypedExamples,
    test: TypedExamples,
    *,
    n_controls: int = 3,
    random_state: int = 0,
    settings: LinearSettings | None = None,
) -> SelectivityResult:
    """Run the linear probe on the task and on `n_controls` control tasks over the same vectors.

    Where the L2 weight is chosen by cross-validation, it is chosen for each task anew: the control task gets
    the best probe that it can have, too.

    Args:
        train: Training examples.
        test: Test examples.
        n_controls: control tasks, with seeds `random_state`, `random_state` + 1, ...; at least 1.
        random_state: seed of the first control task.
        settings: of the linear probe, the same for task and controls.

    Raises:
        ValueError: n_controls below 1, lengths that differ, or as `linear_probe` does.
    """
    if n_controls < 1:
        raise ValueError(f"got n_controls={n_controls}, expected at least 1")
    if len(test.types) != len(np.asarray(test.y)):
        raise ValueError(
            f"got {len(test.types)} test word types and {len(np.asarray(test.y))} test labels, expected the "
            "same number; pass the word form of every example"
        )
    draws = [control_labels(train, test, random_state + i) for i in range(n_controls)]
    controls = [linear_probe(train.X, first, test.X, second, settings) for first, second in draws]
    seen = set(train.types)
    return SelectivityResult(
        task_accuracy=linear_probe(train.X, train.y, test.X, test.y, settings).accuracy,
        control_accuracies=tuple(found.accuracy for found in controls),
        seen_type_share=float(np.mean([t in seen for t in test.types])),
    )
