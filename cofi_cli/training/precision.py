"""Where bf16 autocast pays.

The choice is a rule, not a stopwatch, so that two runs with one seed are equal.
benchmarks/step.py measures what it rests on.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from pathlib import Path

import torch

_CPU_FLAGS = ("avx512_bf16", "amx_bf16")
MIN_WIDTH = 256
"""Hidden width under which bf16 products on a CPU lose to fp32 ones."""
MAX_SPARSITY = 0.7
"""Sparsity from which the products that are left are too small for bf16 on a CPU."""


@lru_cache
def cpu_has_bf16() -> bool:
    """Whether the processor multiplies bf16 matrices in hardware."""
    info = Path("/proc/cpuinfo")
    return info.exists() and any(flag in info.read_text() for flag in _CPU_FLAGS)


def resolve_precision(
    choice: str, *, device: torch.device, hidden: int, sparsity: float = 0.0
) -> str:
    """Return ``fp32`` or ``bf16`` for a phase.

    Args:
        choice: ``auto``, ``fp32`` or ``bf16``.
        device: where the phase runs.
        hidden: hidden width.
        sparsity: share of the prunable weights that is not computed.
    """
    if choice != "auto":
        return choice
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    pays = hidden >= MIN_WIDTH and sparsity < MAX_SPARSITY and cpu_has_bf16()
    return "bf16" if pays else "fp32"


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Return the autocast context of a precision."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()
