"""Rows in blocks: a graph that takes a large batch a few rows at a time.

The residual stream of 32 rows of 128 tokens is 12 MB for a BERT-base, which no core's cache
holds from one operator to the next, and what is pruned has less of products to hide that behind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cofi_cli.exporting.parity import open_session, taken

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

TOKENS = (512, 1024)
"""Tokens in a block, for each thread, that are tried: 1.5 and 3 MB of a BERT-base's stream."""
_OWN = "block/"
"""Begins every name that the old graph does not have."""
_LENGTH = "length"

Sizes = Mapping[str, Sequence[int | str]]
"""Output -> its sizes behind the batch, :data:`_LENGTH` for the number of tokens."""


def in_blocks(source: Path, target: Path, tokens: int, *, sizes: Sizes | None = None) -> None:
    """Write a graph that runs another one on blocks of rows and joins what it answers.

    A block has as many rows as make up ``tokens``, at least one; the last may have fewer. The
    old graph becomes the body of a Loop, its weights stay outside. Inputs, outputs and their
    names stay.

    Args:
        source: takes integers, (B, T) or (B, C, T) with C fixed, ``input_ids`` among them, and
            answers row by row.
        target: written.
        tokens: in a block.
        sizes: of its answers, where they are known already.
    """
    import onnx

    sizes = answer_sizes(source) if sizes is None else sizes
    onnx.save(_looped(onnx.load(str(source)), sizes, tokens), str(target))


def answer_sizes(source: Path) -> Sizes:
    """Run a graph at two lengths: a size that differs is the length."""
    session = open_session(source)
    outputs = [output.name for output in session.get_outputs()]
    runs = []
    between = session.get_inputs()[0].shape[1:-1]
    for length in (3, 5):
        ids = np.ones((1, *between, length), dtype=np.int64)
        inputs = taken(session, {i.name: ids for i in session.get_inputs()})
        runs.append([array.shape[1:] for array in session.run(None, inputs)])
    return {
        name: [size if size == other else _LENGTH for size, other in zip(short, long, strict=True)]
        for name, short, long in zip(outputs, *runs, strict=True)
    }


def _looped(model: ModelProto, sizes: Sizes, tokens: int) -> ModelProto:
    from onnx import helper

    old, body, outputs = model.graph, _body(model.graph), []
    _, *between, _ = old.input[0].type.tensor_type.shape.dim
    tokens //= math.prod(size.dim_value for size in between)
    last = len(between) + 1
    nodes = [
        helper.make_node("Shape", ["input_ids"], [_OWN + "shape"]),
        _node("Gather", ["shape", "0"], "batch", axis=0),
        _node("Gather", ["shape", str(last)], _LENGTH, axis=0),
        _node("Div", ["tokens", _LENGTH], "fitting"),
        _node("Max", ["fitting", "1"], "rows"),
        _node("Add", ["batch", "rows"], "beyond"),
        _node("Sub", ["beyond", "1"], "upto"),
        _node("Div", ["upto", "rows"], "blocks"),
        _node("Squeeze", ["blocks"], "count"),
    ]
    for output in old.output:
        name, kind = output.name, output.type.tensor_type.elem_type
        own, none = sizes[name], helper.make_tensor("none", kind, [1], [0])
        # The answers grow from an empty tensor, block by block.
        nodes.append(_node("Concat", ["0", *map(str, own)], f"shape {name}", axis=0))
        nodes.append(_node("ConstantOfShape", [f"shape {name}"], f"no {name}", value=none))
        dims = [None, *(size if isinstance(size, int) else None for size in own)]
        outputs.append(helper.make_tensor_value_info(name, kind, ["batch", *own]))
        ends = [f"{_OWN}{name}, {when}" for when in ("so far", "and more")]
        body.node.append(helper.make_node("Concat", [ends[0], _OWN + name], ends[1:], axis=0))
        body.input.append(helper.make_tensor_value_info(ends[0], kind, dims))
        body.output.append(helper.make_tensor_value_info(ends[1], kind, dims))
    names = [output.name for output in old.output]
    started = [f"{_OWN}no {name}" for name in names]
    nodes.append(helper.make_node("Loop", [_OWN + "count", "", *started], names, body=body))
    numbers = {size for own in sizes.values() for size in own if isinstance(size, int)}
    constants = {"tokens": tokens} | {str(number): number for number in {0, 1, last, *numbers}}
    graph = helper.make_graph(
        nodes,
        old.name,
        list(old.input),
        outputs,
        # onnxruntime keeps what lies in a body twice; from outside it arranges weights as well.
        [*old.initializer, *(_constant(name, value) for name, value in constants.items())],
    )
    opsets = list(model.opset_import)
    return helper.make_model(graph, opset_imports=opsets, ir_version=model.ir_version)


def _body(old: GraphProto) -> GraphProto:
    """Return the old graph on block number i, without weights; the caller joins its answers."""
    from onnx import GraphProto, TensorProto, helper

    body = GraphProto(name="block")
    body.input.append(helper.make_tensor_value_info(_OWN + "i", TensorProto.INT64, []))
    body.input.append(helper.make_tensor_value_info(_OWN + "on", TensorProto.BOOL, []))
    body.output.append(helper.make_tensor_value_info(_OWN + "still on", TensorProto.BOOL, []))
    body.node.append(_node("Identity", ["on"], "still on"))
    body.node.append(_node("Unsqueeze", ["i", "0"], "block"))
    body.node.append(_node("Mul", ["block", "rows"], "from"))
    body.node.append(_node("Add", ["from", "rows"], "to"))
    window = [_OWN + name for name in ("from", "to", "0")]
    for value in old.input:
        body.node.append(helper.make_node("Slice", [value.name, *window], [_OWN + value.name]))
    outside = {value.name for ends in (old.input, old.output) for value in ends}
    for node in old.node:
        own = body.node.add()
        own.CopyFrom(node)
        for names in (own.input, own.output):
            names[:] = [_OWN + name if name in outside else name for name in names]
    return body


def _node(operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> NodeProto:
    from onnx import helper

    return helper.make_node(
        operator, [_OWN + name for name in inputs], [_OWN + output], **attributes
    )


def _constant(name: str, value: int) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.array([value], dtype=np.int64), _OWN + name)
