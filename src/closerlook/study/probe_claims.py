"""Tests of claims about probes: accuracy, linearity, memorisation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from closerlook import measures as m
from closerlook.geometry.confidence import Interval, newcombe_interval
from closerlook.study.conditions import BeforeAfter, Condition, by_seed, means
from closerlook.study.crossed import Units, paired_examples
from closerlook.study.effects import Effect, over_runs, over_units
from closerlook.study.measured import Measured, change_over_runs, paired_hits
from closerlook.study.verdicts import Verdict

_NEARLY = 0.9
_PER_CONTRADICTION = 2
"""Clusters that a group of identical vectors with different labels may cost: each copy can stand alone."""


def accuracy_rises(condition: Condition) -> Measured | None:
    """Accuracy after less before tuning."""
    if not condition.own:
        return None
    found = by_seed(condition, m.ACCURACY, split="test", probe=condition.classifier)
    before, after = means(list(found.values()))
    printed = condition.in_paper
    return Measured(
        effect=_accuracy_effect(condition, found),
        before=before,
        after=after,
        note=f"{condition.classifier} probe" if condition.classifier else "",
        paper=f"{printed.before.accuracy:.4f} → {printed.after.accuracy:.4f}" if printed else "",
        paper_effect=printed.after.accuracy - printed.before.accuracy if printed else math.nan,
    )


def _accuracy_effect(condition: Condition, found: Mapping[int, BeforeAfter]) -> Effect:
    """Paired example by example where the hits are stored; else as if the two test sets were different ones."""
    changes = {seed: one.change for seed, one in found.items()}
    paired = paired_hits(condition, m.TEST_HITS, condition.classifier) if condition.classifier else None
    if paired is not None:
        per_seed = [change for change in changes.values() if math.isfinite(change)]
        what = f"{paired.shape[1]} test examples, paired"
        return over_units([paired_examples(paired)], float(paired.mean()), per_seed, what)
    n = int(max((one.after.n for one in found.values() if math.isfinite(one.change)), default=0))
    return over_runs(changes, {s: _unpaired(one) for s, one in found.items()}, f"{n} test examples, not paired")


def _unpaired(found: BeforeAfter) -> Interval:
    """Newcombe's interval: too wide for the same examples before and after, but all that counts alone allow."""
    n = found.after.n
    if not (n > 0 and math.isfinite(found.change)):
        return Interval(math.nan, math.nan)
    return newcombe_interval(round(found.after.value * n), int(n), round(found.before.value * n), int(n))


def memorises(condition: Condition) -> Measured | None:
    """Accuracy on seen less on unseen examples, after less before tuning."""
    if not condition.own:
        return None
    found = change_over_runs(condition, m.MEMORISATION_GAP, "memorisation", "the two sets of examples, not paired")
    seen, unseen = (paired_hits(condition, name, "memorisation") for name in (m.SUBTEST_HITS, m.UNSEEN_HITS))
    if seen is None or unseen is None:
        return found
    what = f"({seen.shape[1]} seen + {unseen.shape[1]} unseen examples), paired"
    parts = [paired_examples(seen), _taken_away(paired_examples(unseen))]
    per_seed = (seen.mean(axis=1) - unseen.mean(axis=1)).tolist()
    effect = over_units(parts, float(np.mean(per_seed)), per_seed, what)
    return Measured(effect, found.before, found.after)


def _taken_away(part: Units) -> Units:
    return Units(-part.values, part.groups)


def becomes_linear(condition: Condition) -> Measured | None:
    """Clusters beyond one per label, and beyond what contradictions cost."""
    if not condition.own:
        return None
    clusters, labels, groups = (
        by_seed(condition, name, split="train") for name in (m.N_CLUSTERS, m.N_LABELS, m.N_CONTRADICTIONS)
    )
    known = [seed for seed, one in clusters.items() if math.isfinite(one.after.value - labels[seed].after.value)]
    excess = {seed: clusters[seed].after.value - labels[seed].after.value for seed in known}
    at_first = [clusters[seed].before.value - labels[seed].before.value for seed in known]
    contradictions = [float(np.nan_to_num(groups[seed].after.value)) for seed in known]
    before, after = means(list(clusters.values()))
    verdict, note = _linear_verdict(list(excess.values()), at_first, contradictions)
    printed = condition.in_paper
    told = f"{printed.before.clusters:,} → {printed.after.clusters:,}" if printed else ""
    return Measured(over_runs(excess, {}, ""), before, after, note=note, verdict=verdict, paper=told)


def _linear_verdict(
    excess: Sequence[float], at_first: Sequence[float], contradictions: Sequence[float]
) -> tuple[Verdict | None, str]:
    if not excess:
        return None, ""
    if all(one <= _PER_CONTRADICTION * groups for one, groups in zip(excess, contradictions, strict=True)):
        return Verdict.SUPPORTED, _linear_note(excess, at_first, int(max(contradictions)))
    left = f"{max(excess):,.0f} clusters beyond one per label are left"
    gone = (1 - one / first if first > 0 else -math.inf for one, first in zip(excess, at_first, strict=True))
    return (Verdict.MIXED, f"nearly: {left}") if min(gone) >= _NEARLY else (Verdict.NOT_SUPPORTED, left)


def _linear_note(excess: Sequence[float], at_first: Sequence[float], contradictions: int) -> str:
    if any(excess):
        return f"linear apart from {contradictions} contradiction{'s' if contradictions != 1 else ''}"
    return "linear" if any(at_first) else "linear, as it was before tuning"
