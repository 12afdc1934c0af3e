"""Whether a figure keeps a bound, however its last digits were rounded."""

from __future__ import annotations

ROUNDING = 1e-9
"""In whatever unit is compared: points, percent, a ratio. No measurement is as fine."""


def within(value: float, most: float) -> bool:
    """Whether ``value`` is ``most`` or less; 90.0 - 89.5 points are within 0.5.

    What is not a number is within nothing.
    """
    return value <= most + ROUNDING
