"""What kind of change: translation, rotation, scale, and the rest that alone changes relative positions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from closerlook.geometry.paired_sums import PairedSums
from closerlook.geometry.validation import FloatArray, UndefinedMeasureError


class ChangeShares(NamedTuple):
    """Shares of the summed squared change of all points; the first four add up to 1.

    Attributes:
        translation_share: removed by moving the mean, in [0, 1].
        rotation_share: what an orthogonal map (rotation or reflection) then removes, in [0, 1].
        scale_share: what one factor then removes, in [0, 1].
        rest_share: what is left, in [0, 1]: the only part that changes relative positions.
        scale_share_taken_first: what one factor removes when it is taken before the orthogonal map, in [0, 1].
        scale_factor: the factor of the best fit, at least 0.
    """

    translation_share: float
    rotation_share: float
    scale_share: float
    rest_share: float
    scale_share_taken_first: float
    scale_factor: float


def change_shares(sums: PairedSums, shift: FloatArray) -> ChangeShares:
    """Split the change between two spaces of one width.

    Args:
        sums: of the spaces before and after, each with some vector taken away from all rows.
        shift: (n_features,) the vector taken away after - the one taken away before.

    Returns:
        The shares, taken in this order: mean, orthogonal Procrustes, one factor. What can be explained by either
        goes to the one taken first.

    Raises:
        UndefinedMeasureError: if nothing changed, or a space is a single repeated point.

    Source:
        Schoenemann 1966; Gower & Dijksterhuis 2004, chapter 4. Trap: with fewer points than features an
        orthogonal map fits much by chance; compare with shuffled rows (the control in the report).
    """
    before, after = sums.sizes
    if before <= 0 or after <= 0:
        raise UndefinedMeasureError("all points of a space are the same, so no rotation or scale is defined")
    step = shift + (sums.sy - sums.sx) / sums.n  # the means of these rows, not of all
    translation, product = float(step @ step) * sums.n, float(np.trace(sums.centred[2]))
    moved = max(before + after - 2 * product, 0.0)
    total = translation + moved
    if total <= 0:
        raise UndefinedMeasureError("the two spaces are equal, so there is no change to split")
    turned = min(max(before + after - 2 * sums.nuclear_norm, 0.0), moved)
    rest = min(max(after - sums.nuclear_norm**2 / before, 0.0), turned)
    grown = min(after - max(product, 0.0) ** 2 / before, moved)
    return ChangeShares(
        translation_share=translation / total,
        rotation_share=(moved - turned) / total,
        scale_share=(turned - rest) / total,
        rest_share=rest / total,
        scale_share_taken_first=(moved - grown) / total,
        scale_factor=sums.nuclear_norm / before,
    )
