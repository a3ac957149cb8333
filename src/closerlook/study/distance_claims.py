"""Tests of claims about where labels are: how far apart, which layers move, what order is kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from closerlook import measures as m
from closerlook.geometry.confidence import shared_minimum_groups
from closerlook.geometry.correlation import correlate_rows, take_pairs
from closerlook.results.tables import layers_of
from closerlook.study import paper
from closerlook.study.conditions import Condition, by_seed, distances, label_values, matrices, means
from closerlook.study.crossed import Units, jackknife_values
from closerlook.study.effects import Effect, not_measured, over_labels, over_runs, over_units
from closerlook.study.measured import Measured, change_over_runs

PairStatistic = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Takes (n_matrices, n_labels, n_labels) distances and (n_orders, k) labels, returns (n_orders,) numbers."""

_MIN_LABELS = 5
"""Below this many labels, leaving one out leaves too few pairs for a correlation."""


def distances_grow(condition: Condition) -> Measured | None:
    """Change of the minimum distances for the tuned task."""
    return _minimum_distances(condition) if condition.own else None


def related_grows(condition: Condition) -> Measured | None:
    """Change of the minimum distances after tuning on a related task."""
    return _minimum_distances(condition) if _relation(condition) is True else None


def unrelated_shrinks(condition: Condition) -> Measured | None:
    """Change of the minimum distances after tuning on an unrelated task."""
    return _minimum_distances(condition) if _relation(condition) is False else None


def _relation(condition: Condition) -> bool | None:
    return None if condition.own else paper.RELATED.get(frozenset({condition.task, condition.tuned_on}))


def _minimum_distances(condition: Condition) -> Measured:
    values = {s: label_values(t, m.MIN_DISTANCE, layer=condition.layer) for s, t in condition.probed.items()}
    changes = pd.DataFrame({seed: table["after"] - table["before"] for seed, table in values.items()})
    effect = over_labels(changes.to_numpy(dtype=float).T, groups=_groups(condition, list(changes.index)))
    if not effect.known:
        return Measured(effect)
    per_label = changes.mean(axis=1)
    before, after = (float(np.mean([table[k].mean() for table in values.values()])) for k in ("before", "after"))
    printed = _printed_change(condition)
    return Measured(
        effect,
        before,
        after,
        note=f"up for {int((per_label > 0).sum())}, down for {int((per_label < 0).sum())} labels",
        paper=f"{printed.n_up} up, {printed.n_down} down, {printed.mean_change:+.2f}" if printed else "",
        paper_effect=printed.mean_change if printed else math.nan,
    )


def _groups(condition: Condition, labels: list[str]) -> np.ndarray | None:
    """Labels that are each other's nearest, before or after, on the mean over seeds: they share a number.

    In any seed would chain nearly all labels together. None where the distances are not stored.
    """
    vectors = [v for t in condition.probed.values() for v in distances(t, layer=condition.layer, split="train")]
    if not labels or not all(len(vector) for vector in vectors):
        return None
    known, found = matrices(vectors)
    moments = found.reshape(-1, 2, *found.shape[1:]).mean(axis=0)
    return shared_minimum_groups(*moments) if known == labels else None


def _printed_change(condition: Condition) -> paper.PrintedCross | None:
    """The paper's row of the cross-task table, where model and data are its own."""
    if condition.in_paper is None or (condition.info.model, condition.task) != (paper.E5_MODEL, paper.E5_TASK):
        return None
    return paper.E5.get(condition.tuned_on)


def apart_beyond_scatter(condition: Condition) -> Measured | None:
    """Growth of the distances between label hulls over growth of the scatter within labels."""
    if not condition.own:
        return None
    found = by_seed(condition, m.GROWTH_OVER_SCATTER, split="train")
    ratios = {seed: one.after.value for seed, one in found.items()}
    within = {seed: one.after.interval for seed, one in found.items()}
    effect = over_runs(ratios, within, "labels (hull distances)")
    plain = [one.after.value for one in by_seed(condition, m.DISTANCE_GROWTH, split="train").values()]
    sizes = means(list(by_seed(condition, m.RMS_RADIUS, split="train").values()))
    if not (effect.known and np.isfinite(plain).all() and sizes[0] > 0):
        return Measured(effect)
    grown, space = float(np.mean(plain)), sizes[1] / sizes[0]
    doubt = "" if grown > space else "label distances grew no more than the whole space did"
    return Measured(effect, note=f"label distances x{grown:.3g}, the whole space x{space:.3g}", doubt=doubt)


def upper_layers_move_more(condition: Condition) -> Measured | None:
    """Displacement of each label's centroid, upper less lower half of the blocks, over each layer's mean norm."""
    if not condition.own:
        return None
    halves = {seed: _halves(condition, seed) for seed in condition.probed}
    changes = pd.DataFrame({seed: half["upper"] - half["lower"] for seed, half in halves.items()})
    effect = over_labels(changes.to_numpy(dtype=float).T)
    if not effect.known:
        return Measured(effect)
    lower, upper = (float(np.mean([half[k].mean() for half in halves.values()])) for k in ("lower", "upper"))
    return Measured(effect, lower, upper)


def _halves(condition: Condition, seed: int) -> pd.DataFrame:
    """Mean relative displacement of each label in the lower and the upper half of the blocks; NaN if one is missing."""
    table, columns = condition.probed[seed], {}
    for layer in layers_of(table, m.CENTROID_DISPLACEMENT, "train"):
        moved, relative = (
            by_seed(condition, name, split="train", layer=layer)[seed].after.value
            for name in (m.MEAN_DISPLACEMENT, m.RELATIVE_DISPLACEMENT)
        )
        if layer >= 1 and moved > 0 and math.isfinite(relative):
            columns[layer] = label_values(table, m.CENTROID_DISPLACEMENT, layer=layer)["after"] * (relative / moved)
    frame = pd.DataFrame(columns)
    upper = np.array(list(columns), dtype=int) > condition.layer // 2
    return pd.DataFrame({"lower": frame.loc[:, ~upper].mean(axis=1), "upper": frame.loc[:, upper].mean(axis=1)})


