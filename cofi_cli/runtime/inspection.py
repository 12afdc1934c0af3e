"""What an ONNX file says about itself, read without running it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cofi_cli.errors import ENVIRONMENT, UNREACHABLE, CofiError, reading

_INT8_OPS = {
    "DynamicQuantizeLinear",
    "QuantizeLinear",
    "MatMulInteger",
    "DynamicQuantizeMatMul",
}
_PRODUCTS = {"MatMul", "Gemm", "Attention"}
"""Their second input is a weight, where it is one."""
_WRAPPERS = {"Cast", "Flatten", "Identity", "Slice"}


@dataclass(frozen=True)
class Graph:
    """Facts of one file.

    Attributes:
        nodes: how many nodes of each operator.
        precision: ``fp32``, ``fp16`` or ``int8``: that of its matrix products.
        vocab: rows of the table that ``input_ids`` look up, ``None`` when not found.
        embeddings: precision of that table: ``fp32``, ``fp16`` or ``int8``.
        opset: version of the standard operators.
        external: names of files beside it that hold weights.
    """

    nodes: dict[str, int]
    precision: str
    vocab: int | None
    opset: int
    external: tuple[str, ...] = ()
    embeddings: str | None = None

    @property
    def scales_by_batch(self) -> bool:
        """Whether activations are scaled by what is in a batch, so that rows change each other."""
        return not {"DynamicQuantizeLinear", "DynamicQuantizeMatMul"}.isdisjoint(self.nodes)


def inspect(path: Path) -> Graph:
    """Read a graph, weights' values aside.

    Raises:
        CofiError: the file is missing or not ONNX (exit code 6).
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError  # comes with onnx
    except ImportError as error:
        raise CofiError(
            f"onnx is not installed: {error}.", hint="pip install onnx", exit_code=ENVIRONMENT
        ) from error
    try:
        model = onnx.load(str(path), load_external_data=False)
    except (OSError, DecodeError) as error:
        raise CofiError(
            f"Cannot read {path} as ONNX: {error}.",
            hint="Export it again: cofi export --onnx.",
            exit_code=UNREACHABLE,
        ) from error
    with reading(str(path), hint="Export it again: cofi export --onnx."):
        return _facts(model)


def _facts(model: Any) -> Graph:
    """Read a parsed file."""
    import onnx

    nested = list(with_bodies(model.graph))
    nodes = Counter(node.op_type for graph in nested for node in graph.node)
    types = {tensor.name: tensor.data_type for graph in nested for tensor in graph.initializer}
    weights = {
        types[name]
        for graph in nested
        for node in graph.node
        if node.op_type in _PRODUCTS
        for name in node.input[1:2]
        if name in types
    }
    halves = onnx.TensorProto.FLOAT16 in (weights or types.values())
    is_int8 = any(op in _INT8_OPS for op in nodes)
    table = _table(nested)
    kinds = {onnx.TensorProto.INT8: "int8", onnx.TensorProto.FLOAT16: "fp16"}
    return Graph(
        nodes=dict(sorted(nodes.items(), key=lambda item: (-item[1], item[0]))),
        precision="int8" if is_int8 else "fp16" if halves else "fp32",
        vocab=None if table is None else int(table.dims[0]),
        opset=next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0),
        external=tuple(sorted(_external([*nested, *model.functions]))),
        embeddings=None if table is None else kinds.get(table.data_type, "fp32"),
    )


def _external(graphs: Sequence[Any]) -> set[str]:
    """Return the files that tensors of graphs and functions lie in."""
    attributes = [a for graph in graphs for node in graph.node for a in node.attribute]
    tensors = [a.t for a in attributes] + [t for a in attributes for t in a.tensors]
    tensors += [t for graph in graphs for t in getattr(graph, "initializer", ())]
    return {
        entry.value
        for tensor in tensors
        if tensor.data_location == tensor.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }


def with_bodies(graph: Any) -> Iterator[Any]:
    """Yield a graph, then those inside its nodes, as in a Loop."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for body in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                yield from with_bodies(body)


def _table(graphs: Sequence[Any]) -> Any:
    """Return the tensor that ``input_ids`` look up, ``None`` when not found."""
    tensors = (t for graph in graphs for t in graph.initializer if len(t.dims) == 2)
    tables = {tensor.name: tensor for tensor in tensors}
    ids = {"input_ids"}
    for node in (node for graph in graphs for node in graph.node):
        if node.op_type in _WRAPPERS and node.input[0] in ids:
            ids.update(node.output)
        elif node.op_type == "Gather" and node.input[1] in ids and node.input[0] in tables:
            return tables[node.input[0]]
        elif node.op_type == "EmbedLayerNormalization" and node.input[0] in ids:
            return next((tables[name] for name in node.input if name in tables), None)
    return None
