"""Which layers suffer from a smaller precision: each put in it alone, compared on real inputs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from cofi_cli.exporting.precision.embeddings import EMBEDDINGS
from cofi_cli.runtime.client import WorkerClient
from cofi_cli.runtime.inputs import Rows, by_length, pad

_LAYER = re.compile(r"layers\.(\d+)")
HEAD = "head"


def by_layer(nodes: Sequence[str]) -> dict[str, list[str]]:
    """Group nodes by encoder layer, ``layer 0`` and so on; what is outside is ``head``.

    The embedding tables are a group of their own, by the name of their node.
    """
    groups: dict[str, list[str]] = {}
    for node in nodes:
        found = _LAYER.search(node)
        other = EMBEDDINGS if node == EMBEDDINGS else HEAD
        groups.setdefault(f"layer {found[1]}" if found else other, []).append(node)
    return groups


def most_sensitive_first(
    layers: Mapping[str, Sequence[str]],
    *,
    source: Path,
    make: Callable[[tuple[str, ...]], Path],
    rows: Rows,
    pad_id: int,
    provider: str = "cpu",
) -> list[str]:
    """Order layers by the mean squared change of the logits when only they are not fp32.

    Args:
        layers: nodes by layer.
        source: the fp32 file.
        make: writes a file of the smaller precision that keeps the nodes given in fp32.
        rows: real inputs.
        pad_id: of their padding.
        provider: which kernels answer; a processor's have no fp16 and would hide what it loses.
    """
    truth = _logits(source, rows, pad_id, provider)
    change = {}
    for layer in layers:
        keep = tuple(node for other, own in layers.items() if other != layer for node in own)
        own = float(np.mean((_logits(make(keep), rows, pad_id, provider) - truth) ** 2))
        change[layer] = own if np.isfinite(own) else np.inf  # beyond what the precision holds
    return sorted(layers, key=lambda layer: -change[layer])


def _logits(file: Path, rows: Rows, pad_id: int, provider: str) -> np.ndarray:
    """Return answers, (rows, C), or those of all real positions, (n, C)."""
    found = []
    with WorkerClient(file, name=file.stem, provider=provider, threads=1) as worker:
        for indices in by_length(rows, 16):
            batch = pad(rows, indices, pad_id=pad_id)
            answer = worker.logits(batch)
            found.append(answer[batch["attention_mask"] == 1] if answer.ndim == 3 else answer)
    return np.concatenate(found)
