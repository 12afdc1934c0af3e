"""The texts of cards: a frame for each folder, and how it is used, kind by kind."""

from __future__ import annotations

from pathlib import Path

_TEMPLATES = Path(__file__).parent / "templates"


def frame(folder: str) -> str:
    """Return the card of a ``model`` or an ``onnx`` folder, with its fields in braces."""
    return (_TEMPLATES / folder / "card.md").read_text(encoding="utf-8")


def use(folder: str, name: str, default: str) -> str:
    """Return the text on using a folder; that of ``default`` where ``name`` has none of its own."""
    own = _TEMPLATES / folder / f"{name}.md"
    return (own if own.exists() else own.with_stem(default)).read_text(encoding="utf-8")
