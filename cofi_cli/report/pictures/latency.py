"""latency.svg: what each model costs and what it is worth, drawn by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cofi_cli import format as text
from cofi_cli.report.pictures.svg import INK, PAPER, QUIET, document, line, words
from cofi_cli.runs.records import BenchResult

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 64, 736, 84, 384
"""Edges of the plot itself."""

DENSE, PRUNED, TORCH = "#8a6d3b", "#2f6fab", "#9aa5b1"
DOT = 5.5
LETTER, TALL = 6.4, 13.0
"""Width and height that a letter of a label takes, about."""

_STEPS = (1.0, 2.0, 5.0)
_FINE = (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)


@dataclass(frozen=True)
class Point:
    """One model: milliseconds, points of score."""

    name: str
    latency: float
    score: float
    color: str

    @property
    def label(self) -> str:
        """Return what stands beside its dot."""
        return f"{self.name}: {text.milliseconds(self.latency)} ms, {self.score:.1f}"


@dataclass(frozen=True)
class _Plot:
    """The scales: milliseconds and points of score at the plot's edges."""

    fast: float
    slow: float
    worst: float
    best: float

    @classmethod
    def around(cls, points: Sequence[Point]) -> _Plot:
        """Return scales with room on every side."""
        xs, ys = [p.latency for p in points], [p.score for p in points]
        margin = max(0.15 * (max(ys) - min(ys)), 0.5)
        return cls(min(xs) / 1.6, max(xs) * 1.6, min(ys) - margin, max(ys) + margin)

    def across(self, ms: float) -> float:
        share = math.log(ms / self.fast) / math.log(self.slow / self.fast)
        return LEFT + (RIGHT - LEFT) * share

    def down(self, score: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * (score - self.worst) / (self.best - self.worst)

    def grid(self) -> list[str]:
        """Return lines and numbers at round values."""
        parts = []
        for ms in log_ticks(self.fast, self.slow):
            x = round(self.across(ms), 1)
            parts.append(line(x, TOP, x, BOTTOM))
            parts.append(words(x, BOTTOM + 18, f"{ms:g}", color=QUIET, anchor="middle"))
        for score in linear_ticks(self.worst, self.best):
            y = round(self.down(score), 1)
            parts.append(line(LEFT, y, RIGHT, y))
            parts.append(words(LEFT - 8, y + 4, f"{score:g}", color=QUIET, anchor="end"))
        return [*parts, line(LEFT, BOTTOM, RIGHT, BOTTOM, color=QUIET)]


@dataclass(frozen=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: _Box) -> float:
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(across, 0.0) * max(down, 0.0)

    def outside(self) -> float:
        """Return how much of it lies beyond the plot."""
        inner = self.overlap(_Box(LEFT, TOP - TALL, RIGHT, BOTTOM))
        return (self.right - self.left) * (self.bottom - self.top) - inner


def latency_svg(bench: BenchResult, *, title: str, case: str | None = None) -> str | None:
    """Draw latency (p50, logarithmic) against score, one labelled point a model.

    Args:
        bench: the result.
        title: the first line.
        case: whose latency; by default the first.

    Returns:
        A complete SVG document, ``None`` when no model has both figures.
    """
    case = case or next(iter(bench.case_names), None)
    points = plot_points(bench, case)
    if not points:
        return None
    plot = _Plot.around(points)
    metric = next(map(text.metric, bench.scores), "score")
    threads, cpu = bench.env.threads, bench.env.cpu
    plural = "s" if threads != 1 else ""
    parts = [
        words(LEFT - 40, 32, title, size=17, weight="600"),
        words(LEFT - 40, 52, f"{case}, {threads} thread{plural}, {cpu}", color=QUIET),
        words(LEFT - 40, TOP - 12, f"{metric}, points", color=QUIET),
        words(RIGHT, BOTTOM + 38, "p50, ms (logarithmic)", color=QUIET, anchor="end"),
        *plot.grid(),
    ]
    places = [(plot.across(point.latency), plot.down(point.score)) for point in points]
    for point, (x, y) in zip(points, places, strict=True):
        parts.append(
            f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{DOT}' fill='{point.color}' "
            f"stroke='{PAPER}' stroke-width='1.5'/>"
        )
    for point, (x, y) in zip(points, place_labels([p.label for p in points], places), strict=True):
        parts.append(words(round(x, 1), round(y, 1), point.label, color=INK))
    return document(parts, title=title, width=WIDTH, height=HEIGHT)


def plot_points(bench: BenchResult, case: str | None) -> list[Point]:
    """Return the models that have a score, and a latency in that case."""
    scores = {row.model: row.score for row in bench.scores}
    dense = {row.vs for row in bench.headline} | {bench.baseline}
    points = []
    for row in bench.cases:
        score = scores.get(row.model)
        if row.case != case or score is None:
            continue
        is_torch = row.runtime == "torch"
        color = TORCH if is_torch else DENSE if row.model in dense else PRUNED
        points.append(Point(row.model, row.p50_ms, score, color))
    return points


def log_ticks(low: float, high: float) -> list[float]:
    """Return round numbers between two positive ones: 1, 2, 5, ..., finer where these are few."""
    for steps in (_STEPS, _FINE):
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [s * 10.0**power for power in powers for s in steps]
        inside = [float(f"{tick:.6g}") for tick in ticks if low <= tick <= high]
        if len(inside) >= 3:
            break
    return inside


def linear_ticks(low: float, high: float) -> list[float]:
    """Return three to eight round numbers between two."""
    power = 10.0 ** math.floor(math.log10((high - low) / 3))
    step = max(s * power for s in _STEPS if s * power <= (high - low) / 3)
    first = math.ceil(low / step)
    count = math.floor(high / step) - first + 1
    return [float(f"{(first + i) * step:.6g}") for i in range(count)]


def place_labels(
    labels: Sequence[str], dots: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Return where each label's baseline begins, as clear of dots, labels and edges as can be."""
    taken = [_Box(x - DOT, y - DOT, x + DOT, y + DOT) for x, y in dots]
    places = []
    for label, (x, y) in zip(labels, dots, strict=True):
        width = LETTER * len(label)
        gap = DOT + 4
        choices = [(x + gap, y + 4), (x - gap - width, y + 4)]
        for away in (1.0, 2.2, 3.4):
            for start in (x - width / 2, x + gap, x - gap - width):
                choices += [(start, y - gap * away), (start, y + gap * away + TALL * 0.7)]

        def cost(place: tuple[float, float], width: float = width) -> float:
            box = _box(place, width)
            return sum(box.overlap(other) for other in taken) + 4 * box.outside()

        best = min(choices, key=cost)
        taken.append(_box(best, width))
        places.append(best)
    return places


def _box(place: tuple[float, float], width: float) -> _Box:
    x, y = place
    return _Box(x, y - TALL * 0.8, x + width, y + TALL * 0.2)
