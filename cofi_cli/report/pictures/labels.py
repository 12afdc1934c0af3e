"""Where the labels of points stand, so that none covers a point or another label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from math import hypot
from typing import NamedTuple

POINT = 7
"""Half of the side of the square that a point takes."""
_LETTER, _LINE = 0.6, 1.15
"""Width of a letter and height of a line, as shares of the size of the letters."""
_HIDDEN, _FURTHER = 10.0, 4.0
"""What a label costs that hides something, by the area, and one that is a place further away,
where one that crosses a line costs the area that it covers of it."""


class Box(NamedTuple):
    """A rectangle: left, top, right, bottom."""

    left: float
    top: float
    right: float
    bottom: float

    def shared(self, other: Box) -> float:
        """Return the area that two have in common."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(width, 0.0) * max(height, 0.0)

    @property
    def area(self) -> float:
        """Its area."""
        return (self.right - self.left) * (self.bottom - self.top)


class Label(NamedTuple):
    """Text whose middle stands at a point of the picture.

    Attributes:
        is_far: whether a line has to lead to its point.
    """

    x: float
    y: float
    is_far: bool


def around(x: float, y: float) -> Box:
    """Return what a point covers."""
    return Box(x - POINT, y - POINT, x + POINT, y + POINT)


def place(
    points: Sequence[tuple[float, float, str]],
    within: Box,
    *,
    size: int,
    lines: Iterable[Sequence[tuple[float, float]]] = (),
    others: Iterable[Box] = (),
) -> list[Label]:
    """Return a place for the label of each point, near it, where it hides least.

    Args:
        points: x, y and text of each.
        within: what labels may not leave.
        size: of the letters.
        lines: places that are joined.
        others: what is not to be covered either.
    """
    crossed = [spot for line in lines for spot in _spots(line)]
    taken = [*others, *(around(x, y) for x, y, _ in points)]
    placed = []
    for x, y, text in points:
        width, height = _LETTER * size * len(text), _LINE * size
        costs = []
        for nth, label in enumerate(_candidates(x, y, width, height)):
            left, top = label.x - width / 2, label.y - height / 2
            box = Box(left, top, left + width, top + height)
            hidden = sum(box.shared(other) for other in taken) + box.area - box.shared(within)
            crossing = sum(box.shared(spot) for spot in crossed)
            costs.append((_HIDDEN * hidden + crossing + _FURTHER * nth, label, box))
        _, label, box = min(costs, key=lambda own: own[0])
        taken.append(box)
        placed.append(label)
    return placed


def _spots(line: Sequence[tuple[float, float]]) -> Iterator[Box]:
    """Yield small boxes along a line."""
    for (x0, y0), (x1, y1) in pairwise(line):
        steps = max(1, round(hypot(x1 - x0, y1 - y0) / 4))
        for step in range(steps + 1):
            x, y = x0 + (x1 - x0) * step / steps, y0 + (y1 - y0) * step / steps
            yield Box(x - 1, y - 1, x + 1, y + 1)


def _candidates(x: float, y: float, width: float, height: float) -> Iterator[Label]:
    """Yield places around a point, the nearest first; above and to the right come first."""
    for distance in (POINT + 2, POINT + 16, POINT + 30, POINT + 46):
        across, up = distance + width / 2, distance + height / 2
        for dx, dy in (
            *((0, -up), (across, 0), (0, up), (-across, 0)),
            *((across, -up), (across, up), (-across, -up), (-across, up)),
        ):
            yield Label(x + dx, y + dy, distance > POINT + 2)
