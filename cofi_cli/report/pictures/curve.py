"""curve.svg: score against latency, a panel for each case, drawn by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from cofi_cli.report.pictures.labels import Box, Label, place
from cofi_cli.report.pictures.scale import Scale
from cofi_cli.report.pictures.svg import LOST, PAPER, QUIET, document
from cofi_cli.report.pictures.svg import words as _text
from cofi_cli.runs.records import DENSE, Curve, CurvePoint

WIDTH, MARGIN, LEFT = 760, 24, 64
HEAD, PANEL, PLOT = 92, 344, 250
"""Heights of the title, of a panel, and of the plot in it."""
SIZE = 12

COLORS = {"fp32": "#2f6fab", "int8": "#c2662d", "fp16": "#4b8b5a"}
BOUND = "#8a94a0"
_REACH = 1.0
"""How far below the points a bound may lie to be drawn as a line, as a share of their range."""


def curve_svg(
    curve: Curve,
    *,
    title: str,
    subtitle: str = "",
    chosen: str | None = None,
    max_drop: float | None = None,
) -> str:
    """Draw every model as a point, and its size beside it.

    Args:
        curve: of a benchmark.
        title: the first line.
        subtitle: a quieter second line.
        chosen: name of the size that is drawn with a ring.
        max_drop: points below the dense model where a line is drawn.

    Returns:
        A complete SVG document on a light background.
    """
    cases = list(dict.fromkeys(point.case for point in curve.points))
    bounds = dict(_bounds(curve, max_drop))
    parts = [
        _text(MARGIN, 36, title, size=17, weight="600"),
        _text(MARGIN, 56, subtitle, color=QUIET),
        *_legend(curve, chosen),
    ]
    for row, case in enumerate(cases):
        points = [point for point in curve.points if point.case == case]
        parts += _panel(points, HEAD + row * PANEL, bounds, metric=curve.metric, chosen=chosen)
    return document(parts, title=title, width=WIDTH, height=HEAD + len(cases) * PANEL)


def _bounds(curve: Curve, max_drop: float | None) -> Iterator[tuple[str, float]]:
    """Yield the scores at which a line is drawn, by what they are."""
    dense = [p.score for p in curve.points if p.size == DENSE and p.precision == "fp32"]
    if dense and max_drop is not None:
        yield f"{max_drop:g} below dense", dense[0] - max_drop
    if curve.word_vectors is not None:
        yield "word vectors alone", curve.word_vectors


def _legend(curve: Curve, chosen: str | None) -> list[str]:
    parts, x = [], float(MARGIN)
    for precision in dict.fromkeys(point.precision for point in curve.points):
        color = COLORS.get(precision, QUIET)
        parts += [_dot(x + 5, 76, color), _text(x + 16, 80, precision, color=color, weight="600")]
        x += 66
    parts += [_square(x + 5, 76, QUIET), _text(x + 16, 80, "dense", color=QUIET)]
    if chosen is not None:
        x += 76
        parts += [_ring(x, 76, QUIET), _text(x + 14, 80, "chosen", color=QUIET)]
    return parts


def _panel(
    points: Sequence[CurvePoint],
    top: float,
    bounds: dict[str, float],
    *,
    metric: str,
    chosen: str | None,
) -> list[str]:
    plot = Box(LEFT, top + 26, WIDTH - MARGIN, top + 26 + PLOT)
    across = Scale.over([math.log10(p.p50_ms) for p in points], plot.left, plot.right)
    scores = [p.score for p in points]
    reach = min(scores) - max(_REACH * (max(scores) - min(scores)), 1.0)
    shown = {name: score for name, score in bounds.items() if score >= reach}
    up = Scale.over([*scores, *shown.values()], plot.bottom, plot.top)
    first = points[0]
    length = "the task's lengths" if first.seq_len == "task" else f"{first.seq_len} tokens"
    parts = [
        _text(MARGIN, top + 12, f"batch {first.batch}, {length}", weight="600"),
        _text(plot.right, top + 12, f"{metric} (points)", color=QUIET, anchor="end"),
        _text(
            plot.right,
            plot.bottom + 34,
            "milliseconds of a call (median; logarithmic)",
            color=QUIET,
            anchor="end",
        ),
    ]
    for score, number in up.ticks():
        y = up.place(score)
        parts += [_line((plot.left, y), (plot.right, y), LOST)]
        parts += [_text(plot.left - 8, y + 4, number, color=QUIET, anchor="end")]
    for power, number in across.log_ticks():
        x = across.place(power)
        parts += [_line((x, plot.top), (x, plot.bottom), LOST)]
        parts += [_text(x, plot.bottom + 18, number, color=QUIET, anchor="middle")]
    notes = []
    for name, score in bounds.items():
        y = up.place(score) if name in shown else plot.bottom
        words = f"{name}: {score:.1f}" if name in shown else f"{name}: {score:.1f}, below"
        if name in shown:
            parts += [_line((plot.left, y), (plot.right, y), BOUND, dash="5 4")]
        parts += [_text(plot.right - 4, y - 5, words, color=QUIET, anchor="end")]
        notes.append(Box(plot.right - 4 - 7 * len(words), y - 17, plot.right, y))
    places = [(across.place(math.log10(p.p50_ms)), up.place(p.score)) for p in points]
    lines = {}
    for precision in dict.fromkeys(p.precision for p in points):
        own = (at for at, p in zip(places, points, strict=True) if p.precision == precision)
        lines[precision] = sorted(own)
        parts += [_path(lines[precision], COLORS.get(precision, QUIET))]
    labelled = [(x, y, p.size) for (x, y), p in zip(places, points, strict=True)]
    labels = place(labelled, plot, size=SIZE, lines=lines.values(), others=notes)
    for at, point, label in zip(places, points, labels, strict=True):
        parts += _mark(at, point, label, is_chosen=point.size == chosen)
    return parts


def _mark(
    at: tuple[float, float], point: CurvePoint, label: Label, *, is_chosen: bool
) -> list[str]:
    color = COLORS.get(point.precision, QUIET)
    parts = [_line(at, (label.x, label.y), color, width=0.7)] if label.is_far else []
    if is_chosen:
        parts.append(_ring(*at, color))
    parts.append((_square if point.size == DENSE else _dot)(*at, color))
    text = _text(label.x, label.y + 4, point.size, size=SIZE, color=color, anchor="middle")
    halo = f"<text paint-order='stroke' stroke='{PAPER}' stroke-width='4' "
    return [*parts, text.replace("<text ", halo, 1)]


def _dot(x: float, y: float, color: str) -> str:
    return f"<circle cx='{x:.1f}' cy='{y:.1f}' r='4.5' fill='{color}'/>"


def _ring(x: float, y: float, color: str) -> str:
    return (
        f"<circle cx='{x:.1f}' cy='{y:.1f}' r='8' fill='none' stroke='{color}' stroke-width='1.5'/>"
    )


def _square(x: float, y: float, color: str) -> str:
    return f"<rect x='{x - 4.5:.1f}' y='{y - 4.5:.1f}' width='9' height='9' fill='{color}'/>"


def _line(
    start: tuple[float, float],
    end: tuple[float, float],
    color: str,
    *,
    width: float = 1,
    dash: str = "",
) -> str:
    more = f" stroke-dasharray='{dash}'" if dash else ""
    return (
        f"<line x1='{start[0]:.1f}' y1='{start[1]:.1f}' x2='{end[0]:.1f}' y2='{end[1]:.1f}' "
        f"stroke='{color}' stroke-width='{width:g}'{more}/>"
    )


def _path(places: Sequence[tuple[float, float]], color: str) -> str:
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return (
        f"<polyline points='{joined}' fill='none' stroke='{color}' stroke-width='1.5' "
        "stroke-opacity='0.45'/>"
    )
