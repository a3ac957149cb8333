"""One measured number with what makes it mean something."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from closerlook.geometry.validation import UndefinedMeasureError


@dataclass(frozen=True)
class MeasureValue:
    """A measure on one space, or on one pair of spaces.

    Attributes:
        value: the measure; NaN where undefined, with the reason.
        low: lower end of its 95 % interval; NaN where none is computed.
        high: upper end.
        control: the same number where there is nothing to find (shuffled labels, a Gaussian, ...), or the number
            it has to be read against; NaN where there is none.
        control_name: what the control is; empty where there is none.
        p_value: of a permutation test; NaN where there is none.
        n: points, labels or pairs behind the value, as the note says; 0 where undefined.
        note: how it was computed where that matters (subsample, units of ``n``).
        reason: why value is NaN; empty otherwise.
    """

    value: float
    low: float = np.nan
    high: float = np.nan
    control: float = np.nan
    control_name: str = ""
    p_value: float = np.nan
    n: int = 0
    note: str = ""
    reason: str = ""

    def over(self, unit: float, control: float | None = None, control_name: str = "") -> MeasureValue:
        """The value and its interval over a fixed number; the control too, unless another is given."""
        value, low, high = (number / unit for number in (self.value, self.low, self.high))
        if control is None:
            control, control_name = self.control / unit, self.control_name
        return replace(self, value=value, low=low, high=high, control=control, control_name=control_name)


Report = dict[str, MeasureValue]


def measured(names: Iterable[str], compute: Callable[[], Report]) -> Report:
    """Return what ``compute`` returns, or a NaN with the reason for each name where it is undefined.

    Args:
        names: the names that compute gives values to.
        compute: takes nothing; may raise UndefinedMeasureError.

    Returns:
        A value for each name.
    """
    try:
        return compute()
    except UndefinedMeasureError as error:
        return {name: MeasureValue(np.nan, reason=str(error)) for name in names}


def control_of(compute: Callable[[], float]) -> float:
    """Return a control, NaN where it is undefined (its measure may still stand)."""
    try:
        return compute()
    except UndefinedMeasureError:
        return np.nan
