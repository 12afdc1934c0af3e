"""How far two computations of one model may be apart: always a share of its largest answer."""

from __future__ import annotations

COMPACT = 1e-5
"""Compact against masked model, both in torch and fp32."""
EXPORT = 1e-4
"""ONNX file against torch model on a processor, fp32: other kernels, other orders of adding."""
ON_GPU = 0.02
"""ONNX file on a GPU against torch: onnxruntime multiplies in TF32 there, of 10 bits."""


def allowed(tolerance: float, largest: float, *, floor: float = 1.0) -> float:
    """Return the largest difference of an answer that passes.

    Rounding grows with the numbers that are rounded, so that a fixed bound would refuse a
    correct model with large logits.

    Args:
        tolerance: one of this module's.
        largest: the largest answer, by its amount.
        floor: what counts as the largest where answers are smaller.
    """
    return tolerance * max(floor, largest)


ROUNDING = 1e-9
"""In whatever unit is compared: points, percent, a ratio. No measurement is as fine."""


def within(value: float, most: float) -> bool:
    """Whether ``value`` is ``most`` or less; 90.0 - 89.5 points are within 0.5.

    What is not a number is within nothing.
    """
    return value <= most + ROUNDING
