"""Layers that go back to fp32 where a smaller precision costs too much, as few as it takes.

The most sensitive goes first: each layer is put in the smaller precision alone, and what it
answers is compared on real inputs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cofi_cli.errors import PARITY, CofiError
from cofi_cli.exporting.acceptance import Verdict
from cofi_cli.exporting.precision.embeddings import EMBEDDINGS
from cofi_cli.runs.records import Candidate
from cofi_cli.runtime.client import WorkerClient
from cofi_cli.runtime.inputs import Batch, Rows, by_length, pad
from cofi_cli.runtime.inspection import inspect

_LAYER = re.compile(r"layers\.(\d+)")
HEAD = "head"


@dataclass(frozen=True)
class Kept:
    """The file of the deployed model that is kept in a smaller precision.

    Attributes:
        file, form: of it.
        verdict: on it; its score is ``None`` where there is no task.
        fp32_layers: what stays in fp32, where all of it in the precision would not do.
        candidates: what was timed.
        block: tokens of its blocks of rows, if any.
    """

    file: Path
    form: str
    verdict: Verdict
    fp32_layers: list[str]
    candidates: list[Candidate]
    block: int | None = None


def keep_in_fp32(
    nodes: Sequence[str],
    *,
    precision: str,
    source: Path,
    make: Callable[[tuple[str, ...]], Path],
    judge: Callable[[Path], Verdict],
    fault: str,
    max_drop: float,
    batches: Sequence[Batch],
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
        batches: real inputs, to compare layers on.
        provider: where they are compared.

    Raises:
        CofiError: no file is without fault (exit code 4).
    """
    layers = by_layer(nodes)
    order = most_sensitive_first(
        layers, source=source, make=make, batches=batches, provider=provider
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


def layer_batches(rows: Rows, pad_id: int) -> list[Batch]:
    """Return the inputs that layers are compared on: all rows, padded to similar lengths."""
    return [pad(rows, indices, pad_id=pad_id) for indices in by_length(rows, 16)]


def most_sensitive_first(
    layers: Mapping[str, Sequence[str]],
    *,
    source: Path,
    make: Callable[[tuple[str, ...]], Path],
    batches: Sequence[Batch],
    provider: str = "cpu",
) -> list[str]:
    """Order layers by the mean squared change of the logits when only they are not fp32.

    Args:
        layers: nodes by layer.
        source, make, batches: as :func:`keep_in_fp32` takes them.
        provider: which kernels answer; a processor's have no fp16 and would hide what it loses.
    """
    truth = _logits(source, batches, provider)
    change = {}
    for layer in layers:
        keep = tuple(node for other, own in layers.items() if other != layer for node in own)
        own = float(np.mean((_logits(make(keep), batches, provider) - truth) ** 2))
        change[layer] = own if np.isfinite(own) else np.inf  # beyond what the precision holds
    return sorted(layers, key=lambda layer: -change[layer])


def _logits(file: Path, batches: Sequence[Batch], provider: str) -> np.ndarray:
    """Return answers, (rows, C), or those of all real positions, (n, C)."""
    found = []
    with WorkerClient(file, name=file.stem, provider=provider, threads=1) as worker:
        for batch in batches:
            answer = worker.logits(batch)
            found.append(answer[batch["attention_mask"] == 1] if answer.ndim == 3 else answer)
    return np.concatenate(found)
