"""Layers that go back to fp32 where a smaller precision costs too much, as few as it takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cofi_cli.deploy.bounds import within
from cofi_cli.deploy.graph import inspect
from cofi_cli.deploy.layers import by_layer, most_sensitive_first
from cofi_cli.deploy.samples import Rows
from cofi_cli.errors import PARITY, CofiError

Json = dict[str, Any]


def keep_in_fp32(
    nodes: Sequence[str],
    *,
    precision: str,
    source: Path,
    make: Callable[[tuple[str, ...]], Path],
    score: Callable[[Path], Json],
    before: float,
    floor: float,
    max_drop: float,
    rows: Rows,
    pad_id: int,
    provider: str = "cpu",
) -> tuple[Path, list[str], Json]:
    """Return a file that holds the score, the layers that it keeps in fp32, and its score.

    The layer that changes the logits most goes back first. One at least stays in the
    smaller precision, else the file would not be of it.

    Args:
        nodes: what could be kept, by name.
        precision: the smaller one.
        source: the fp32 file.
        make: writes a file of that precision that keeps the nodes given in fp32.
        score: of a file, in points.
        before: the score of a file that keeps none.
        floor: the least score to hold.
        max_drop: how it was asked for, to say so.
        rows: real inputs, to compare layers on.
        pad_id: of their padding.
        provider: where they are compared.

    Raises:
        CofiError: no file holds it (exit code 4).
    """
    layers = by_layer(nodes)
    order = most_sensitive_first(
        layers, source=source, make=make, rows=rows, pad_id=pad_id, provider=provider
    )
    kept: list[str] = []
    for layer in order[:-1]:
        kept.append(layer)
        file = make(tuple(node for own in kept for node in layers[own]))
        found = score(file)
        if within(floor, found["score"]) and inspect(file).precision == precision:
            return file, kept, found
    is_number = math.isfinite(before)
    raise CofiError(
        f"{precision} {f'scores {before:.2f}' if is_number else 'answers with what is no number'}, "
        f"needed are {floor:.2f}, and keeping all layers "
        "but one in fp32 does not bring it there.",
        hint=f"Use --precision fp32, or allow more than {max_drop:g} points with --max-drop.",
        exit_code=PARITY,
    )
