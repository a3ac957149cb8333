"""What the paper claims, how each claim is measured here, and what the paper reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from closerlook.study.conditions import Condition
from closerlook.study.distance_claims import (
    apart_beyond_scatter,
    distances_grow,
    keeps_order,
    related_grows,
    train_test_falls,
    train_test_falls_matched,
    unrelated_shrinks,
    upper_layers_move_more,
)
from closerlook.study.measured import Measured
from closerlook.study.probe_claims import accuracy_rises, becomes_linear, memorises

Test = Callable[[Condition], Measured | None]
"""Measures the effect of a claim in a condition; None where the claim is not about it."""


@dataclass(frozen=True)
class Statement:
    """A claim, before it is tested.

    Attributes:
        key: A short name, stable.
        text: The claim.
        effect: What is measured, with its unit.
        paper: What the paper reports.
        test: Measures the effect in a condition; None for the claim that compares conditions.
        advice: What to run when nothing could be tested.
        null: The value that means no effect.
        claimed: +1 when the claim is an effect above ``null``, -1 when below.
        counts: What is measured is a count without chance, judged by the rule in ``more``.
        more: What else belongs to the rule.
    """

    key: str
    text: str
    effect: str
    paper: str
    test: Test | None
    advice: str
    null: float = 0.0
    claimed: int = 1
    counts: bool = False
    more: str = ""

    @property
    def rule(self) -> str:
        """How verdicts are reached, in words."""
        side = "above" if self.claimed > 0 else "below"
        by_interval = (
            f"A condition supports the claim when its 95 % interval lies wholly {side} {self.null:g}, speaks against "
            "it when it lies wholly on the other side, and is undecided otherwise. Over conditions decides the "
            "random-effects mean, or that all of them agree, at 5 % after Holm's correction for the number of claims."
        )
        return self.more if self.counts else f"{by_interval} {self.more}".rstrip()

    def on_claimed_side(self, value: float) -> bool:
        """Whether a value lies where the claim says."""
        return self.claimed * (value - self.null) > 0


STATEMENTS = (
    Statement(
        key="accuracy",
        text="Tuning raises the accuracy of a probe trained from scratch.",
        effect="accuracy after less before, last layer, test (share)",
        paper="It rises in 24 of 25 conditions; BERT-small on PS-fxn falls by 1.2 points.",
        test=accuracy_rises,
        advice="probe the runs with probe=linear, mlp or mlp_grid",
    ),
    Statement(
        key="linear",
        text="After tuning the space is linear: one cluster per label, apart from contradictions.",
        effect="clusters beyond one per label after tuning, last layer, train (clusters)",
        paper="Of 25 tuned spaces 19 have one cluster per label; TREC-50 has 51 or 52 for 50, tiny on POS 20 for 17.",
        test=becomes_linear,
        advice="probe the runs with probe=direct",
        counts=True,
        more="A condition supports the claim when no cluster is left beyond one per label and two per group of "
        "identical vectors with different labels; it is mixed when nine tenths of them went, else it speaks against "
        "it. Over conditions decides what all of them say, or a share of them whose Wilson interval is above one half.",
    ),
    Statement(
        key="apart",
        text="Tuning pushes labels apart: the minimum distances of the labels grow for the tuned task.",
        effect="mean over labels of the change of the minimum distance, last layer, train (distance)",
        paper="BERT-base on PS-fxn: up for 40 labels of 40, on average by 5.29.",
        test=distances_grow,
        advice="probe the runs with probe=direct",
    ),
    Statement(
        key="apart_beyond_scatter",
        text="Labels are pushed apart by more than they grow themselves (a control that the paper does not have).",
        effect="growth of the distances between label hulls (median over pairs) over that of the scatter within "
        "labels, last layer, train (ratio)",
        paper="Not reported.",
        test=apart_beyond_scatter,
        advice="probe the runs with probe=[direct,geometry]",
        null=1.0,
        more="It counts as mixed where label distances grew no more than the whole space (its rms radius).",
    ),
    Statement(
        key="related",
        text="Tuning on a related task pushes labels apart too.",
        effect="mean over labels of the change of the minimum distance (distance)",
        paper="BERT-base tuned on PS-role, probed on PS-fxn: 27 labels up, 13 down, mean +1.02.",
        test=related_grows,
        advice="tune on ps_role and on ps_fxn, then python probe.py runs=... study=e5",
    ),
    Statement(
        key="unrelated",
        text="Tuning on an unrelated task pulls labels together.",
        effect="mean over labels of the change of the minimum distance (distance)",
        paper="BERT-base tuned on POS, probed on PS-fxn: 0 labels up, 40 down, mean -1.68.",
        test=unrelated_shrinks,
        advice="tune on pos and on ps_fxn, then python probe.py runs=... study=e5",
        claimed=-1,
    ),
    Statement(
        key="train_test",
        text="Train and test geometry diverge: their similarity falls.",
        effect="train-test similarity after less before, last layer (Pearson r)",
        paper="It falls in all 16 conditions where both are printed; BERT-base on POS .97 to .70.",
        test=train_test_falls,
        advice="probe the runs with probe=direct on train and test",
        claimed=-1,
    ),
    Statement(
        key="train_test_matched",
        text="Train and test geometry diverge also at equal sizes (a control that the paper does not have).",
        effect="size-matched train-test similarity after less before, last layer (Pearson r)",
        paper="Not reported.",
        test=train_test_falls_matched,
        advice="probe the runs with probe=train_test",
        claimed=-1,
        more="A fall counts as mixed when two halves of the train set are no more alike than train and test.",
    ),
    Statement(
        key="exception",
        text="Accuracy gains are smaller where train and test diverge more.",
        effect="partial rank correlation, over conditions, of accuracy change and train-test similarity after tuning, "
        "less the means of each task and model",
        paper="The one condition that loses accuracy, BERT-small on PS-fxn, has the lowest similarity of its row: .44.",
        test=None,
        advice="tune several models on several tasks",
    ),
    Statement(
        key="upper_layers",
        text="Upper layers move more than lower ones.",
        effect="displacement of centroids, upper less lower half of the blocks, over the mean norm (ratio)",
        paper="BERT-base on POS: about 3 at layer 1, 16 to 25 at layer 11, in the unit of the space (a figure).",
        test=upper_layers_move_more,
        advice="probe the runs with probe=centroids at all layers",
    ),
    Statement(
        key="order_kept",
        text="Labels keep their relative positions: the rank order of label distances is largely kept.",
        effect="rank correlation of label distances before and after, last layer, train (Spearman r)",
        paper="BERT-base, Pearson r, layer 12: .52 (DEP) to .69 (PS-role), read off a figure.",
        test=keeps_order,
        advice="probe the runs with probe=direct",
        null=0.5,
    ),
    Statement(
        key="memorisation",
        text="Tuning memorises: a probe does better on examples that only the encoder saw than on the test set.",
        effect="accuracy on seen less on unseen examples, after less before tuning, last layer (share)",
        paper="Before tuning the two agree; after, seen ones are near 1.0 and test stays at .73 to .95 (a figure).",
        test=memorises,
        advice="probe the runs with probe=memorisation",
    ),
)
"""The claims in the order of the paper's findings."""
