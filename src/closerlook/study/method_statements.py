"""What is claimed of ways of tuning, written before any run was probed (the first seven were being trained).

Methods are compared where they are equally accurate (:mod:`closerlook.study.matched`), each beside a control. One rule
was changed after its first result: that the head alone changes nothing allows a relative :data:`SOLVED_TO` now, since
186 of 819 numbers differed by at most 7e-16, the rounding of a solver that starts elsewhere.
"""

from __future__ import annotations

from closerlook.study.statements import Statement

AS_FAR = 0.8
"""Labels count as pushed apart as far when they are at least by this share as far."""

SOLVED_TO = 1e-6
"""Relative differences up to which two results are the same: label distances are solved to this."""

SAME_ACCURACY = 0.01
"""Last snapshots count as equally accurate within this difference."""

_EQUAL = (
    "Both at the highest accuracy that both reach, interpolated between snapshots; before: full tuning, after: the "
)
_RUN = "python train.py experiment=methods, then python probe.py runs=... study=methods"

METHOD_STATEMENTS = (
    Statement(
        key="lora_apart",
        text="LoRA pushes labels apart as far as full tuning, at equal accuracy.",
        effect="growth of the minimum distances by LoRA over that by full tuning, mean over labels, last layer, train "
        "(ratio)",
        paper="Not compared there.",
        test=None,
        advice=_RUN,
        null=AS_FAR,
        more=f"{_EQUAL}method. Control: it counts as mixed where, for the growth of the labels' own width, they are "
        "pushed apart less than four fifths as far.",
    ),
    Statement(
        key="lora_order",
        text="LoRA keeps more of the labels' relative places than full tuning, at equal accuracy.",
        effect="similarity of label distances to those before tuning, LoRA less full tuning, last layer, train "
        "(Pearson r)",
        paper="Not compared there.",
        test=None,
        advice=_RUN,
        more=f"{_EQUAL}method. Control: it counts as mixed where the rank correlation says the opposite.",
    ),
    Statement(
        key="lora_forgets_less",
        text="LoRA forgets less of other tasks than full tuning.",
        effect="accuracy on other tasks, LoRA less full tuning, last layer and snapshot (share)",
        paper="Biderman et al. 2024 (2405.09673): LoRA learns less and forgets less (language models, code and maths).",
        test=None,
        advice=f"{_RUN} cross_task=all",
        more="Other tasks are stored at the last snapshot only. Control: the accuracies on the tuned task there; where "
        "they differ by more than a point, the condition is undecided.",
    ),
    Statement(
        key="intruders",
        text="Intruder dimensions go with loss on other tasks.",
        effect="partial rank correlation, over runs, of intruder dimensions and the fall of accuracy on other tasks, "
        "less the means of each task and model",
        paper="Shuttleworth et al. 2024 (2410.21228): models with intruder dimensions forget more.",
        test=None,
        advice=f"{_RUN} cross_task=all",
    ),
    Statement(
        key="lp_ft_drift",
        text="Train and test drift apart less by LP-FT than by full tuning, at equal accuracy.",
        effect="train-test similarity, LP-FT less full tuning, last layer (Pearson r)",
        paper="Kumar et al. 2022 (2202.10054): LP-FT distorts features less.",
        test=None,
        advice=_RUN,
        more=f"{_EQUAL}method. Control: both start from one space, so that its similarity is the same.",
    ),
    Statement(
        key="head_still",
        text="Training the head alone changes nothing in the space (a check of the machinery).",
        effect="results that differ from those of before tuning, by more than 1e-6 of them (count)",
        paper="So it must be.",
        test=None,
        advice=_RUN,
        counts=True,
        more="A condition supports the claim when no number of any snapshot differs from that of before tuning.",
    ),
    Statement(
        key="seeds_closer",
        text="Seeds differ less in the labels' places than methods do, at equal accuracy.",
        effect="similarity of label distances between two seeds of one method, less that between two methods of one "
        "seed, last layer, train (Pearson r, mean over pairs)",
        paper="Not compared there.",
        test=None,
        advice=_RUN,
        more="All at the highest accuracy that all methods reach, the head alone left out; before: between methods, "
        "after: between seeds.",
    ),
)
"""The claims about methods in the order of their page."""
