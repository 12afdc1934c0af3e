"""What is left of each layer, as bars of text."""

from __future__ import annotations

from cofi_cli.runs.records import Structure

WIDTH = 16
FULL, EMPTY = "█", "░"


def structure_lines(structure: Structure, *, width: int = WIDTH) -> list[str]:
    """Draw kept heads and FFN dims of each layer against the dense model's.

    Args:
        structure: of a report.
        width: characters of a full bar.

    Returns:
        A line for the hidden width, then one per layer.
    """
    of = structure.of
    heads, ffn = structure.heads, structure.ffn
    share = f"{structure.hidden}/{of.hidden}"
    lines = [f"hidden    {share}  {bar(structure.hidden, of.hidden, width)}"]
    digits = len(str(max(len(heads) - 1, 0)))
    h_width, f_width = 2 * len(str(of.heads)) + 1, 2 * len(str(of.ffn)) + 1
    for i, (n_heads, n_ffn) in enumerate(zip(heads, ffn, strict=True)):
        left = f"{n_heads}/{of.heads}".rjust(h_width)
        right = f"{n_ffn}/{of.ffn}".rjust(f_width)
        lines.append(
            f"layer {i:>{digits}}  heads {left} {bar(n_heads, of.heads, width)}"
            f"  ffn {right} {bar(n_ffn, of.ffn, width)}"
        )
    return lines


def bar(kept: int, of: int, width: int = WIDTH) -> str:
    """Draw a share. Only nothing is empty and only everything is full."""
    filled = round(width * kept / of) if of else 0
    if 0 < kept < of:
        filled = min(max(filled, 1), width - 1)
    return FULL * filled + EMPTY * (width - filled)
