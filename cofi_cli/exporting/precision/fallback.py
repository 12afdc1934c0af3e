"""Layers that go back to fp32 where a smaller precision costs too much, as few as it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from cofi_cli.errors import PARITY, CofiError
from cofi_cli.exporting.acceptance import Verdict
from cofi_cli.exporting.precision.sensitivity import by_layer, most_sensitive_first
from cofi_cli.runtime.inputs import Rows
from cofi_cli.runtime.inspection import inspect


def keep_in_fp32(
    nodes: Sequence[str],
    *,
    precision: str,
    source: Path,
    make: Callable[[tuple[str, ...]], Path],
    judge: Callable[[Path], Verdict],
    fault: str,
    max_drop: float,
    rows: Rows,
    pad_id: int,
    provider: str = "cpu",
) -> tuple[list[str], Verdict]:
    """Make a file without fault; return the layers that it keeps in fp32, and the verdict on it.

    The layer that changes the logits most goes back first. One at least stays in the
    smaller precision, else the file would not be of it.

    Args:
        nodes: what could be kept, by name.
        precision: the smaller one.
        source: the fp32 file.
        make: writes a file of that precision that keeps the nodes given in fp32.
        judge: of a file.
        fault: of the file that keeps none.
        max_drop: points of score that may be lost, for the hint.
        rows: real inputs, to compare layers on.
        pad_id: of their padding.
        provider: where they are compared.

    Raises:
        CofiError: no file is without fault (exit code 4).
    """
    layers = by_layer(nodes)
    order = most_sensitive_first(
        layers, source=source, make=make, rows=rows, pad_id=pad_id, provider=provider
    )
    kept: list[str] = []
    for layer in order[:-1]:
        kept.append(layer)
        file = make(tuple(node for own in kept for node in layers[own]))
        if inspect(file).precision != precision:
            break  # what is left holds no product
        verdict = judge(file)
        if verdict.fault is None:
            return kept, verdict
    raise CofiError(
        f"{precision} {fault}, and keeping all layers but one in fp32 does not mend that.",
        hint=f"Use --precision fp32, or allow more than {max_drop:g} points with --max-drop.",
        exit_code=PARITY,
    )
