"""The parts that every drawing is made of: no library, no style sheet, a light background."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

INK, QUIET, PAPER, LOST = "#1f2933", "#667380", "#ffffff", "#e4e8ec"
FONT = "font-family='system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif'"


def document(parts: Sequence[str], *, title: str, width: int, height: int) -> str:
    """Return a complete SVG document of these elements."""
    body = "\n".join(parts)
    label = escape(title, {"'": "&#39;"})
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' "
        f"width='{width}' height='{height}' role='img' aria-label='{label}'>\n"
        f"<title>{escape(title)}</title>\n"
        f"<rect width='{width}' height='{height}' fill='{PAPER}'/>\n{body}\n</svg>\n"
    )


def words(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 12,
    color: str = INK,
    weight: str = "400",
    anchor: str = "start",
) -> str:
    """Return text whose baseline begins, is centred or ends at a point."""
    place = "" if anchor == "start" else f" text-anchor='{anchor}'"
    return (
        f"<text x='{x:g}' y='{y:g}' {FONT} font-size='{size}' font-weight='{weight}' "
        f"fill='{color}'{place}>{escape(text)}</text>"
    )
