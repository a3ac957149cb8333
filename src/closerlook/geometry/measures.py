"""Which measure answers which question, its range, and when not to trust it: for the README and the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Measure:
    """What a name of the reports means.

    Attributes:
        name: key in the reports.
        title: heading for people.
        question: what it answers.
        scope: "space" (one space) or "change" (two spaces with the same rows).
        low: smallest possible value; -inf where there is none.
        high: largest possible value; inf where there is none, or where it depends on the data.
        higher_means: reading of a higher value.
        source: where it is defined.
        control: what the reports put beside it.
        distrust: when not to trust it.
    """

    name: str
    title: str
    question: str
    scope: Literal["space", "change"]
    low: float
    high: float
    higher_means: str
    source: str
    control: str
    distrust: str


_INF = float("inf")
_PAPER = "Zhou & Srikumar 2022"
_ROWS = "shuffled examples"
_LABELS = "shuffled labels"

CHANGE_MEASURES = (
    Measure(
        "similarity_to_first", "Spatial similarity", "Do labels keep their relative distances?", "change",
        -1, 1, "more alike", _PAPER, "permuted labels (Mantel p), bootstrap over labels",
        "few labels; pairs without a distance drop out (see n); blind to growth by one factor",
    ),
    Measure(
        "rank_similarity_to_first", "Rank order of label distances", "Do close pairs of labels stay the close ones?",
        "change", -1, 1, "more alike", "Spearman of the same distances", "permuted labels (Mantel p)",
        "few labels; blind to any monotone change of the distances",
    ),
    Measure(
        "centroid_similarity", "Similarity of centroid distances",
        "Do label centroids keep their relative distances?", "change", -1, 1, "more alike",
        "Pearson of centroid distances", "permuted labels (Mantel p), bootstrap over labels",
        "centroids of rare labels are noise, and noise is far from everything",
    ),
    Measure(
        "mean_centroid_displacement", "Centroid displacement", "How far did labels move?", "change",
        0, _INF, "moved further", f"{_PAPER}, E8", "centroids of shuffled labels",
        "layers and models differ in scale (read the relative one); includes the shift that all labels share",
    ),
    Measure(
        "relative_displacement", "Displacement over mean norm", "How far did labels move, for the space's size?",
        "change", 0, _INF, "moved further", f"{_PAPER}, E8", "centroids of shuffled labels",
        "a large common mean makes the norm large and this small",
    ),
    Measure(
        "own_displacement", "Displacement without the common shift", "How far did labels move against each other?",
        "change", 0, _INF, "moved further", "displacement minus its mean over labels",
        "centroids of shuffled labels", "centroids of rare labels move by chance: read it against its control",
    ),
    Measure(
        "direction_spread", "Spread of directions", "Did labels move one way or many ways?", "change",
        0, 1, "more ways", "Mardia & Jupp 2000; E7", "orthogonal directions",
        "labels that hardly moved have a direction of noise",
    ),
    Measure(
        "n_directions", "Number of directions", "In how many directions did labels move?", "change",
        1, _INF, "more directions", "participation ratio of the displacement vectors; E7", "orthogonal directions",
        "long displacements outweigh the rest; cannot pass the number of labels or features",
    ),
    Measure(
        "translation_share", "Share of translation", "How much of the change is a shift of everything?", "change",
        0, 1, "more of it", "Procrustes", _ROWS, "a share of the change says nothing of its size",
    ),
    Measure(
        "rotation_share", "Share of rotation", "How much of the change is rotation or reflection?", "change",
        0, 1, "more of it", "Schoenemann 1966", _ROWS,
        "fewer points than features: rotations fit by chance; taken before scale, which the order favours",
    ),
    Measure(
        "scale_share", "Share of scale", "How much of the change is growth by one factor?", "change",
        0, 1, "more of it", "Procrustes", _ROWS, "taken after rotation; growth of a few directions is in the rest",
    ),
    Measure(
        "rest_share", "Share of real change", "How much of the change alters relative positions?", "change",
        0, 1, "more of it", "Procrustes", _ROWS, "noise is here too; a share says nothing of the size",
    ),
    Measure(
        "scale_factor", "Scale factor", "By what factor did the whole space grow?", "change",
        0, _INF, "grew more", "Procrustes", _ROWS, "shrinks when the fit is bad, as any regression slope does",
    ),
    Measure(
        "linear_cka", "Linear CKA", "Are the spaces alike up to rotation, shift and scale?", "change",
        0, 1, "more alike", "Kornblith et al. 2019", _ROWS,
        "points not far more than features: biased upwards; a few strong directions decide it",
    ),
    Measure(
        "debiased_cka", "Debiased CKA", "The same, without the bias of few points", "change",
        -_INF, _INF, "more alike", "Song et al. 2012; Nguyen et al. 2021", _ROWS,
        "may be slightly negative; a few strong directions decide it",
    ),
    Measure(
        "procrustes_distance", "Procrustes shape distance", "How different are the two shapes?", "change",
        0, 1.5707963267948966, "more different", "Williams et al. 2021", _ROWS,
        "fewer points than features: any two shapes can be turned towards each other",
    ),
    Measure(
        "rsa", "RSA", "Do pairs of examples keep their order of dissimilarity?", "change",
        -1, 1, "more alike", "Kriegeskorte et al. 2008", _ROWS,
        "a sample of examples (see n); frequent labels rule the pairs",
    ),
    Measure(
        "knn_overlap", "Neighbour overlap", "Do examples keep their nearest neighbours?", "change",
        0, 1, "more alike", "Doimo et al. 2020; Huh et al. 2024", "random neighbours",
        "the smallest scale only; duplicates order neighbours arbitrarily",
    ),
    Measure(
        "distance_growth", "Growth of label distances", "Were labels pushed apart?", "change",
        0, _INF, "pushed apart more", "median ratio of label distances", "growth of the whole space",
        "a space that scaled up pushes everything apart: compare with the control",
    ),
    Measure(
        "distance_growth_over_scatter", "Growth of label distances over scatter",
        "Were labels pushed apart more than they grew themselves?", "change", 0, _INF, "pushed apart more",
        "the same over the within-label scatter", "1 = no change",
        "pooled scatter is that of frequent labels; hull distances feel outliers, the scatter does not",
    ),
)  # fmt: skip

SPACE_MEASURES = (
    Measure(
        "fisher_ratio", "Fisher ratio", "How far apart are labels for their scatter?", "space",
        0, _INF, "better separated", "Fisher 1936", _LABELS,
        "many labels and few points make it large by chance; frequent labels rule it",
    ),
    Measure(
        "calinski_harabasz", "Calinski-Harabasz", "The same, over what chance gives", "space",
        0, _INF, "better separated", "Calinski & Harabasz 1974", _LABELS, "grows with the number of points",
    ),
    Measure(
        "cdnv", "CDNV", "Have labels collapsed, for their distances?", "space",
        0, _INF, "less collapsed", "Galanti et al. 2021", _LABELS,
        "labels with few points look tighter than they are; one close pair can rule the mean",
    ),
    Measure(
        "label_scatter", "Within-label scatter", "How wide is a label?", "space",
        0, _INF, "wider", "root mean squared distance to the centroid", "scatter around the common mean",
        "in the unit of the space: not comparable between models",
    ),
    Measure(
        "davies_bouldin", "Davies-Bouldin", "How bad is each label's worst neighbour?", "space",
        0, _INF, "worse separated", "Davies & Bouldin 1979", _LABELS, "a label with one point looks perfect",
    ),
    Measure(
        "silhouette", "Silhouette", "Are examples nearer to their own label than to the next?", "space",
        -1, 1, "better separated", "Rousseeuw 1987", _LABELS,
        "a sample of examples (see n); labels of unlike width or curved shape score low though separable",
    ),
    Measure(
        "label_overlap", "Label overlap", "Do nearest neighbours carry the same label?", "space",
        0, 1, "more local order", "Doimo et al. 2020", "random neighbours",
        "frequent labels rule the mean; duplicate inputs answer for each other",
    ),
    Measure(
        "nc1", "NC1", "Neural collapse: is scatter gone in the directions between labels?", "space",
        0, _INF, "less collapsed", "Papyan et al. 2020", _LABELS,
        "made for balanced labels; the weakest direction between labels rules it: read CDNV",
    ),
    Measure(
        "nearest_centroid_accuracy", "Nearest-centroid accuracy (NC4)",
        "Does the nearest centroid give the label?", "space", 0, 1, "more collapsed", "Papyan et al. 2020",
        _LABELS, "measured on the points that made the centroids",
    ),
    Measure(
        "nc2_equinorm", "NC2, equal norms", "Are label means equally far from their centre?", "space",
        0, _INF, "less even", "Papyan et al. 2020", _LABELS, "made for balanced labels",
    ),
    Measure(
        "nc2_equiangle", "NC2, equal angles", "Do label means stand at equal angles?", "space",
        0, 1, "less even", "Papyan et al. 2020", _LABELS, "not reachable with more labels than features + 1",
    ),
    Measure(
        "gnc2_uniformity", "Generalised NC2", "Are label means spread evenly over directions?", "space",
        0, _INF, "less even", "Wu & Papyan 2024", _LABELS,
        "its mean is near 0 for means at distance 1 from each other, where the ratio explodes",
    ),
    Measure(
        "nc3_self_duality", "NC3", "Has the classifier become the label means?", "space",
        0, 2, "further from it", "Papyan et al. 2020", "shuffled classes",
        "only with the classifier that was tuned together with this space",
    ),
    Measure(
        "nc4_agreement", "NC4", "Does the classifier answer as the nearest centroid does?", "space",
        0, 1, "more collapsed", "Papyan et al. 2020", "shuffled answers",
        "high for any good classifier of well separated labels",
    ),
    Measure(
        "effective_rank", "Effective rank", "In how many directions does the space vary?", "space",
        1, _INF, "more directions", "Roy & Vetterli 2007, centred", "Gaussian of the same shape",
        "few points: bounded by their number",
    ),
    Measure(
        "rankme", "RankMe", "How many directions does the space use, mean included?", "space",
        1, _INF, "more directions", "Garrido et al. 2023, not centred", "Gaussian of the same shape",
        "a large common mean lowers it",
    ),
    Measure(
        "stable_rank", "Stable rank", "How strong is the strongest direction?", "space",
        1, _INF, "weaker", "Rudelson & Vershynin 2007, centred", "Gaussian of the same shape",
        "sees the largest direction only",
    ),
    Measure(
        "isoscore", "IsoScore", "How evenly does variance fill the space?", "space",
        0, 1, "more evenly", "Rudman et al. 2022", "Gaussian of the same shape",
        "few points for the features: biased downwards",
    ),
    Measure(
        "mean_cosine", "Mean cosine", "Do all vectors point one way (anisotropy)?", "space",
        -1, 1, "a narrower cone", "Ethayarajh 2019", "after centring",
        "a few rogue dimensions make it (see the note): read it after centring too",
    ),
    Measure(
        "mean_cosine_centred", "Mean cosine, centred", "The same without the common mean", "space",
        -1, 1, "a narrower cone", "Ethayarajh 2019", "no common direction", "near 0 almost by construction",
    ),
    Measure(
        "intrinsic_dimension", "Intrinsic dimension", "On how many coordinates does the data live locally?",
        "space", 0, _INF, "more", "Facco et al. 2017 (TwoNN)", "Gaussian of the same covariance",
        "high dimensions are underestimated; duplicates are dropped first",
    ),
    Measure(
        "n_contradictions", "Contradictions", "Do equal vectors carry different labels?", "space",
        0, _INF, "more of them", "no linear space and no perfect classifier with any", "",
        "equality is bit for bit: rounding of the encoder hides them",
    ),
)  # fmt: skip

MEASURES = CHANGE_MEASURES + SPACE_MEASURES
"""Every measure of the reports, in the order of the reports."""


def measure(name: str) -> Measure:
    """Return the entry called ``name``.

    Raises:
        KeyError: if there is none.
    """
    found = next((entry for entry in MEASURES if entry.name == name), None)
    if found is None:
        raise KeyError(f"no measure is called {name!r}; the names are {[entry.name for entry in MEASURES]}")
    return found
