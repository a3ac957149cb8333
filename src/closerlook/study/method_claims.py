"""Claims about a way of tuning beside full tuning, where both are equally accurate; and the list of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from closerlook import measures as m
from closerlook.geometry.correlation import Method, correlate_rows, take_pairs
from closerlook.study.crossed import Units, jackknife_values
from closerlook.study.distance_claims import jackknifed
from closerlook.study.effects import Effect, not_measured, over_units
from closerlook.study.measured import Measured
from closerlook.study.method_across import forgetting, intruders, seeds_closer
from closerlook.study.method_pairs import (
    FULL,
    HEAD,
    LORA,
    LP_FT,
    Matched,
    Methods,
    distance_vectors,
    finding,
    match,
    mean_of,
    mean_similarity,
    stacked,
)
from closerlook.study.method_statements import AS_FAR, SOLVED_TO
from closerlook.study.verdicts import Finding, Verdict


def method_findings(methods: Sequence[Methods]) -> dict[str, tuple[Finding, ...]]:
    """The findings of every claim, by its key."""
    loras = [(one, name) for one in methods for name in one.own if name.startswith(LORA) and FULL in one.own]
    firsts = [(one, LP_FT) for one in methods if {LP_FT, FULL} <= one.own.keys()]
    return {
        "lora_apart": _beside_full(loras, _apart, AS_FAR),
        "lora_order": _beside_full(loras, _order, 0.0),
        "lora_forgets_less": tuple(found for one, name in loras for found in forgetting(one, name)),
        "intruders": tuple(filter(None, [intruders(methods)])),
        "lp_ft_drift": _beside_full(firsts, _drift, 0.0),
        "head_still": tuple(_still(one) for one in methods if HEAD in one.own),
        "seeds_closer": tuple(filter(None, map(seeds_closer, methods))),
    }


def _beside_full(
    pairs: Sequence[tuple[Methods, str]], test: Callable[[Matched, str], Measured], null: float
) -> tuple[Finding, ...]:
    """A claim about a method beside full tuning, where both are equally accurate."""
    found = []
    for one, name in pairs:
        matched = match({FULL: one.own[FULL], name: one.own[name]})
        measured = Measured(not_measured(matched.reason)) if matched.reason else test(matched, name)
        accuracy = f"at accuracy {mean_of(list(matched.accuracy.values())):.3f}" if not matched.reason else ""
        measured = replace(measured, note="; ".join(filter(None, (accuracy, measured.note))))
        found.append(finding(one, f"{name} beside full", measured, null=null))
    return tuple(found)


def _apart(matched: Matched, name: str) -> Measured:
    """How far labels were pushed apart by a method, for how far full tuning pushed them."""
    grown = {
        method: pd.DataFrame({s: _change(matched, method, s, m.MIN_DISTANCE) for s in matched.seeds})
        for method in (FULL, name)
    }
    labels = sorted(set.intersection(*(set(frame.dropna().index) for frame in grown.values())))
    full, other = (grown[method].loc[labels].to_numpy(dtype=float).T for method in (FULL, name))
    if not labels or (full.mean(axis=1) <= 0).any():
        return Measured(not_measured("full tuning did not push labels apart, so there is nothing to compare with"))

    def ratios(i: int) -> Callable[[np.ndarray], np.ndarray]:
        return lambda orders: other[i][orders].mean(axis=1) / full[i][orders].mean(axis=1)

    whole = (other.mean(axis=1) / full.mean(axis=1)).tolist()
    pseudo = np.array([jackknife_values(ratios(i), len(labels)) for i in range(len(whole))])
    effect = over_units([Units(pseudo)], float(np.mean(whole)), whole, f"{len(labels)} labels")
    width = {method: _width_growth(matched, method) for method in (FULL, name)}
    beyond = effect.value * width[FULL] / width[name]
    note = f"labels' own width x{width[FULL]:.3g} by full tuning, x{width[name]:.3g} by {name}"
    doubt = f"for the labels' own width {beyond:.2f} times as far" if beyond < AS_FAR else ""
    return Measured(effect, float(full.mean()), float(other.mean()), note=note, doubt=doubt)


def _change(matched: Matched, method: str, seed: int, measure: str) -> pd.Series:
    return matched.labels(method, seed, measure) - matched.first(method, seed, measure)


def _width_growth(matched: Matched, method: str) -> float:
    """Growth of the mean distance between two examples of one label."""
    return mean_of(
        [
            float(matched.labels(method, s, m.INSIDE_MEAN).mean() / matched.first(method, s, m.INSIDE_MEAN).mean())
            for s in matched.seeds
        ]
    )


def _order(matched: Matched, name: str) -> Measured:
    """Similarity to the space before tuning, of a method less that of full tuning."""

    def order(kind: Method) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        def gained(distances: np.ndarray, orders: np.ndarray) -> np.ndarray:
            first, full, other = (take_pairs(matrix, orders) for matrix in distances)
            return np.asarray(correlate_rows(first, other, kind) - correlate_rows(first, full, kind))

        return gained

    found = stacked(
        [
            [matched.first(FULL, seed, m.LABEL_DISTANCE), *distance_vectors(matched, seed, FULL),
             *distance_vectors(matched, seed, name)]
            for seed in matched.seeds
        ]
    )  # fmt: skip
    if found is None:
        return Measured(not_measured("label distances of the last layer are not measured"))
    effect = jackknifed(found, order("pearson"), fisher=False)
    ranks = jackknifed(found, order("spearman"), fisher=False)
    doubt = "by rank correlation it keeps less" if ranks.known and ranks.value < 0 else ""
    before, after = (mean_similarity(found, 0, i) for i in (1, 2))
    note = f"rank correlation {ranks.value:+.2f}" if ranks.known else ""
    return Measured(effect, before, after, note=note, doubt=doubt)


def _drift(matched: Matched, name: str) -> Measured:
    """Train-test similarity of a method less that of full tuning."""

    def gained(distances: np.ndarray, orders: np.ndarray) -> np.ndarray:
        full_train, full_test, train, test = (take_pairs(matrix, orders) for matrix in distances)
        return np.asarray(correlate_rows(train, test) - correlate_rows(full_train, full_test))

    both = ("train", "test")
    found = stacked(
        [
            [vector for method in (FULL, name) for vector in distance_vectors(matched, seed, method, both)]
            for seed in matched.seeds
        ]
    )
    if found is None:
        return Measured(not_measured("label distances of train and test are not measured"))
    before, after = (mean_similarity(found, i, i + 1) for i in (0, 2))
    return Measured(jackknifed(found, gained, fisher=False), before, after)


def _still(one: Methods) -> Finding:
    """How many numbers of a frozen encoder's spaces differ from those of before tuning."""
    compared, changed = 0, 0
    for table in one.own[HEAD].probed.values():
        rows = table[table["measure"].map(lambda name: name in m.MEASURES and m.MEASURES[name].scope != "change")]
        wide = rows.pivot_table(
            index=["probe", "measure", "layer", "split", "label", "other"], columns="step", values="value",
            aggfunc="last", dropna=True,
        )  # fmt: skip
        if 0 not in wide:
            continue
        later = wide.drop(columns=0)
        compared += int(later.notna().sum().sum())
        moved = later.sub(wide[0], axis=0).abs().gt(SOLVED_TO * wide[0].abs(), axis=0) & later.notna()
        changed += int(moved.sum().sum())
    if not compared:
        return finding(one, HEAD, Measured(not_measured("no snapshot after the first one is probed yet")))
    verdict = Verdict.NOT_SUPPORTED if changed else Verdict.SUPPORTED
    effect = Effect(float(changed), basis="no chance in it")
    return finding(one, HEAD, Measured(effect, note=f"{changed} of {compared:,} numbers differ", verdict=verdict))
