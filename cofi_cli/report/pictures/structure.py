"""structure.svg: what pruning kept of each layer, drawn by hand."""

from __future__ import annotations

from cofi_cli.report.pictures.svg import LOST, QUIET, document
from cofi_cli.report.pictures.svg import words as _text
from cofi_cli.runs.records import Structure

WIDTH = 760
MARGIN = 24
ROW, BAR = 26, 14
BASE = BAR - 3
"""From the top of a bar to the base line of the words beside it."""
LABEL, NUMBER = 64, 84
GAP = 20
TOP = 124

HEADS, FFN, HIDDEN = "#2f6fab", "#c2662d", "#4b8b5a"
MAX_CELLS = 16
"""Largest number of units that a bar draws one by one."""

_COLUMN = (WIDTH - 2 * MARGIN - LABEL - GAP) // 2
_BAR = _COLUMN - NUMBER


def structure_svg(structure: Structure, *, title: str, subtitle: str = "") -> str:
    """Draw heads and FFN dims kept per layer, and the hidden dims.

    Args:
        structure: of a report.
        title: the first line.
        subtitle: a quieter second line.

    Returns:
        A complete SVG document on a light background.
    """
    of = structure.of
    layers = list(zip(structure.heads, structure.ffn, strict=True))
    height = TOP + ROW * len(layers) + MARGIN
    left, right = MARGIN + LABEL, MARGIN + LABEL + _COLUMN + GAP
    parts = [
        _text(MARGIN, 36, title, size=17, weight="600"),
        _text(MARGIN, 56, subtitle, color=QUIET),
        _text(MARGIN, 84, "hidden", color=QUIET),
        *_kept(left, 73, structure.hidden, of.hidden, HIDDEN),
        _text(left, TOP - 8, "attention heads kept", color=HEADS, weight="600"),
        _text(right, TOP - 8, "FFN dims kept", color=FFN, weight="600"),
    ]
    for i, (heads, ffn) in enumerate(layers):
        y = TOP + ROW * i
        parts.append(_text(MARGIN, y + BASE, f"layer {i}", color=QUIET))
        parts += _kept(left, y, heads, of.heads, HEADS)
        parts += _kept(right, y, ffn, of.ffn, FFN)
    return document(parts, title=title, width=WIDTH, height=height)


def _kept(x: float, y: float, kept: int, of: int, color: str) -> list[str]:
    """Kept units in colour, lost ones in grey; nothing kept is a dashed outline."""
    if kept == 0:
        outline = (
            f"<rect x='{x + 0.5}' y='{y + 0.5}' width='{_BAR - 1}' height='{BAR - 1}' rx='2' "
            f"fill='none' stroke='#b6bec6' stroke-dasharray='3 3'/>"
        )
        return [outline, _text(x + _BAR + 8, y + BASE, "removed", color=QUIET)]
    if of > MAX_CELLS:
        drawn = [_rect(x, y, _BAR, LOST), _rect(x, y, max(1.0, _BAR * kept / of), color)]
    else:
        cell = _BAR / of
        drawn = [_rect(x + i * cell, y, cell - 2, color if i < kept else LOST) for i in range(of)]
    return [*drawn, _text(x + _BAR + 8, y + BASE, f"{kept} / {of}")]


def _rect(x: float, y: float, width: float, color: str) -> str:
    return (
        f"<rect x='{x:.1f}' y='{y:.1f}' width='{width:.1f}' height='{BAR}' rx='2' fill='{color}'/>"
    )
