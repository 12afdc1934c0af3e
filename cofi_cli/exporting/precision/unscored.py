"""A graph in a precision as it comes, without a score: for times and bytes alone."""

from __future__ import annotations

from pathlib import Path

from cofi_cli.exporting.precision.fp16 import to_fp16
from cofi_cli.exporting.precision.quantization import RECIPES, activations_for, quantize
from cofi_cli.runs import machine


def in_precision(exact: Path, target: Path, precision: str) -> None:
    """Write a graph in a precision, int8 by the first recipe; the fp32 file may move there.

    Args:
        exact: an fp32 graph.
        target: the file to write.
        precision: ``fp32``, ``fp16`` or ``int8``.
    """
    if precision == "int8":
        quantize(exact, target, RECIPES[0], activations_for(machine.cpu_flags()))
    elif precision == "fp16":
        to_fp16(exact, target)
    else:
        exact.replace(target)
