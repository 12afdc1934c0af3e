"""Where bf16 autocast pays.

Whether a processor multiplies bf16 matrices fast is measured, since flags do not tell: two that
list ``avx512_bf16`` reached 2.7 times and half of their fp32 rate (docs/log.md). A run measures
once and writes the result down, so that it resumes to the same bits. Where in a run bf16 pays is
a rule, which benchmarks/step.py measures the ground of.
"""

from __future__ import annotations

import os
import statistics
import time
from contextlib import AbstractContextManager, nullcontext

import torch

from cofi_cli.runs.machine import cpu_flags

_CPU_FLAGS = {"avx512_bf16", "amx_bf16"}
MIN_GAIN = 1.5
"""Times as fast as fp32 that a product has to be, for the casts to pay."""
MIN_WIDTH = 128
"""Hidden width under which bf16 products on a CPU lose to fp32 ones."""
_CUDA_GAIN = 8.0
"""Of tensor cores over fp32, about; on a GPU that has them it is not measured."""
_TOKENS, _INNER, _OUTER = 768, 384, 1536
_ROUNDS, _RUNS = 5, 12


COMPILED_PRODUCTS = 4096
"""How many compiled bf16 products a CPU run keeps, of 0.75 MB each; oneDNN's bound is 1,024."""


def keep_compiled_products() -> None:
    """Let compiled products outlive the gates' samples; to be called before the first product.

    A product is compiled for its shape, and a sample's widths times the batches' lengths make
    more shapes than oneDNN keeps: without this, most are compiled again and again. Both are
    rounded so that few occur (:func:`cofi_cli.modeling.select.rounded_up`, ``collate``).
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(COMPILED_PRODUCTS))


def bf16_gain(device: torch.device) -> float:
    """Measure how many times as fast as fp32 a bf16 product is; 0 where it is not offered."""
    if device.type == "cuda":
        # A GPU without units for bf16 emulates it, slowly: Turing (T4), Volta (V100) and older.
        return _CUDA_GAIN if torch.cuda.is_bf16_supported(including_emulation=False) else 0.0
    return _cpu_gain() if _CPU_FLAGS & {*cpu_flags()} else 0.0


def _cpu_gain() -> float:
    """Time both in turn on a product of an encoder's size; return the ratio of medians."""
    x, weight = torch.randn(_TOKENS, _INNER), torch.randn(_OUTER, _INNER)
    pairs = {dtype: (x.to(dtype), weight.to(dtype)) for dtype in (torch.float32, torch.bfloat16)}
    seconds: dict[torch.dtype, list[float]] = {dtype: [] for dtype in pairs}
    for _ in range(_ROUNDS):
        for dtype, (left, right) in pairs.items():
            torch.nn.functional.linear(left, right)
            for _ in range(_RUNS):
                began = time.perf_counter()
                torch.nn.functional.linear(left, right)
                seconds[dtype].append(time.perf_counter() - began)
    full, half = (statistics.median(seconds[dtype]) for dtype in pairs)
    return full / half


def resolve_precision(choice: str, *, device: torch.device, hidden: int, gain: float) -> str:
    """Return ``fp32`` or ``bf16`` for a model.

    Args:
        choice: ``auto``, ``fp32`` or ``bf16``.
        device: where it runs.
        hidden: hidden width.
        gain: what :func:`bf16_gain` measured.
    """
    if choice != "auto":
        return choice
    pays = gain >= MIN_GAIN
    if device.type == "cpu":
        pays = pays and hidden >= MIN_WIDTH
    return "bf16" if pays else "fp32"


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Return the autocast context of a precision."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()
