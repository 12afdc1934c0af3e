"""Half precision, for GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

KEPT = ("Softmax", "ReduceMean", "Pow", "Sqrt")
"""Operators of standard graphs whose values leave the range or the resolution of fp16.
The fused ones, Attention and LayerNormalization, sum in fp32 inside."""


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
