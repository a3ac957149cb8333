"""The claims of the paper, each tested on every condition of a study."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from closerlook.study.conditions import Condition
from closerlook.study.distance_claims import (
    apart_beyond_scatter,
    distances_grow,
    keeps_order,
    related_grows,
    unrelated_shrinks,
    upper_layers_move_more,
)
from closerlook.study.probe_claims import (
    accuracy_rises,
    becomes_linear,
    exception_diverges,
    memorises,
    train_test_falls,
    train_test_falls_matched,
)
from closerlook.study.verdicts import SIGN_RULE, Claim, Finding, Verdict, overall

Test = Callable[[Condition], Finding | None]


def claims_of(conditions: Sequence[Condition]) -> tuple[Claim, ...]:
    """Test every claim on the conditions of a study.

    Args:
        conditions: See :func:`closerlook.study.conditions.conditions_of`.

    Returns:
        The claims in the order of the paper's findings. A claim that no condition can test says what to run.
    """
    found = [
        _claim(conditions, *parts)
        for parts in (
            (
                "accuracy",
                "Tuning raises the accuracy of a probe trained from scratch.",
                "accuracy after less before, last layer, test (share)",
                SIGN_RULE.format(null=0),
                "It rises in 24 of 25 conditions; BERT-small on PS-fxn falls by 1.2 points.",
                accuracy_rises,
                "probe the runs with probe=linear, mlp or mlp_grid",
            ),
            (
                "linear",
                "After tuning the space is linear: one cluster per label, apart from contradictions.",
                "clusters beyond one per label after tuning, last layer, train (clusters)",
                "A condition supports the claim when no cluster is left beyond one per label and two per group of identical "
                "vectors with different labels; it is mixed when nine tenths of them went, else it speaks against it.",
                "Of 25 tuned spaces 19 have one cluster per label; TREC-50 has 51 or 52 for 50, tiny on POS 20 for 17.",
                becomes_linear,
                "probe the runs with probe=direct",
            ),
            (
                "apart",
                "Tuning pushes labels apart: the minimum distances of the labels grow for the tuned task.",
                "mean over labels of the change of the minimum distance, last layer, train (distance)",
                SIGN_RULE.format(null=0),
                "BERT-base on PS-fxn: up for 40 labels of 40, on average by 5.29.",
                distances_grow,
                "probe the runs with probe=direct",
            ),
            (
                "apart_beyond_scatter",
                "Labels are pushed apart by more than they grow themselves (a control that the paper does not have).",
                "growth of label distances over growth of the scatter within labels, last layer, train (ratio)",
                SIGN_RULE.format(null=1),
                "Not reported.",
                apart_beyond_scatter,
                "probe the runs with probe=geometry",
            ),
            (
                "related",
                "Tuning on a related task pushes labels apart too.",
                "mean over labels of the change of the minimum distance (distance)",
                SIGN_RULE.format(null=0),
                "BERT-base tuned on PS-role, probed on PS-fxn: 27 labels up, 13 down, mean +1.02.",
                related_grows,
                "tune on ps_role and on ps_fxn, then python probe.py runs=... study=e5",
            ),
            (
                "unrelated",
                "Tuning on an unrelated task pulls labels together.",
                "mean over labels of the change of the minimum distance (distance)",
                SIGN_RULE.format(null=0),
                "BERT-base tuned on POS, probed on PS-fxn: 0 labels up, 40 down, mean -1.68.",
                unrelated_shrinks,
                "tune on pos and on ps_fxn, then python probe.py runs=... study=e5",
            ),
            (
                "train_test",
                "Train and test geometry diverge: their similarity falls.",
                "train-test similarity after less before, last layer (Pearson r)",
                SIGN_RULE.format(null=0),
                "It falls in all 16 conditions where both are printed; BERT-base on POS .97 to .70.",
                train_test_falls,
                "probe the runs with probe=direct on train and test",
            ),
            (
                "train_test_matched",
                "Train and test geometry diverge also at equal sizes (a control that the paper does not have).",
                "size-matched train-test similarity after less before, last layer (Pearson r)",
                SIGN_RULE.format(null=0) + " A fall counts as mixed when two halves of the train set are no more alike "
                "after tuning than train and test.",
                "Not reported.",
                train_test_falls_matched,
                "probe the runs with probe=train_test",
            ),
            (
                "exception",
                "Accuracy gains are smaller where train and test diverge more.",
                "rank correlation, over conditions, of accuracy change and train-test similarity after tuning",
                SIGN_RULE.format(null=0),
                "The one condition that loses accuracy, BERT-small on PS-fxn, has the lowest similarity of its row: .44.",
                None,
                "",
            ),
            (
                "upper_layers",
                "Upper layers move more than lower ones.",
                "displacement of centroids, upper less lower half of the blocks, over the mean norm (ratio)",
                SIGN_RULE.format(null=0),
                "BERT-base on POS: about 3 at layer 1, 16 to 25 at layer 11, in the unit of the space (a figure).",
                upper_layers_move_more,
                "probe the runs with probe=centroids at all layers",
            ),
            (
                "order_kept",
                "Labels keep their relative positions: the rank order of label distances is largely kept.",
                "rank correlation of label distances before and after, last layer, train (Spearman r)",
                "A condition supports the claim when the interval lies above 0.5, speaks against it when it lies below, and "
                "is undecided otherwise.",
                "BERT-base, Pearson r, layer 12: .52 (DEP) to .69 (PS-role), read off a figure.",
                keeps_order,
                "probe the runs with probe=direct",
            ),
            (
                "memorisation",
                "Tuning memorises: a probe does better on examples that only the encoder saw than on the test set.",
                "accuracy on seen less on unseen examples, after less before tuning, last layer (share)",
                SIGN_RULE.format(null=0),
                "Before tuning the two agree; after, seen ones are near 1.0 and test stays at .73 to .95 (a figure).",
                memorises,
                "probe the runs with probe=memorisation",
            ),
        )
    ]
    return tuple(found)


def _claim(
    conditions: Sequence[Condition],
    key: str,
    statement: str,
    effect: str,
    rule: str,
    paper: str,
    test: Test | None,
    advice: str,
) -> Claim:
    tested = [test(condition) for condition in conditions] if test is not None else [exception_diverges(conditions)]
    kept = tuple(condition for condition in tested if condition is not None)
    verdict, reason = overall(kept, advice)
    return Claim(key, statement, effect, rule, paper, kept, verdict, reason)


def headline(claims: Sequence[Claim]) -> str:
    """One sentence: how many claims hold here."""
    counts = {verdict: sum(claim.verdict == verdict for claim in claims) for verdict in Verdict}
    parts = [f"{n} {verdict}" for verdict, n in counts.items() if n]
    return f"{len(claims)} claims: {', '.join(parts)}."
