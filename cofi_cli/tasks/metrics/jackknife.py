"""The standard error of the difference of two scores on the same rows: a grouped jackknife.

Delete-a-group jackknife: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 11.
Two models are right and wrong on much the same rows, so that their difference varies far less than
either score does. Each model's scores without a group of rows are kept, so that any two models
that were scored on the same rows can be compared later.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

GROUPS = 20
"""Groups of rows, each left out once. The error that 20 groups give is itself 16 % off."""
_LEAST = 2 * GROUPS
"""Units of rows that are needed."""


def kept_units(units: int) -> list[NDArray[np.bool_]]:
    """Return which units stay where a group is left out, (units,) each; none of too few units.

    Groups are drawn, always the same for as many units: files often have labels in turn.
    """
    if units < _LEAST:
        return []
    group = np.random.default_rng(0).permutation(units) % GROUPS
    return [group != left for left in range(GROUPS)]


def paired_error(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Return the standard error of the difference of two scores.

    Args:
        ours, theirs: scores without each group of the same rows, in the same order.

    Returns:
        In the scores' units; ``None`` where either is not known.
    """
    if not ours or len(ours) != len(theirs):
        return None
    difference = np.subtract(ours, theirs)
    error = float(np.sqrt((len(difference) - 1) * difference.var()))
    return error if np.isfinite(error) else None
