"""An axis: from values to places in a picture, and the round values that are named on it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_ROOM = 0.09
"""Share of the axis that stays free at each end."""
_TICKS = 6


@dataclass(frozen=True)
class Scale:
    """A linear axis.

    Attributes:
        low, high: values at its ends.
        start, end: their places.
    """

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float) -> Scale:
        """Return the axis that shows all of these values."""
        low, high = min(values), max(values)
        room = _ROOM * (high - low) or 0.5
        return cls(low - room, high + room, start, end)

    def place(self, value: float) -> float:
        """Return where a value stands."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Yield round values, about five, with their texts."""
        raw = (self.high - self.low) / _TICKS
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(power * own for own in (1, 2, 5, 10) if power * own >= raw)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        for count in range(math.ceil(self.low / step), math.floor(self.high / step) + 1):
            yield count * step, f"{count * step:.{digits}f}"

    def log_ticks(self) -> Iterator[tuple[float, str]]:
        """Yield logarithms of 1, 2 and 5 times a power of ten, with the texts of the numbers.

        Where hardly any lies on the axis, more of each power are named.
        """
        for steps in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8), tuple(n / 10 for n in range(10, 100))):
            found = [
                (math.log10(step) + power, f"{step * 10.0**power:.3g}")
                for power in range(math.floor(self.low), math.ceil(self.high) + 1)
                for step in steps
                if self.low <= math.log10(step) + power <= self.high
            ]
            if len(found) >= 3:
                break
        yield from found
