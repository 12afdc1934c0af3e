"""What a compact model takes by the clock, and what a plan has to be asked for instead."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MeasuredSpeed:
    """A compact model, timed in turn with its dense one.

    Attributes:
        seconds, dense_seconds: medians of a call.
        speedup: their ratio.
        interval: its 95 % interval.
    """

    seconds: float
    dense_seconds: float
    speedup: float
    interval: tuple[float, float]