def keeps_order(condition: Condition) -> Measured | None:
    """Rank correlation of label distances before and after tuning."""
    if not condition.own:
        return None

    def order(found: np.ndarray, orders: np.ndarray) -> np.ndarray:
        before, after = (take_pairs(matrix, orders) for matrix in found)
        return correlate_rows(before, after, "spearman")

    return Measured(_over_label_pairs(condition, ("train",), order, fisher=True))


def train_test_falls(condition: Condition) -> Measured | None:
    """Train-test similarity after less before."""
    if not condition.own:
        return None

    def fall(found: np.ndarray, orders: np.ndarray) -> np.ndarray:
        train_before, train_after, test_before, test_after = (take_pairs(matrix, orders) for matrix in found)
        return correlate_rows(train_after, test_after) - correlate_rows(train_before, test_before)

    found = by_seed(condition, m.TRAIN_TEST_SIMILARITY, split="train-test")
    effect = _over_label_pairs(condition, ("train", "test"), fall)
    if not effect.known:
        effect = over_runs({seed: one.change for seed, one in found.items()}, {}, "")
    printed = condition.in_paper
    told, change = _printed_fall(printed) if printed else ("", math.nan)
    return Measured(effect, *means(list(found.values())), paper=told, paper_effect=change)


def _printed_fall(printed: paper.PrintedRow) -> tuple[str, float]:
    """The paper's similarity before and after in words, and its change."""
    before, after = printed.before.similarity, printed.after.similarity
    if after is None:
        return "", math.nan
    return (f"- → {after:.2f}", math.nan) if before is None else (f"{before:.2f} → {after:.2f}", after - before)


def _over_label_pairs(
    condition: Condition, splits: Sequence[str], statistic: PairStatistic, *, fisher: bool = False
) -> Effect:
    """A statistic of label distances before and after, with the chance of seeds and of the labels that they share.

    Args:
        condition: The condition.
        splits: Splits whose distances are needed.
        statistic: Its matrices are those before and after of the first split, then of the next.
        fisher: The statistic is one correlation: its interval is made on Fisher's z, and so stays within -1 and 1.
    """
    vectors = {
        seed: [v for split in splits for v in distances(table, layer=condition.layer, split=split)]
        for seed, table in condition.probed.items()
    }
    complete = {seed: found for seed, found in vectors.items() if all(len(vector) for vector in found)}
    if not complete:
        return not_measured("label distances of the last layer are not measured")
    _, found = matrices([vector for one in complete.values() for vector in one])
    used = np.isfinite(found).any(axis=2).all(axis=0)
    found = found[:, used][:, :, used]
    return jackknifed(found.reshape(len(complete), -1, *found.shape[1:]), statistic, fisher=fisher)


def jackknifed(found: np.ndarray, statistic: PairStatistic, *, fisher: bool) -> Effect:
    """The effect from (n_seeds, n_matrices, n_labels, n_labels) distances, with pseudo-values as units."""
    n_labels = found.shape[-1]
    whole = [float(statistic(one, np.arange(n_labels)[None])[0]) for one in found]
    if not np.isfinite(whole).all():
        return not_measured("too few pairs of labels have a distance on both sides")
    scaled = _on_fisher_z(statistic, n_labels) if fisher else statistic
    pseudo = np.array([jackknife_values(partial(scaled, one), n_labels) for one in found])
    pseudo = pseudo[:, np.isfinite(pseudo).all(axis=0)]
    value = float(np.mean(whole))
    if pseudo.shape[1] < _MIN_LABELS:
        basis = f"no interval: {n_labels} labels, it needs {_MIN_LABELS}"
        return Effect(value, basis=basis, per_seed=tuple(whole))
    effect = over_units([Units(pseudo)], value, whole, f"{n_labels} labels")
    if not fisher:
        return effect
    return replace(effect, low=min(math.tanh(effect.low), value), high=max(math.tanh(effect.high), value))


def _on_fisher_z(statistic: PairStatistic, n_labels: int) -> PairStatistic:
    """A rank correlation on the scale where its error does not depend on it.

    A perfect one would be infinite there: it counts as half an exchange of two ranks away from perfect, with as many
    pairs as are left when a label is left out.
    """
    n = (n_labels - 1) * (n_labels - 2) // 2
    bound = 1 - 6 / (n**3 - n)

    def scaled(found: np.ndarray, orders: np.ndarray) -> np.ndarray:
        return np.arctanh(np.clip(statistic(found, orders), -bound, bound))

    return scaled


def train_test_falls_matched(condition: Condition) -> Measured | None:
    """Size-matched train-test similarity, after less before; a fall that two halves of the train set share is none."""
    if not condition.own:
        return None
    found = change_over_runs(condition, m.MATCHED_SIMILARITY, "train_test", "draws of equal size")
    ceiling = means(list(by_seed(condition, m.SPLIT_HALF_CEILING, split="train-test").values()))
    gap = means(list(by_seed(condition, m.TRAIN_TEST_GAP, split="train-test").values()))[1]
    if not np.isfinite([*ceiling, gap]).all():
        return found
    note = f"two halves of the train set: {ceiling[0]:.2f} → {ceiling[1]:.2f}"
    doubt = "falls, but train and test are no less alike than two halves of the train set" if gap <= 0 else ""
    return Measured(found.effect, found.before, found.after, note=note, doubt=doubt)
