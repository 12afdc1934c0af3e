"""8-bit integers for processors: weights once, activations per run or from calibration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from cofi_cli.exporting.graphs.tracing import quiet
from cofi_cli.exporting.precision.saturation import round_for_any_processor
from cofi_cli.runtime.inputs import Batch, Rows, by_length, pad
from cofi_cli.runtime.inspection import with_bodies

if TYPE_CHECKING:
    from onnx import GraphProto

CALIBRATION_ROWS = 128
_CALIBRATION_BATCH = 8
_OPERATORS = ("MatMul", "Gemm", "Attention")
_ARM = ("asimd", "asimddp", "i8mm")


@dataclass(frozen=True)
class Recipe:
    """How a graph is quantized.

    Attributes:
        method: ``dynamic`` takes the range of an activation anew in each run;
            ``static`` takes it from text seen while exporting.
        per_channel: a scale for each output of a product, or one for the whole weight.
    """

    method: str
    per_channel: bool

    @property
    def name(self) -> str:
        """Return for example ``dynamic-channel``."""
        return f"{self.method}-{'channel' if self.per_channel else 'tensor'}"


RECIPES = (Recipe("dynamic", True), Recipe("dynamic", False), Recipe("static", True))


def activations_for(flags: Sequence[str]) -> str:
    """Choose the integers of activations by a processor's flags: ``u8``, on ARM ``s8``.

    Weights are ``s8``. The products of x86 processors take u8 by s8, ARM's take either sign.
    """
    return "s8" if any(flag in flags for flag in _ARM) else "u8"


def products(file: Path) -> list[str]:
    """Return the names of the nodes that can be quantized, in the graph's order."""
    graph = _graph(file)
    weights = {tensor.name for tensor in graph.initializer}
    return [
        node.name
        for node in graph.node
        if node.op_type in _OPERATORS and any(name in weights for name in node.input[1:2])
    ]


def _graph(file: Path) -> GraphProto:
    import onnx

    return onnx.load(str(file), load_external_data=False).graph


def quantize(
    source: Path,
    target: Path,
    recipe: Recipe,
    activations: str,
    *,
    keep: Sequence[str] = (),
    calibration: Sequence[Batch] | None = None,
) -> None:
    """Write an 8-bit version of an fp32 graph.

    Args:
        source, target: ONNX files.
        recipe: how.
        activations: ``u8`` or ``s8``; any processor adds up either without saturating.
        keep: names of nodes that stay fp32.
        calibration: :func:`calibration_batches` for a static recipe.

    Raises:
        ValueError: a static recipe without calibration.
    """
    from onnxruntime import quantization as ort

    # A Gemm becomes a MatMul of this name and an Add.
    kept = [*keep, *(f"{name}_MatMul" for name in keep)]
    u8, s8 = ort.QuantType.QUInt8, ort.QuantType.QInt8
    shared: dict[str, Any] = {
        "op_types_to_quantize": [op for op in _OPERATORS if op != "Attention"],
        "per_channel": recipe.per_channel,
        "weight_type": s8,
        "nodes_to_exclude": kept,
    }
    with quiet(), _biases_added(source) as given:
        if recipe.method == "dynamic":
            shared["op_types_to_quantize"] = list(_OPERATORS)
            ort.quantize_dynamic(
                str(given), str(target), extra_options={"MatMulConstBOnly": True}, **shared
            )
        elif calibration is None:
            raise ValueError("a static recipe needs text to calibrate on")
        else:
            graph, own = _graph(given), products(given)
            # Products of two activations stay fp32: they are small, and masked.
            shared["nodes_to_exclude"] += [
                n.name for n in graph.node if n.op_type in _OPERATORS and n.name not in own
            ]
            taken = {i.name for i in graph.input}
            batches = iter([{k: v for k, v in b.items() if k in taken} for b in calibration])
            ort.quantize_static(
                str(given),
                str(target),
                SimpleNamespace(get_next=lambda: next(batches, None)),
                quant_format=ort.QuantFormat.QDQ,
                activation_type=s8 if activations == "s8" else u8,
                calibrate_method=ort.CalibrationMethod.MinMax,
                extra_options={"ActivationSymmetric": activations == "s8"},
                **shared,
            )
        round_for_any_processor(target, given)


@contextmanager
def _biases_added(source: Path) -> Iterator[Path]:
    """Give the same graph with each bias added to a product by an operator of its own.

    onnxruntime takes an added bias into an 8-bit product; a lean graph subtracts minus the bias.
    A Gemm's own bias it would turn into integers in the scale of the weight.
    """
    import onnx
    from onnx import numpy_helper
    from onnxruntime.quantization.onnx_model import ONNXModel

    model = onnx.load(str(source))
    ONNXModel(model).replace_gemm_with_matmul()
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:  # equal weights are stored once
        if node.op_type == "Identity" and node.input[0] in weights:
            weights[node.output[0]] = weights[node.input[0]]
    made = {node.output[0] for node in model.graph.node if node.op_type == "MatMul"}
    added = {}
    for node in model.graph.node:
        if node.op_type == "Sub" and node.input[0] in made and node.input[1] in weights:
            name = f"{node.input[1]}_added"
            bias = -numpy_helper.to_array(weights[node.input[1]])
            added[name] = numpy_helper.from_array(bias, name)
            node.op_type, node.input[1] = "Add", name
    read = {
        name for graph in with_bodies(model.graph) for node in graph.node for name in node.input
    }
    tensors = model.graph.initializer
    for place in reversed(range(len(tensors))):
        if tensors[place].name not in read:
            del tensors[place]  # else onnxruntime warns of it
    tensors.extend(added.values())
    with TemporaryDirectory() as folder:
        file = Path(folder, source.name)
        onnx.save(model, str(file))
        yield file


def calibration_batches(rows: Rows, pad_id: int) -> list[Batch]:
    """Return what static recipes are calibrated on: some rows of all lengths, padded."""
    chosen = np.linspace(0, len(rows) - 1, min(len(rows), CALIBRATION_ROWS)).astype(int)
    own = Rows(
        [rows.input_ids[i] for i in chosen],
        [rows.token_type_ids[i] for i in chosen],
        rows.origin,
    )
    return [pad(own, indices, pad_id=pad_id) for indices in by_length(own, _CALIBRATION_BATCH)]
