"""8-bit weights whose products no processor cuts off.

AVX2, and AVX-512 without VNNI, multiply u8 activations by s8 weights and add the products of two
neighbours in 16 bits, so that 255·(w₁ + w₂) has to stay below 2¹⁵: two neighbouring weights of one
sign may make 128 together. onnxruntime's ``reduce_range`` allows each of them 64, which halves the
resolution of all weights. Here the largest sum of two neighbours decides the scale.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnx import TensorProto

LARGEST_SUM = 128
"""Of two neighbouring weights of one sign."""
_QUANTIZED, _SCALE = "_quantized", "_scale"
"""What onnxruntime's quantizer appends to the name of a weight."""


def round_for_any_processor(quantized: Path, exact: Path) -> None:
    """Round the weights of an 8-bit graph anew, so that every processor gives the same sums.

    Args:
        quantized: what onnxruntime made of ``exact``, with symmetric weights; rewritten.
        exact: the fp32 graph.

    Raises:
        ValueError: a weight in 8 bits that is none of the fp32 graph.
    """
    import onnx
    from onnx import numpy_helper

    weights = {tensor.name: tensor for tensor in onnx.load(str(exact)).graph.initializer}
    model = onnx.load(str(quantized))
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}

    def replace(tensor: TensorProto, values: np.ndarray) -> None:
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

    for name, tensor in tensors.items():
        if not name.endswith(_QUANTIZED) or tensor.data_type != onnx.TensorProto.INT8:
            continue
        source = weights.get(name.removesuffix(_QUANTIZED))
        if source is None:
            raise ValueError(f"{name}: onnxruntime quantized a weight that the graph does not hold")
        scale = tensors[source.name + _SCALE]
        shape = tuple(scale.dims)
        rows, scales = rounded(numpy_helper.to_array(source), per_channel=bool(shape))
        replace(tensor, rows)
        replace(scale, scales.reshape(shape))
    onnx.save(model, str(quantized))


def rounded(weight: np.ndarray, *, per_channel: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return a weight, (K, N), as int8, (K, N), and its scales, (1, N) or (1, 1).

    Neighbours are rows k and k + 1 of a column: a product sums over rows. Rounding adds at most one
    half to each, so that the largest sum takes 127 of :data:`LARGEST_SUM`.
    """
    after = np.concatenate([weight[1:], np.zeros_like(weight[:1])])
    sums = np.where(weight * after > 0, np.abs(weight + after), np.abs(weight))
    largest = sums.max(axis=0 if per_channel else None, keepdims=True)
    scales = np.where(largest > 0, largest / (LARGEST_SUM - 1), 1).astype(np.float32)
    return np.rint(weight / scales).astype(np.int8), scales
