"""Where bf16 autocast pays.

The choice is a rule, not a stopwatch, so that two runs with one seed are equal.
benchmarks/step.py measures what it rests on.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from pathlib import Path

import torch

_AMX, _AVX512, _AMD = "amx_bf16", "avx512_bf16", "AuthenticAMD"
MIN_WIDTH = 256
"""Hidden width under which bf16 products on a CPU lose to fp32 ones."""
MAX_SPARSITY = 0.7
"""Sparsity from which the products that are left are too small for bf16 on a CPU."""


COMPILED_PRODUCTS = 16384
"""How many compiled bf16 products a CPU run keeps; oneDNN's own bound is 1,024."""


def keep_compiled_products() -> None:
    """Let compiled products outlive the gates' samples; to be called before the first product.

    A product is compiled for its shape, and a sample's widths times the batches' lengths make
    more shapes than oneDNN keeps: without this, most are compiled again and again.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(COMPILED_PRODUCTS))


@lru_cache
def cpu_has_bf16() -> bool:
    """Whether the processor multiplies bf16 matrices faster than fp32 ones."""
    info = Path("/proc/cpuinfo")
    return info.exists() and is_fast_in_bf16(info.read_text())


def is_fast_in_bf16(cpuinfo: str) -> bool:
    """Decide from the text of ``/proc/cpuinfo``.

    The AVX-512 instruction alone is not enough: its products reach 400 GFLOP/s against 150
    in fp32 on two cores of an AMD EPYC, but 170 against 310 on an Intel Xeon without AMX.
    """
    return _AMX in cpuinfo or (_AVX512 in cpuinfo and _AMD in cpuinfo)


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
