"""Snapshots in a training loop of one's own: one call where a snapshot is wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from closerlook.data.given_texts import Given, by_split
from closerlook.models.snapshot_options import SnapshotOptions
from closerlook.models.snapshot_run import SnapshotRun
from closerlook.results.run_dir import RunDir

_N_KEPT = 4
_kept: dict[Path, tuple[Any, SnapshotRun]] = {}
"""The last directories written into, with what was given for them: texts are tokenised once."""


def snapshot(
    model: nn.Module,
    tokenizer: Any,
    texts: Given,
    labels: Given,
    path: str | Path,
    step: int,
    *,
    epoch: float | None = None,
    **options: Any,
) -> RunDir:
    """Store the hidden states of labelled texts in a model as it is now; ``probe.py run_dir=<path>`` reads them.

    ::

        for step, batch in enumerate(loader):
            if step % 50 == 0:
                closerlook.snapshot(model, tokenizer, texts, labels, "runs/mine", step)
            ...

    Nothing of the model is changed: training modes, gradients and random numbers are as before. In distributed
    training call it on one process only.

    Args:
        model: A ``transformers`` model, or any module with one in it (see :class:`SnapshotOptions`, ``encoder``).
        tokenizer: Its fast tokenizer.
        texts: Texts, pairs of texts (tuples) or lists of words; in one sequence, of which a fifth becomes the test
            split, or by split: ``{"train": [...], "test": [...]}``.
        labels: A label a text (a name or a number), or a list with one a word; split as ``texts``.
        path: The run's directory; the same for all steps.
        step: Updates of the optimizer so far; 0 = before training. Steps of one directory rise.
        epoch: The same in epochs; None = not known, and figures count updates.
        **options: What is stored: see :class:`SnapshotOptions`.

    Returns:
        The run's directory.

    Raises:
        DataError: Texts and labels do not go together.
        ModelError: The model's encoder is not clear, or the tokenizer is not the model's.
        RunError: The directory holds a snapshot of this step or a later one, and ``overwrite`` is not given.
        SnapshotError: A vector is not finite, or other examples are stored there.
    """
    chosen = SnapshotOptions(**options)
    given = (id(tokenizer), by_split(texts), by_split(labels), chosen)
    place = Path(path).resolve()
    before = _kept.pop(place, None)
    run = (
        before[1]
        if before and before[0] == given
        else SnapshotRun(path, tokenizer, texts, labels, chosen, "a loop of its own")
    )
    run.begin(step)
    run.store(model, step, epoch=epoch)
    _kept[place] = (given, run)
    while len(_kept) > _N_KEPT:
        del _kept[next(iter(_kept))]
    return run.run
