"""Half precision, for GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cofi_cli.deploy import candidates

if TYPE_CHECKING:
    from cofi_cli.deploy.graphs import Graphs

KEPT = ("Softmax", "ReduceMean", "Pow", "Sqrt")
"""Operators of standard graphs whose values leave the range or the resolution of fp16.
Attention and LayerNormalization sum in fp32 inside; EmbedLayerNormalization does not, which
moves what it normalises by 0.2 % at most (all-MiniLM-L6-v2)."""


def fastest_half(graphs: Graphs) -> tuple[str, list[dict[str, Any]]]:
    """Return the form whose fp16 graph is fastest, and the timings; fp32's need not be."""
    halves = {}
    for form, file in graphs.of_each_form().items():
        halves[form] = file.with_suffix(".fp16.onnx")
        to_fp16(file, halves[form])
    if len(halves) == 1:
        return next(iter(halves)), []
    ranking = candidates.rank(halves, graphs.wish.conditions)
    return ranking.order[0], ranking.rows


def to_fp16(source: Path, target: Path, *, keep: Sequence[str] = ()) -> None:
    """Write a version of an fp32 graph with fp16 weights; inputs and logits keep their types.

    Args:
        source, target: ONNX files.
        keep: names of nodes that stay fp32.
    """
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = convert_float_to_float16(
        onnx.load(str(source)),
        keep_io_types=True,
        op_block_list=list(KEPT),
        node_block_list=list(keep),
    )
    onnx.save(model, str(target))
