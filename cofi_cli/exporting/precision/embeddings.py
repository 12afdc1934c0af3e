"""Embedding tables as int8 rows, each with a scale of its own; standard operators only.

A row x of a table becomes round(x / s) for s = max |x| / 127. A graph that looks a row up
multiplies it by s, so the answers are those of the rounded table, whatever the encoder's precision.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cofi_cli.runtime.inspection import with_bodies

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

EMBEDDINGS = "embeddings"
"""Names the tables among the layers that may stay in fp32."""
FEWEST_ROWS = 8
"""A table of fewer rows, such as that of token types, is left alone: it takes no space."""
_OPERATOR = "EmbedLayerNormalization"
_INPUTS = {"Gather": (0,), _OPERATOR: (2, 3)}
"""Operators that look rows up, and which of their inputs are tables that may be large."""


def to_int8_rows(source: Path, target: Path) -> int:
    """Write a graph whose embedding tables are int8 rows and scales; return how many tables.

    Args:
        source: an ONNX file of any form and precision; its encoder is left as it is.
        target: written, may be ``source``.
    """
    import onnx

    model = onnx.load(str(source))
    tables = _tables(model)
    if tables:
        rewriting = _Rewriting(model, tables)
        for graph in reversed(list(with_bodies(model.graph))):  # a graph copies its nodes' bodies
            rewriting.rewrite(graph)
    onnx.save(model, str(target))
    return len(tables)


def int8_rows(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a table, (V, e), as int8, (V, e), and its scales, (V, 1), in the table's own type."""
    largest = np.abs(table).max(axis=1, keepdims=True).astype(np.float32)
    scales = np.where(largest > 0, largest / 127, 1).astype(table.dtype)
    rows = np.rint(table.astype(np.float32) / scales.astype(np.float32))
    return np.clip(rows, -127, 127).astype(np.int8), scales


def _tables(model: ModelProto) -> dict[str, np.ndarray]:
    """Return the embedding tables that nothing else reads, by name."""
    from onnx import numpy_helper

    looked_up: Counter[str] = Counter()
    read: Counter[str] = Counter()
    for graph in with_bodies(model.graph):
        for node in graph.node:
            read.update(node.input)
            looked_up.update(node.input[i] for i in _INPUTS.get(node.op_type, ()))
    return {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if ".embeddings." in tensor.name
        and len(tensor.dims) == 2
        and tensor.dims[0] >= FEWEST_ROWS
        and looked_up[tensor.name] == read[tensor.name] > 0
    }


@dataclass
class _Rewriting:
    """Puts int8 rows in the place of tables, wherever a graph looks them up."""

    model: ModelProto
    tables: dict[str, np.ndarray]

    def __post_init__(self) -> None:
        """Swap the tables in the outermost graph, which holds all weights."""
        from onnx import numpy_helper

        tensors = self.model.graph.initializer
        kept = [tensor for tensor in tensors if tensor.name not in self.tables]
        del tensors[:]
        tensors.extend(kept)
        for name, table in self.tables.items():
            rows, scales = int8_rows(table)
            tensors.append(numpy_helper.from_array(rows, f"{name}/int8"))
            tensors.append(numpy_helper.from_array(scales, f"{name}/scale"))

    def rewrite(self, graph: GraphProto) -> None:
        """Change the nodes of one graph, in place."""
        nodes = [new for node in graph.node for new in self._instead(node)]
        del graph.node[:]
        graph.node.extend(nodes)

    def _instead(self, node: NodeProto) -> Iterator[NodeProto]:
        own = _INPUTS.get(node.op_type, ())
        if not any(node.input[i] in self.tables for i in own):
            yield node
        elif node.op_type == "Gather":
            yield from self._look_up(node.input[0], node.input[1], node.output[0])
        else:
            yield from self._spelled_out(node)

    def _look_up(self, table: str, ids: str, y: str) -> Iterator[NodeProto]:
        from onnx import helper

        if table not in self.tables:
            yield helper.make_node("Gather", [table, ids], [y], y)
            return
        kind = helper.np_dtype_to_tensor_dtype(self.tables[table].dtype)
        rows, cast, scale = (f"{y}/{part}" for part in ("int8", "cast", "scale"))
        yield helper.make_node("Gather", [f"{table}/int8", ids], [rows], rows)
        yield helper.make_node("Cast", [rows], [cast], cast, to=kind)
        yield helper.make_node("Gather", [f"{table}/scale", ids], [scale], scale)
        yield helper.make_node("Mul", [cast, scale], [y], f"{y}/Mul")

    def _spelled_out(self, node: NodeProto) -> Iterator[NodeProto]:
        """Yield what EmbedLayerNormalization does, which takes no int8: look up, add, normalise."""
        from onnx import helper

        ids, kinds, word, position, types, weight, shift = node.input[:7]
        y = node.output[0]
        names = ("word", "shape", "length", "places", "position", "sum")
        words, shape, length, places, positions, total = (f"{y}/{part}" for part in names)
        zero, one = self._number(0), self._number(1)
        yield from self._look_up(word, ids, words)
        yield helper.make_node("Shape", [ids], [shape], shape)
        yield helper.make_node("Gather", [shape, one], [length], length)
        yield helper.make_node("Range", [zero, length, one], [places], places)
        yield from self._look_up(position, places, positions)
        yield helper.make_node("Add", [words, positions], [total], total)
        if types:
            own, both = f"{y}/type", f"{y}/sum_of_all"
            yield from self._look_up(types, kinds, own)
            yield helper.make_node("Add", [total, own], [both], both)
            total = both
        settings: dict[str, Any] = {"axis": -1, "epsilon": _epsilon(node)}
        yield helper.make_node("LayerNormalization", [total, weight, shift], [y], y, **settings)

    def _number(self, number: int) -> str:
        """Return the name of a constant of the outermost graph."""
        from onnx import numpy_helper

        name, tensors = f"int8_rows/{number}", self.model.graph.initializer
        if all(tensor.name != name for tensor in tensors):
            tensors.append(numpy_helper.from_array(np.array(number, dtype=np.int64), name))
        return name


def _epsilon(node: NodeProto) -> float:
    return next((float(a.f) for a in node.attribute if a.name == "epsilon"), 1e-12)
